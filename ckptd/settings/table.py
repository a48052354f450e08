"""One row for each setting, and what must hold between settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from ckptd.settings import tree
from ckptd.settings.kinds import (
    BOOLEAN,
    CADENCE,
    COMPRESSION,
    GRANTS,
    GROUP,
    LIMIT,
    OPTIONAL_PATH,
    PATH,
    SHARE,
    SOCKET,
    Kind,
    choice,
    duration,
    integer,
    size,
)
from ckptd.settings.policies import POLICIES

SECTIONS: Final[Mapping[str, type[Any]]] = {
    "store": tree.Store,
    "staging": tree.Staging,
    "archive": tree.Archive,
    "backup": tree.Backup,
    "retention": tree.Retention,
    "checkpoint": tree.Checkpoint,
    "cleanup": tree.Cleanup,
    "proof": tree.Proof,
    "scrub": tree.Scrub,
    "process": tree.Process,
    "limits": tree.Limits,
    "roles": tree.Roles,
    "log": tree.Log,
}

Mode: TypeAlias = Literal["node", "private"]
"""A node's daemon serves its users under systemd; a private one serves who started it, under the XDG directories."""

Raw: TypeAlias = str | int | bool | list[str]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row. `default` and `private` (a private daemon's default, where it differs) are as the file would have them."""

    key: str
    field: str
    kind: Kind
    default: Raw
    help: str
    private: Raw | None = None
    reloadable: bool = False
    flag: str = ""
    original: str = ""  # the variable of the original system, and the unit that its bare number is in
    original_unit: str = ""

    @property
    def section(self) -> str:
        """The table in the file that it stands in; empty at the top."""
        return self.key.rpartition(".")[0]

    @property
    def environment(self) -> str:
        """The variable of the environment that sets it."""
        return "CKPTD_" + self.key.replace(".", "_").upper()

    def default_in(self, mode: Mode) -> Raw:
        """The default, paths with the variables in them ($XDG_DATA_HOME, $STORE) still to be replaced."""
        return self.private if mode == "private" and self.private is not None else self.default


# fmt: off
SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("socket", "socket", SOCKET, "/run/ckptd/ckptd.sock", "Where workers find the daemon; a socket that systemd passes wins.",
        private="$XDG_RUNTIME_DIR/ckptd-$STORE.sock", flag="--socket"),
    Setting("socket_group", "socket_group", GROUP, "ckptd", "The group whose members may connect (mode 0660).", private=""),
    Setting("idle_exit", "idle_exit_seconds", duration("100 ms", "30 d", "never"), 0, "How long after its last client a daemon ends.", private="60 s"),

    Setting("store.path", "path", PATH, "/var/lib/ckptd", "The directory of the store: ext4 or xfs, never a network file system.",
        private="$XDG_DATA_HOME/ckptd", flag="--store", original="CHECKPOINT_STORAGE_PATH"),
    Setting("store.limit", "limit", LIMIT, "80 %", "What the store may hold; a save beyond it is refused with NO_SPACE.",
        private="10 GB", reloadable=True, original="CHECKPOINT_MAX_SIZE_GB", original_unit=" GB"),
    Setting("store.inline", "inline_bytes_max", size("64 B", "64 KiB", "none"), "4 KiB", "Payloads up to this size live in the catalog, larger ones in packs."),
    Setting("store.compression", "compression_level", COMPRESSION, True, "Compress what a sample says is worth it; true is zstd level 3.",
        original="CHECKPOINT_COMPRESSION"),
    Setting("store.delta_depth", "delta_depth_max", integer(0, 200), 16,
        "How many versions of a document are stored in a row as the difference to the one before, until one is stored whole; 0 stores each whole."),
    Setting("store.array_delta_depth", "array_delta_depth_max", integer(0, 200), 0,
        "The same for arrays that keep their shape, at the save: smaller, but slower to save and to restore."),
    Setting("store.tight_compression", "tight_compression_level", integer(1, 19), 16,
        "zstd's level for what is compressed anew in the background."),
    Setting("store.reserve", "reserve_bytes_max", size("1 MiB", "1 GiB", "none"), "64 MiB",
        "Kept free to delete on a full disk; never more than 1 % of the file system."),
    Setting("store.read_only", "read_only", BOOLEAN, False, "Serve what is there and write nothing, not even to the catalog."),

    Setting("staging.share", "share", SHARE, "25 %", "The share of the machine's memory that large saves may be staged in; beyond it they cross in pieces.", reloadable=True),
    Setting("staging.user_share", "user_share", SHARE, "20 %", "The same for one user.", private="25 %", reloadable=True),

    Setting("archive.path", "path", OPTIONAL_PATH, "", "Where old checkpoints of completed processes move; none keeps them in the store.",
        original="CHECKPOINT_BACKUP_PATH"),
    Setting("archive.after", "after_seconds", duration("1 min", "3650 d"), "30 d", "The age at which they move."),

    Setting("backup.path", "path", OPTIONAL_PATH, "", "Where the daemon backs the store up by itself; none leaves it to ckptctl backup run.", reloadable=True),
    Setting("backup.interval", "interval_seconds", duration("1 min", "365 d", "only when asked"), "24 h", "How often.", reloadable=True),
    Setting("backup.keep", "keep", integer(1, 10_000), 7, "How many of these are kept, the newest.", reloadable=True),
    Setting("backup.drill", "drill_seconds", duration("1 min", "365 d", "never"), "7 d",
        "How often the newest is restored on trial, down to the decoded bytes of every process's newest checkpoint.", reloadable=True),

    Setting("retention.ttl", "ttl_seconds", duration("1 s", "3650 d", "for ever"), "24 h",
        "How long a checkpoint is kept where its save doesn't say.", reloadable=True),
    Setting("retention.completed_ttl", "completed_ttl_seconds", duration("1 s", "3650 d", "for ever"), "168 h",
        "The same for the last checkpoint of a completed process.", reloadable=True),
    Setting("retention.trash", "trash_seconds", duration("1 s", "365 d", "not at all"), "24 h",
        "How long what has expired or was deleted can be revived.", reloadable=True),
    Setting("retention.clock_jump", "clock_jump_seconds", duration("1 min", "3650 d", "never"), "24 h",
        "Expiry halts where the wall clock runs ahead by more than this of what the machine counted, until it is confirmed.",
        private="7 d", reloadable=True),
    Setting("retention.abandon_after", "abandon_after_seconds", duration("1 s", "3650 d", "never"), "30 d",
        "When an unfinished process that nobody took up again is given up, and its checkpoints may expire.", reloadable=True),
    Setting("retention.policies", "policies", POLICIES, [],
        "What to keep of which processes, beyond and instead of their time; the first glob that matches counts.", reloadable=True),
    Setting("retention.confirm_share", "confirm_share", SHARE, "20 %",
        "Where changed settings would end more than this of the store's bytes at once, expiry waits for a confirmation.", reloadable=True),

    Setting("checkpoint.interval", "interval_seconds", CADENCE, "300 s",
        "How often a process is told that a checkpoint is due; auto weighs what a save costs against how often work is interrupted.", reloadable=True),
    Setting("checkpoint.progress", "progress_share", SHARE, "5 %", "The progress after which a checkpoint is due.", reloadable=True),

    Setting("cleanup.interval", "interval_seconds", duration("1 s", "30 d", "only when asked"), "3600 s",
        "How often expired checkpoints are removed and space is given back.", reloadable=True),
    Setting("cleanup.rate", "rate_bytes", size("64 KiB", "10 GiB", "as fast as it can"), "64 MiB",
        "How much of half-dead packs is copied in a second, and how much of that read back; a quarter while others save.", reloadable=True),

    Setting("proof.interval", "interval_seconds", duration("1 min", "365 d", "only when asked"), "24 h",
        "How often the newest checkpoint of each process is read whole, so that damage is known before it is needed.", reloadable=True),
    Setting("proof.rate", "rate_bytes", size("64 KiB", "10 GiB"), "16 MiB", "How much of that is read in a second.", reloadable=True),

    Setting("scrub.period", "period_seconds", duration("1 min", "3650 d", "only when asked"), "30 d",
        "Within which everything that is stored is read again and compared; begun at half of it.", reloadable=True),
    Setting("scrub.rate", "rate_bytes", size("64 KiB", "10 GiB"), "16 MiB", "How much of that is read in a second; a quarter while others save.", reloadable=True),

    Setting("process.lease", "lease_seconds", duration("100 ms", "1 d"), "60 s", "How long a silent holder keeps its process; any word of it renews.", reloadable=True),
    Setting("process.grace", "grace_seconds", duration("100 ms", "1 d"), "30 s", "How long a worker whose connection broke may come back under its epoch.", reloadable=True),
    Setting("process.attempts_max", "attempts_max", integer(1, 1000), 3, "After so many deaths on the same item it is set aside as failed.", reloadable=True),

    Setting("limits.connections_max", "connections_max", integer(2, 100_000), 2048, "Connections at a time; LimitNOFILE must allow them."),
    Setting("limits.operator_slots", "operator_slots", integer(0, 1000), 16, "How many of these are kept for operators."),
    Setting("limits.requests_max", "requests_max", integer(1, 10_000), 64, "Requests in flight on one connection; further ones wait unread."),
    Setting("limits.connection_bytes_max", "connection_bytes_max", size("2 MiB", "1 GiB"), "8 MiB", "Memory that one connection may tie up."),
    Setting("limits.write_deadline", "write_deadline_seconds", duration("100 ms", "1 h"), "30 s", "How long a client may leave its replies unread before it is disconnected."),

    Setting("roles.operators", "operators", GRANTS, ["group:ckptd-operators"], "Who sees and steers the processes of all users; root always does.",
        private=[], reloadable=True),
    Setting("roles.admins", "admins", GRANTS, [], "Who may, beyond that, change the daemon itself; root always may.", reloadable=True),

    Setting("log.level", "level", choice("debug", "info", "warning", "error"), "info", "The least that is written.", reloadable=True),
    Setting("log.format", "format", choice("auto", "json", "console"), "auto", "auto is readable on a terminal and JSON everywhere else."),
)
# fmt: on

