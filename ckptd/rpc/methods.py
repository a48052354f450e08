"""THE table of methods: what can be asked of the daemon, by whom, and who answers.

A row for each on one line: name, class of the parameters, names in the result, the least role, whether it changes
something (and so carries a request id), handler. Nothing is called that isn't named here. Parameters are written down
once, in `ckptclient.wire.params`; `docs/PROTOCOL.md` is compared with `SURFACE` by a test. Which of several users'
things a caller may touch is the services' to judge.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from ckptclient.wire import params as p
from ckptclient.wire.connection import HELLO
from ckptclient.wire.fields import Params
from ckptd.clock import Clock
from ckptd.service.caller import Caller, Role

if TYPE_CHECKING:
    import asyncio

    from ckptd.service.services import Services

Result: TypeAlias = Mapping[str, object]
"""A `service.passing.Passing` is one too: a result with the descriptors that ride with it."""

Answer: TypeAlias = "Result | asyncio.Future[Any] | Coroutine[Any, Any, Result]"
Handler: TypeAlias = Callable[[Caller, Any], Answer]
"""Answers at once, by a future, or as a coroutine: in the order of what it costs. It is given its row's parameters."""


@dataclass(frozen=True, slots=True)
class Method:
    """A row. `handler` finds who answers among the services; None: rpc itself does."""

    name: str
    params: type[Params]
    result: tuple[str, ...]
    role: Role
    mutates: bool
    handler: "Callable[[Services], Handler] | None"

    @property
    def writes(self) -> bool:
        """Whether it needs a store that can be written; see `_READ_ONLY_TOO` and `_UPLOADS`."""
        return (self.mutates and self.name not in _READ_ONLY_TOO) or self.name in _UPLOADS

    @property
    def bulky(self) -> bool:
        """Whether a reply may fill a frame; a connection has only a few of these in hand at a time."""
        return not _BULKY.isdisjoint(self.result)


_BULKY: Final = frozenset(
    ("checkpoints", "data", "digests", "done", "endings", "events", "parts", "processes", "records", "set_aside")
)

_READ_ONLY_TOO: Final = frozenset(("checkpoint.restore", "config.reload"))
"""What changes something and is answered all the same where nothing is written: a state that is wanted back is wanted
most when the store is ill, and the configuration is no part of it."""

_UPLOADS: Final = frozenset(("upload.open", "part.write"))
"""What carries no request id and writes all the same."""

_WORKER, _OPERATOR = Role.WORKER, Role.OPERATOR

# Results that more than one method gives.
_TICK = ("due", "reason", "stop", "stop_reason")
_PROCESS = (
    "process_id", "user", "uid", "task_id", "description", "state", "mode", "epoch", "progress", "holder", "checkpoints",
    "last_checkpoint", "registered_at", "ended_at", "deaths", "journal", "proven_at", "proven_seq",
)  # fmt: skip
_CHECKPOINT = (
    "checkpoint_id", "process_id", "user", "task_id", "seq", "epoch", "type", "status", "created_at", "expires_at", "pinned",
    "size_bytes", "stored_bytes", "has_state", "journal_position", "schema_version", "checksum", "description", "tags",
    "metadata", "depends", "attempts", "proven_at",
)  # fmt: skip
_REGISTERED = (
    "token", "process_id", "epoch", "incarnation", "resumed", "mode", "state", "progress", "checkpoint", "state_checkpoint",
    "skipped", "warnings", "journal", "sequence", "careful", "set_aside", "lease_seconds", "policy", "registered_at",
    "schema_version", "changed",
)  # fmt: skip
_PROVEN = ("process_id", "user", "checkpoint_id", "seq", "proven_at", "size_bytes", "seconds", "damaged")
_SAVED = ("checkpoint_id", "seq", "created_at", "expires_at", "level", "due")
_STATUS = (
    "version", "pid", "uptime_seconds", "store_path", "lineage", "read_only", "connections", "processes", "checkpoints",
    "limit_bytes", "used_bytes", "free_bytes", "commits", "last_cleanup", "damaged",
)  # fmt: skip
_HEALTH = ("at", "score", "level", "components", "trends", "recommendations")
_DAMAGE = ("paused", "oldest_at", "listed_at", "period_seconds", "faults", "damage", "checkpoints")
_STATS = ("status_counts", "type_counts", "total_size_bytes", "storage_path")
_WELCOME = ("version", "server", "lineage", "role", "uid", "limits", "pid")

_PING = Method("ping", p.Nothing, ("now",), _WORKER, False, None)

