"""What a program asks for when it takes a process: its own wishes over its configuration, as the protocol has them.

Not for: what is granted; the daemon says that.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Literal

from ckptclient import calls
from ckptclient.calls import Call
from ckptclient.config import CheckpointConfig, Keep
from ckptclient.errors import BadRequest
from ckptclient.payload import encode_value
from ckptclient.process import OnChange
from ckptclient.process.live import packed_metadata
from ckptclient.results import Registered
from ckptclient.wire import params


def registration(
    process_id: str,
    *,
    task_id: str = "",
    total_steps: int | None = None,
    description: str = "",
    takeover: bool = False,
    on_change: OnChange = "refuse",
    fingerprint: object = None,
    schema_version: int = 0,
    policy: params.Policy | None = None,
    state_bytes: int = 0,
) -> Callable[[bool], Call[Registered]]:
    """The call that registers a process; the argument says whether to begin a new life of it."""
    if total_steps is not None and (type(total_steps) is not int or total_steps < 0):
        raise BadRequest(f"total_steps is {total_steps!r}", hint="accepted: an integer from 0 on, or None")
    metadata = packed_metadata({"description": description}) if description else None
    progress = params.Progress(total=total_steps or None, step="initialized", metadata=metadata)
    digest = None
    if fingerprint is not None:
        import hashlib  # with OpenSSL behind it: for the workers that have a fingerprint

        digest = hashlib.sha256(encode_value(fingerprint, root="fingerprint")).digest()
    return lambda fresh: calls.register(
        process_id,
        task_id=task_id,
        progress=progress,
        description=description,
        fresh=fresh,
        takeover=takeover,
        fingerprint=digest,
        schema_version=schema_version,
        on_change=on_change,
        policy=policy,
        state_bytes=state_bytes,
    )


def policy_of(
    config: CheckpointConfig | None,
    interval: float | Literal["auto"] | None = None,
    progress_percent: float | None = None,
    ttl_hours: float | None = None,
    abandon_after: float | timedelta | None = None,
    keep: Keep | None = None,
) -> params.Policy | None:
    """The policy to ask for: what is given, else what the configuration says; None leaves all to the node."""
    if isinstance(abandon_after, timedelta):
        abandon_after = abandon_after.total_seconds()
    if config is not None:
        interval = config.auto_checkpoint_interval if interval is None else interval
        ttl_hours = config.default_ttl_hours if ttl_hours is None else ttl_hours
    if isinstance(interval, str) and interval != "auto":
        raise BadRequest(f"checkpoint_interval is {interval!r}", hint='accepted: seconds, or "auto"')
    asked = params.Policy(
        interval_seconds=None if interval is None or isinstance(interval, str) else float(interval),
        auto=interval == "auto",
        progress_percent=None if progress_percent is None else float(progress_percent),
        ttl_seconds=None if ttl_hours is None else ttl_hours * 3600.0,
        abandon_after_seconds=None if abandon_after is None else float(abandon_after),
        keep_last=keep.last if keep else None,
        keep_every=keep.every if keep else None,
        best_metric=keep.best if keep else None,
        best_highest=keep.highest if keep else False,
        best_count=keep.count if keep else 1,
    )
    return asked if asked != params.Policy() else None


def daemon_settings(config: CheckpointConfig) -> tuple[tuple[str, str], ...]:
    """What a configuration says to a private daemon that is started for it, where it differs from the defaults."""
    usual = CheckpointConfig()
    settings: list[tuple[str, str]] = []
    if config.max_storage_size_gb != usual.max_storage_size_gb:
        settings.append(("store.limit", f"{round(config.max_storage_size_gb * 1e9)} B"))
    if not config.compression_enabled:
        settings.append(("store.compression", "false"))
    if config.cleanup_interval != usual.cleanup_interval:
        settings.append(("cleanup.interval", f"{config.cleanup_interval:g} s"))
    if config.backup_enabled and config.backup_path is not None:
        settings.append(("archive.path", config.backup_path))
    return tuple(settings)
