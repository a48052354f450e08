"""What the monitor remembers of each process that somebody holds: its pace, and the work that a crash would cost.

Times are the monotonic clock's: what the catalog says in wall time is turned into an age once, when it is first
seen, so that setting the clock exposes and stalls nobody. Not for: deciding what is stalled (`core.stalling`).
"""

from dataclasses import dataclass

from ckptd.core import stalling
from ckptd.core.advice import Costly, Exposed, Stuck
from ckptd.core.cadence import auto_interval
from ckptd.core.health import About
from ckptd.core.ids import Epoch, ProcessKey
from ckptd.core.process_table import Mode, State
from ckptd.core.stalling import Pace
from ckptd.service.context import Context
from ckptd.service.table import Entry


@dataclass(slots=True)
class Watch:
    """One process under one epoch."""

    epoch: Epoch
    pace: Pace
    completed: int
    saved_at: int
    """Of the newest checkpoint: what the entry says, and when that was."""
    saved: float
    recorded_count: int
    recorded: float
    """How many records there were, and when that changed last."""
    moved: float
    """When it last got further."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found; `begun` are the entries that are stalled since this look."""

    exposed: tuple[Exposed, ...]
    """Every process that has a target, most exposed first by its share of the target."""
    stuck: tuple[Stuck, ...]
    costly: tuple[Costly, ...]
    begun: tuple[tuple[Entry, Stuck], ...]


class Watching:
    """Looks at the process table; used on the loop's thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._watches: dict[ProcessKey, Watch] = {}

    def look(self) -> Seen:
        """Look at everybody once, and tell the context who is stalled."""
        context, before = self._context, self._watches
        now = context.clock.monotonic()
        watches, stalled = dict[ProcessKey, Watch](), dict[ProcessKey, Epoch]()
        exposed, stuck, costly, begun = list[Exposed](), list[Stuck](), list[Costly](), list[tuple[Entry, Stuck]]()
        for entry in context.table:
            if entry.state is not State.RUNNING or entry.holder is None:
                continue
            watch = before.get(entry.key)
            fresh = watch is None or watch.epoch != entry.epoch
            watch = self._first(entry, now) if watch is None or fresh else _again(watch, entry, now)
            watches[entry.key] = watch
            about = About(entry.uid, entry.process_id)
            if (target := self._target(entry)) is not None:
                exposed.append(Exposed(about, _at_risk(watch, entry), target))
            if entry.save_cost_seconds and entry.cadence.interval_seconds and not entry.cadence.auto:
                costly.append(Costly(about, entry.save_cost_seconds, entry.cadence.interval_seconds))
            if watch.pace.stalled and self._lives(entry):
                one = Stuck(about, watch.pace.lag_seconds, watch.pace.usual or 0.0)
                stuck.append(one)
                stalled[entry.key] = entry.epoch
                if context.stalled.get(entry.key) != entry.epoch:
                    begun.append((entry, one))
        self._watches, context.stalled = watches, stalled
        exposed.sort(key=lambda one: -one.at_risk_seconds / one.target_seconds)
        return Seen(tuple(exposed), tuple(stuck), tuple(costly), tuple(begun))

    def _first(self, entry: Entry, now: float) -> Watch:
        wall = self._context.clock.now()
        saved = now - max(0, wall - entry.last_checkpoint_at) / 1e6
        further = entry.completed_now > entry.last_checkpoint_completed
        moved = max(saved, now - max(0, wall - entry.progress_at) / 1e6) if further else saved
        pace = stalling.begin(_count(entry), now, entry.speed.per_second)
        records = entry.done + entry.failed
        return Watch(entry.epoch, pace, entry.completed_now, entry.last_checkpoint_at, saved, records, saved, moved)

    def _target(self, entry: Entry) -> float | None:
        """The most work that a crash should cost, in seconds; None where the process is saved by progress alone."""
        if entry.cadence.auto:
            return auto_interval(entry.save_cost_seconds, self._context.interruptions.mean_seconds())
        return entry.cadence.interval_seconds or None

    def _lives(self, entry: Entry) -> bool:
        assert entry.holder is not None
        alive = self._context.workers.alive(entry.holder)
        return entry.lost_at is None if alive is None else alive


def _count(entry: Entry) -> int:
    """Whatever work there is raises it."""
    return entry.completed_now + entry.done + entry.failed


def _again(watch: Watch, entry: Entry, now: float) -> Watch:
    watch.pace = stalling.look(watch.pace, _count(entry), now)
    if entry.last_checkpoint_at != watch.saved_at:
        watch.saved_at, watch.saved = entry.last_checkpoint_at, now
    if entry.done + entry.failed != watch.recorded_count:
        watch.recorded_count, watch.recorded = entry.done + entry.failed, now
    if entry.completed_now != watch.completed:
        watch.completed, watch.moved = entry.completed_now, now
    return watch


def _at_risk(watch: Watch, entry: Entry) -> float:
    """Seconds of work that are in no checkpoint; an item's result is safe once it is recorded, a state is not."""
    safe = watch.saved if entry.mode is Mode.STATEFUL else max(watch.saved, watch.recorded)
    return max(0.0, watch.moved - safe)
