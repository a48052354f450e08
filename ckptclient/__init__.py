"""The worker's side of ckptd: save, record and resume over the daemon's socket.

Everything public is here and is loaded when it is first named (PEP 562): importing the package costs a worker next
to nothing, and no part of it that is not used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ckptclient.version import __version__ as __version__

if TYPE_CHECKING:
    from ckptclient.aio import AsyncClient as AsyncClient
    from ckptclient.aio_manager import AsyncCheckpointManager as AsyncCheckpointManager
    from ckptclient.config import (
        CheckpointConfig as CheckpointConfig,
        CheckpointMetadata as CheckpointMetadata,
        CheckpointStatus as CheckpointStatus,
        CheckpointType as CheckpointType,
        Keep as Keep,
        ProcessingState as ProcessingState,
        create_checkpoint_config as create_checkpoint_config,
    )
    from ckptclient.errors import (
        BadRequest as BadRequest,
        Busy as Busy,
        CkptdError as CkptdError,
        ConfigError as ConfigError,
        Conflict as Conflict,
        Damaged as Damaged,
        Denied as Denied,
        Draining as Draining,
        Encoding as Encoding,
        Fenced as Fenced,
        Held as Held,
        Internal as Internal,
        NoSpace as NoSpace,
        NoStore as NoStore,
        NotFound as NotFound,
        Partial as Partial,
        ProtocolError as ProtocolError,
        Quota as Quota,
        ReadOnly as ReadOnly,
        Stopped as Stopped,
        TimedOut as TimedOut,
        Unhealthy as Unhealthy,
        UnknownCheckpoint as UnknownCheckpoint,
        UnknownOutcome as UnknownOutcome,
        UnknownProcess as UnknownProcess,
        Unreachable as Unreachable,
        VersionMismatch as VersionMismatch,
    )
    from ckptclient.manager import CheckpointManager as CheckpointManager
    from ckptclient.monitor import (
        CheckpointMonitor as CheckpointMonitor,
        CheckpointOptimizer as CheckpointOptimizer,
        setup_checkpoint_system as setup_checkpoint_system,
    )
    from ckptclient.payload import register_type as register_type
    from ckptclient.process import Member as Member, Process as Process, Result as Result, Saved as Saved
    from ckptclient.sync import Client as Client

_HOMES = {
    "aio": ("AsyncClient",),
    "aio_manager": ("AsyncCheckpointManager",),
    "config": (
        "CheckpointConfig",
        "CheckpointMetadata",
        "CheckpointStatus",
        "CheckpointType",
        "Keep",
        "ProcessingState",
        "create_checkpoint_config",
    ),
    "errors": (
        "BadRequest",
        "Busy",
        "CkptdError",
        "ConfigError",
        "Conflict",
        "Damaged",
        "Denied",
        "Draining",
        "Encoding",
        "Fenced",
        "Held",
        "Internal",
        "NoSpace",
        "NoStore",
        "NotFound",
        "Partial",
        "ProtocolError",
        "Quota",
        "ReadOnly",
        "Stopped",
        "TimedOut",
        "Unhealthy",
        "UnknownCheckpoint",
        "UnknownOutcome",
        "UnknownProcess",
        "Unreachable",
        "VersionMismatch",
    ),
    "manager": ("CheckpointManager",),
    "monitor": ("CheckpointMonitor", "CheckpointOptimizer", "setup_checkpoint_system"),
    "payload": ("register_type",),
    "process": ("Member", "Process", "Result", "Saved"),
    "sync": ("Client",),
}
"""Module to the public names that live in it."""

_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605 - the table is the list


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
