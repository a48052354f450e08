"""The frozen tree of every setting's value, one class for each section of the file.

Values are parsed once and never checked again; durations are seconds, sizes bytes, and their names say so. Where 0 is
not plain zero (for ever, never) the row in `ckptd.settings.table` says what it means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class StoreLimit:
    """What the store may hold: bytes, a share of its file system, or, with neither, as much as fits."""

    bytes_max: int | None = None
    share: float | None = None

    def of(self, file_system_bytes: int) -> int | None:
        """The limit in bytes on a file system of this size; None where there is none."""
        return self.bytes_max if self.share is None else int(self.share * file_system_bytes)


@dataclass(frozen=True, slots=True)
class Grant:
    """A user or group of this machine that is given a role."""

    kind: Literal["user", "group"]
    name: str


@dataclass(frozen=True, slots=True)
class Store:
    """Where checkpoints lie and how."""

    path: Path
    limit: StoreLimit
    inline_bytes_max: int
    compression_level: int  # zstd's; 0 stores raw
    delta_depth_max: int  # 0 stores no deltas
    array_delta_depth_max: int
    tight_compression_level: int  # zstd's, where there is time
    reserve_bytes_max: int
    read_only: bool


@dataclass(frozen=True, slots=True)
class Staging:
    """The shared memory in which large parts cross: shares of the machine's memory."""

    share: float
    user_share: float


@dataclass(frozen=True, slots=True)
class Archive:
    """Where old ones move."""

    path: Path | None
    after_seconds: float


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """What is kept of the processes that a glob names; 0 and None: nothing is said."""

    glob: str
    last: int
    every: int
    metric: str | None
    highest: bool
    best_count: int
    ttl_seconds: float | None


@dataclass(frozen=True, slots=True)
class Backup:
    """Where the daemon backs itself up, how often, how many of these it keeps, and how often it tries the newest."""

    path: Path | None
    interval_seconds: float
    keep: int
    drill_seconds: float


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is kept."""

    ttl_seconds: float
    completed_ttl_seconds: float
    trash_seconds: float
    clock_jump_seconds: float
    abandon_after_seconds: float
    policies: tuple[NamedPolicy, ...]
    """The first whose glob matches counts, and over it what the process itself asks for."""
    confirm_share: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """When the daemon says that one is due."""

    interval_seconds: float | Literal["auto"]
    progress_share: float


@dataclass(frozen=True, slots=True)
class Cleanup:
    """When what has expired goes, and how fast what is left is put together."""

    interval_seconds: float
    rate_bytes: int


@dataclass(frozen=True, slots=True)
class Proof:
    """How often it is shown that each process can be recovered, and how fast that reads."""

    interval_seconds: float
    rate_bytes: int
    """A second."""


@dataclass(frozen=True, slots=True)
class Scrub:
    """How often, and how fast, everything that is stored is read again."""

    period_seconds: float
    rate_bytes: int


@dataclass(frozen=True, slots=True)
class Process:
    """How long a silent holder is waited for, and how often an item may kill its worker."""

    lease_seconds: float
    grace_seconds: float
    attempts_max: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take of the daemon."""

    connections_max: int
    operator_slots: int
    requests_max: int
    connection_bytes_max: int
    write_deadline_seconds: float


@dataclass(frozen=True, slots=True)
class Roles:
    """Who may do more than work on processes of their own."""

    operators: tuple[Grant, ...]
    admins: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Log:
    """What the daemon writes about itself."""

    level: Literal["debug", "info", "warning", "error"]
    format: Literal["auto", "json", "console"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a setting is and who said so.

    `text` is the value for people, the same for equal values; `source` a file with its line, a variable, a flag, or
    "default".
    """

    value: object
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting's value; a section is an attribute, as it is a table in the file."""

    socket: Path
    socket_group: str
    idle_exit_seconds: float
    store: Store
    staging: Staging
    archive: Archive
    backup: Backup
    retention: Retention
    checkpoint: Checkpoint
    cleanup: Cleanup
    proof: Proof
    scrub: Scrub
    process: Process
    limits: Limits
    roles: Roles
    log: Log
    origins: Mapping[str, Origin] = field(compare=False, repr=False)
    """By key, in the order of the table."""