# fmt: off
SURFACE: Final[tuple[Method, ...]] = (
    Method(HELLO, p.Hello, _WELCOME, _WORKER, False, None),
    _PING,

    Method("process.register", p.Register, _REGISTERED, _WORKER, True, lambda s: s.registration.register),
    Method("process.recover", p.Recover, _REGISTERED, _WORKER, True, lambda s: s.registration.recover),
    Method("process.attach", p.Attach, ("epoch", "state", "due"), _WORKER, False, lambda s: s.processes.attach),
    Method("process.progress", p.Advance, _TICK, _WORKER, False, lambda s: s.processes.progress),
    Method("process.end", p.End, ("state",), _WORKER, True, lambda s: s.processes.end),
    Method("process.member", p.Member, ("token",), _WORKER, True, lambda s: s.processes.member),
    Method("process.fence", p.MutateProcess, ("epoch",), _WORKER, True, lambda s: s.registration.fence),
    Method("process.stop", p.NamedProcess, ("asked",), _WORKER, False, lambda s: s.processes.stop),
    Method("process.prove", p.NamedProcess, _PROVEN, _WORKER, False, lambda s: s.proving.prove),
    Method("process.show", p.NamedProcess, _PROCESS, _WORKER, False, lambda s: s.processes.show),
    Method("process.list", p.ListProcesses, ("processes", "next"), _WORKER, False, lambda s: s.processes.list_),

    Method("journal.append", p.AppendRecords, ("position", "due"), _WORKER, True, lambda s: s.journal.append),
    Method("journal.read", p.ReadRecords, ("records", "next"), _WORKER, False, lambda s: s.journal.read),
    Method("journal.ordinals", p.DoneOrdinals, ("first", "done", "failed"), _WORKER, False, lambda s: s.journal.ordinals),
    Method("journal.digests", p.DoneDigests, ("digests", "failed", "next"), _WORKER, False, lambda s: s.journal.digests),
    Method("journal.sequence", p.Sequence, ("changed", "mode"), _WORKER, True, lambda s: s.journal.sequence),
    Method("item.announce", p.Announce, (), _WORKER, False, lambda s: s.journal.announce),

    Method("upload.open", p.OpenUpload, ("upload", "buffer", "dropped", "descriptors"), _WORKER, False, lambda s: s.saving.open_upload),
    Method("part.write", p.WritePart, (), _WORKER, False, lambda s: s.saving.write_part),
    Method("upload.close", p.CloseUpload, (), _WORKER, False, lambda s: s.saving.close_upload),
    Method("staging.release", p.ReleaseBuffer, ("released",), _WORKER, False, lambda s: s.saving.release_buffer),
    Method("checkpoint.save", p.Save, _SAVED, _WORKER, True, lambda s: s.saving.save),
    Method("checkpoint.stage", p.Stage, (*_SAVED, "position"), _WORKER, True, lambda s: s.saving.stage),
    Method("checkpoint.get", p.GetCheckpoint, (*_CHECKPOINT, "parts", "descriptors"), _WORKER, False, lambda s: s.browsing.get),
    Method("checkpoint.read", p.ReadPart, ("data",), _WORKER, False, lambda s: s.browsing.read),
    Method("checkpoint.restore", p.Restore, ("found", "checkpoint", "parts", "skipped", "journal", "progress", "descriptors"), _WORKER, True, lambda s: s.browsing.restore),
    Method("checkpoint.list", p.ListCheckpoints, ("checkpoints", "next"), _WORKER, False, lambda s: s.browsing.list_),
    Method("checkpoint.delete", p.MutateCheckpoint, ("deleted",), _WORKER, True, lambda s: s.browsing.delete),
    Method("checkpoint.pin", p.MutateCheckpoint, ("pinned",), _WORKER, True, lambda s: s.browsing.pin),
    Method("checkpoint.unpin", p.MutateCheckpoint, ("pinned",), _WORKER, True, lambda s: s.browsing.unpin),
    Method("checkpoint.revive", p.MutateCheckpoint, ("revived", "checkpoint_id", "expires_at"), _WORKER, True, lambda s: s.browsing.revive),
    Method("checkpoint.archive", p.MutateCheckpoint, ("archived", "checkpoint_id"), _WORKER, True, lambda s: s.archiving.archive),
    Method("checkpoint.unarchive", p.MutateCheckpoint, ("archived", "checkpoint_id"), _WORKER, True, lambda s: s.archiving.unarchive),
    Method("checkpoint.wait", p.WaitCheckpoint, ("level", "checkpoint_id"), _WORKER, False, lambda s: s.saving.wait),

    Method("store.status", p.Nothing, _STATUS, _WORKER, False, lambda s: s.maintenance.status),
    Method("store.stats", p.Nothing, _STATS, _WORKER, False, lambda s: s.maintenance.stats),
    Method("store.cleanup", p.Cleanup, ("expired", "purged", "freed_bytes", "waits", "endings"), _WORKER, True, lambda s: s.maintenance.cleanup),
    Method("store.verify", p.Verify, ("stage", "findings", "read_bytes", "total_bytes", "next"), _OPERATOR, False, lambda s: s.scrubbing.verify),
    Method("store.damage", p.Nothing, _DAMAGE, _OPERATOR, False, lambda s: s.scrubbing.damage),
    Method("store.scrub", p.Scrub, ("paused",), _OPERATOR, True, lambda s: s.scrubbing.steer),
    Method("backup.begin", p.Mutate, ("backup",), _OPERATOR, True, lambda s: s.backing_up.begin),
    Method("backup.end", p.EndBackup, ("held",), _OPERATOR, True, lambda s: s.backing_up.end),
    Method("health.report", p.Nothing, _HEALTH, _WORKER, False, lambda s: s.monitor.report),
    Method("config.show", p.Nothing, ("settings",), _OPERATOR, False, lambda s: s.maintenance.show_config),
    Method("config.reload", p.Mutate, ("changed", "restart"), _OPERATOR, True, lambda s: s.maintenance.reload_config),
    Method("events.read", p.ReadEvents, ("events", "last"), _WORKER, False, lambda s: s.events.read),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Route:
    """A row with its handler found, and what of both is asked for each request."""

    method: Method
    handler: Handler
    bulky: bool
    later: bool
    """Whether a call runs nothing yet: a coroutine takes its first step in the loop's next turn."""

    @classmethod
    def of(cls, method: Method, handler: Handler) -> Self:
        """The route of a row to its handler."""
        return cls(method, handler, method.bulky, iscoroutinefunction(handler))


def methods(services: "Services", clock: Clock) -> Mapping[str, Route]:
    """The table by name, for these services. `hello` isn't in it: it makes the caller that a handler needs."""
    table = {row.name: Route.of(row, row.handler(services)) for row in SURFACE if row.handler is not None}
    table[_PING.name] = Route.of(_PING, lambda caller, params: {"now": clock.now()})
    return table