BY_KEY: Final[Mapping[str, Setting]] = {setting.key: setting for setting in SETTINGS}

# --- what must hold between settings ---


@dataclass(frozen=True, slots=True)
class Relation:
    """A demand on more than one setting, in words that complete "accepted: "."""

    keys: tuple[str, ...]
    holds: Callable[[tree.Config], bool]
    accepted: str


def _distinct(one: Path | None, other: Path | None) -> bool:
    return one is None or other is None or not (one.is_relative_to(other) or other.is_relative_to(one))


RELATIONS: Final[tuple[Relation, ...]] = (
    Relation(
        ("limits.operator_slots", "limits.connections_max"),
        lambda config: config.limits.operator_slots < config.limits.connections_max,
        "fewer slots for operators than connections, so that workers get in",
    ),
    Relation(
        ("archive.path", "store.path"),
        lambda config: _distinct(config.archive.path, config.store.path),
        "two directories of which neither contains the other",
    ),
    Relation(
        ("backup.path", "store.path"),
        lambda config: _distinct(config.backup.path, config.store.path),
        "two directories of which neither contains the other",
    ),
    Relation(
        ("backup.path", "archive.path"),
        lambda config: _distinct(config.backup.path, config.archive.path),
        "two directories of which neither contains the other",
    ),
)
