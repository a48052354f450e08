"""What every service needs, and how a token becomes an entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgpack

from ckptclient.errors import Busy, Fenced, UnknownProcess
from ckptd.clock import Clock
from ckptd.core.cadence import Cadence, Reason, auto_interval, due, mean_between_interruptions
from ckptd.core.ids import Epoch, ProcessKey, Token
from ckptd.core.naming import split_user
from ckptd.core.process_table import STALLED, State
from ckptd.observe.metrics import Metrics
from ckptd.service.backend import Backend
from ckptd.service.caller import Caller
from ckptd.service.events import Events
from ckptd.service.table import Entry, Table
from ckptd.service.users import user_id
from ckptd.service.views import Map
from ckptd.service.workers import Workers
from ckptd.settings.tree import Config


@dataclass(slots=True)
class Context:
    """Shared by the services of one daemon. `config` is asked each time, because it may have been reloaded."""

    backend: Backend
    table: Table
    events: Events
    workers: Workers
    clock: Clock
    config: Callable[[], Config]
    metrics: Metrics
    interruptions: "Interruptions"
    read_only: str | None = None
    """Why nothing is written, where that is so."""
    floor: int = 0
    """Expiry's time (`core.expiry`) as of the last look: what is saved lives from then on at least."""
    expiry_waits: tuple[str, ...] = ()
    """What somebody has to confirm before anything expires, for people."""
    draining: str | None = None
    """Why nothing new begins, where that is so."""
    stalled: Mapping[ProcessKey, Epoch] = field(default_factory=dict)
    """Whose worker lives and does nothing, as of the monitor's last look."""

    def admitted(self, caller: Caller, raw: bytes) -> tuple[Entry, Token] | None:
        """The entry that a token writes to; None where it isn't in memory. Fenced where a newer epoch exists."""
        token = Token.unpack(raw)
        entry = self.table.get(token.process)
        if entry is None:
            return None
        self._check(caller, entry, token)
        return entry, token

    async def entry(self, caller: Caller, raw: bytes) -> tuple[Entry, Token]:
        """As `admitted`, and from the catalog where it isn't in memory."""
        found = self.admitted(caller, raw)
        if found is not None:
            return found
        token = Token.unpack(raw)
        row = await self.backend.read(lambda reader: reader.process_by_key(token.process))
        if row is None or token.lineage != self.backend.lineage:
            raise Fenced("the token is of another store, or its process is gone", hint="register the process again")
        entry = self.table.get(token.process) or self.table.take_in(row, self.clock.now())
        self._check(caller, entry, token)
        return entry, token

    def _check(self, caller: Caller, entry: Entry, token: Token) -> None:
        if token.lineage != self.backend.lineage:
            raise Fenced(
                "the token is of another lineage: the store was restored from a backup since", hint="register again"
            )
        caller.require(entry.uid)
        if token.epoch != entry.epoch:
            raise Fenced(
                f"process {entry.process_id} is at epoch {entry.epoch}, this worker has epoch {token.epoch}",
                hint="another worker took the process over: stop, and start again if you want to take it back",
                details={"process_id": entry.process_id, "epoch": token.epoch, "newer_epoch": entry.epoch},
            )
        if entry.closing:
            raise Busy(f"process {entry.process_id} is being taken over", hint="ask again: the answer is a moment away")
        if token.member is None and entry.holder is not None:
            entry.heard_at = self.clock.now()
            entry.lost_at = None
            entry.connections.add(caller.connection)

    def word(self, key: ProcessKey, epoch: Epoch, state: State) -> str:
        """The state as users see it: `stalled` is a running process's, and no state that is stored."""
        return STALLED if state is State.RUNNING and self.stalled.get(key) == epoch else state.word

    def whose(self, caller: Caller, named: str) -> tuple[int, str]:
        """(uid, process id) of what a caller names; an operator may write `user/process`."""
        if not caller.sees_all:
            return caller.uid, named
        user, process_id = split_user(named)
        if user is None:
            return caller.uid, named
        uid = user_id(user)
        if uid is None:
            raise UnknownProcess(f"no user {user} on this machine", details={"what": "process"})
        return uid, process_id

    def tick(self, entry: Entry, now: int) -> Map:
        """TICK of the protocol: whether a checkpoint is due, and whether to stop."""
        why = self.due(entry, now)
        stop = entry.stop_reason or self.draining
        return {"due": why is not None, "reason": why, "stop": stop is not None, "stop_reason": stop}

    def due(self, entry: Entry, now: int) -> Reason | None:
        """Why a checkpoint of this process is due."""
        if self.read_only is not None:
            return None
        cadence = entry.cadence
        auto = auto_interval(entry.save_cost_seconds, self.interruptions.mean_seconds()) if cadence.auto else 0.0
        last_at, last_completed = entry.last_checkpoint_at, entry.last_checkpoint_completed
        return due(cadence, entry.total, entry.completed_now, last_at, last_completed, now, auto)


@dataclass(slots=True)
class Interruptions:
    """How often work on this node is interrupted: what was seen, over how many seconds of somebody working."""

    count: int = 0
    seconds: float = 0.0

    def mean_seconds(self) -> float:
        """See `cadence.mean_between_interruptions`."""
        return mean_between_interruptions(self.seconds, self.count)


def cadence_of(packed: bytes, config: Config) -> tuple[Cadence, float | None]:
    """(cadence, TTL in seconds) of a process: what its policy says, else the node's settings."""
    policy: Map = msgpack.unpackb(packed) if packed else {}
    setting = config.checkpoint.interval_seconds
    interval, auto = (None, True) if setting == "auto" else (setting, False)
    cadence = Cadence(interval, config.checkpoint.progress_share, auto)
    asked = policy.get("interval_seconds")
    if isinstance(asked, int | float):
        cadence = replace(cadence, interval_seconds=float(asked), auto=False)
    if policy.get("auto"):
        cadence = replace(cadence, interval_seconds=None, auto=True)
    percent = policy.get("progress_percent")
    if isinstance(percent, int | float):
        cadence = replace(cadence, progress_share=percent / 100.0)
    ttl = policy.get("ttl_seconds")
    return cadence, float(ttl) if isinstance(ttl, int | float) else None
