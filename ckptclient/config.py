"""What programs of the original system name and fill in: its enums, its data classes and its settings.

`CheckpointConfig` says what a program asks for; what is in force is the daemon's. Not for: talking to a daemon
(`manager`), nor for deciding when a checkpoint is due (the daemon does).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

from ckptclient import clock
from ckptclient.errors import ConfigError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(micros: int) -> datetime:
    """A time of the wire (microseconds since 1970, UTC) as a datetime with its zone."""
    return EPOCH + timedelta(microseconds=micros)


def micros(at: datetime) -> int:
    """The other way; a time without a zone counts as UTC."""
    return (at.replace(tzinfo=at.tzinfo or UTC) - EPOCH) // timedelta(microseconds=1)


def now() -> datetime:
    """The present moment, in UTC."""
    return moment(clock.now())


@dataclass(frozen=True)
class Keep:
    """Which checkpoints of a process to keep, beyond and instead of their time; what no rule keeps goes to the trash.

    `last` so many, `every` so many-th by its number, and the `count` with the lowest value (`highest=True`: highest) at
    `best` in their metadata, a key or a dotted path ("eval.loss"); NaN is never best.
    """

    last: int | None = None
    every: int | None = None
    best: str | None = None
    highest: bool = False
    count: int = 1

    def __post_init__(self) -> None:
        counts = {"last": self.last, "every": self.every, "count": self.count}
        problems = [
            f"{name} is {number!r}; accepted: an integer above 0"
            for name, number in counts.items()
            if number is not None and (type(number) is not int or number < 1)
        ]
        if self.best is None and (self.highest or self.count != 1):
            problems.append("best is None; accepted: the name of a metric, where highest or count is given")
        if problems:
            raise ConfigError("; ".join(problems), details={"problems": problems})


class CheckpointType(Enum):
    """What kind of state a checkpoint holds; a label that lists can be filtered by."""

    PROCESSING_STATE = "processing_state"
    BATCH_PROGRESS = "batch_progress"
    MODEL_STATE = "model_state"
    QUEUE_STATE = "queue_state"
    SYSTEM_STATE = "system_state"
    CUSTOM = "custom"


class CheckpointStatus(Enum):
    """Where a checkpoint is in its life."""

    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    ARCHIVED = "archived"


@dataclass
class CheckpointMetadata:
    """What is known of a checkpoint besides its data. Text for type, status and time is parsed."""

    checkpoint_id: str
    checkpoint_type: CheckpointType
    created_at: datetime
    process_id: str
    task_id: str
    version: str = "1.0"
    description: str = ""
    tags: list[str] = field(default_factory=list)
    dependencies: list[str] = field(default_factory=list)
    size_bytes: int = 0
    compression: bool = True
    encryption: bool = False
    ttl_hours: float | None = 24
    """None: never expires."""
    status: CheckpointStatus = CheckpointStatus.ACTIVE

    def __post_init__(self) -> None:
        self.checkpoint_type = CheckpointType(self.checkpoint_type)
        self.status = CheckpointStatus(self.status)
        given: object = self.created_at
        at = datetime.fromisoformat(given) if isinstance(given, str) else self.created_at
        self.created_at = at.replace(tzinfo=at.tzinfo or UTC)


class _Percent:
    """Progress follows from the steps, so that no caller can forget it; what was given counts while there is no total."""

    def __get__(self, state: "ProcessingState | None", owner: type) -> float:
        if state is None:
            return 0.0  # the field's default, asked for by the dataclass
        given: float = state.__dict__.get("_given_percentage", 0.0)
        return state.completed_steps / state.total_steps * 100.0 if state.total_steps else given

    def __set__(self, state: "ProcessingState", value: float) -> None:
        state.__dict__["_given_percentage"] = value


@dataclass
class ProcessingState:
    """Where a process stands. One that a manager gave out is live: later updates show in it."""

    process_id: str
    task_id: str
    current_step: str
    total_steps: int
    completed_steps: int
    progress_percentage: float = _Percent()  # type: ignore[assignment]  # a descriptor as the field's default
    start_time: datetime = field(default_factory=now)
    last_update: datetime = field(default_factory=now)
    estimated_completion: datetime | None = None
    """From recent speed; None where the total or the speed is unknown."""
    current_batch: str | None = None
    processed_items: Sequence[object] = field(default_factory=list)
    failed_items: Sequence[object] = field(default_factory=list)
    metadata: dict[str, object] = field(default_factory=dict)

    def update_progress(self, completed_steps: int | None = None, current_step: str | None = None) -> None:
        """Take in new figures. The estimate is from the average since the start, all that a lone state knows."""
        if completed_steps is not None:
            self.completed_steps = completed_steps
        if current_step is not None:
            self.current_step = current_step
        self.last_update = now()
        if 0 < self.completed_steps <= self.total_steps:
            each = (self.last_update - self.start_time) / self.completed_steps
            self.estimated_completion = self.last_update + each * (self.total_steps - self.completed_steps)


@dataclass
class CheckpointConfig:
    """What a program asks for. Raises `ConfigError` with every field that can't be used.

    Intervals and TTL go with this program's registrations. A path means the daemon that owns that store; limits,
    compression and backup count for the private daemon that is started where none runs.
    """

    storage_path: str | None = None
    """None: the node's daemon, else the user's own."""
    auto_checkpoint_interval: float = 300
    """Seconds."""
    cleanup_interval: float = 3600
    """Seconds."""
    default_ttl_hours: float = 24
    max_storage_size_gb: float = 10.0
    compression_enabled: bool = True
    encryption_enabled: bool = False
    backup_enabled: bool = True
    backup_path: str | None = None
    monitoring_enabled: bool = True
    performance_tracking: bool = True

    def __post_init__(self) -> None:
        self.storage_path = _path(self.storage_path)
        self.backup_path = _path(self.backup_path)
        problems = [
            f"{name} is {getattr(self, name)!r}; accepted: a number above 0"
            for name in ("auto_checkpoint_interval", "cleanup_interval", "default_ttl_hours", "max_storage_size_gb")
            if not _positive(getattr(self, name))
        ]
        if problems:
            raise ConfigError("; ".join(problems), details={"problems": problems})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "CheckpointConfig":
        """The defaults, with what the original's variables say (`CHECKPOINT_MAX_SIZE_GB`, ...).

        `CHECKPOINT_STORAGE_PATH` is looked at where the daemon is looked for, behind `CKPTD_SOCKET`.
        """
        environment = os.environ if environment is None else environment
        size, backup = environment.get("CHECKPOINT_MAX_SIZE_GB"), environment.get("CHECKPOINT_BACKUP_PATH")
        compression = environment.get("CHECKPOINT_COMPRESSION", "true").strip().lower()
        return cls(
            max_storage_size_gb=_number("CHECKPOINT_MAX_SIZE_GB", size) if size else 10.0,
            compression_enabled=compression in ("true", "1", "yes", "on"),
            backup_path=backup or None,
        )


def create_checkpoint_config(
    storage_path: str | os.PathLike[str] | None = None,
    auto_checkpoint_interval: float = 300,
    max_storage_size_gb: float = 10.0,
    compression_enabled: bool = True,
    backup_enabled: bool = True,
    monitoring_enabled: bool = True,
    *,
    cleanup_interval: float = 3600,
    default_ttl_hours: float = 24,
    encryption_enabled: bool = False,
    backup_path: str | os.PathLike[str] | None = None,
    performance_tracking: bool = True,
) -> CheckpointConfig:
    """A `CheckpointConfig` from its main arguments."""
    return CheckpointConfig(
        storage_path=_path(storage_path),
        auto_checkpoint_interval=auto_checkpoint_interval,
        cleanup_interval=cleanup_interval,
        default_ttl_hours=default_ttl_hours,
        max_storage_size_gb=max_storage_size_gb,
        compression_enabled=compression_enabled,
        encryption_enabled=encryption_enabled,
        backup_enabled=backup_enabled,
        backup_path=_path(backup_path),
        monitoring_enabled=monitoring_enabled,
        performance_tracking=performance_tracking,
    )


def _path(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.path.expanduser(os.fspath(path))


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name} is {text!r}; accepted: a number of gigabytes") from None
