"""Measuring how the daemon and its store do, once a minute, and telling it; owns the term *look*.

A look takes what is counted anyway (`observe.metrics`, `service.space`, the process table), a probe's way through the
committer's queue, and the history of both in `observe.series`; `core.health` makes the score of it. Nothing is
written to the catalog but events: that the level changed, that a process has stalled.
Not for: when it looks (`loops.monitor`).
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from ckptclient.wire import params
from ckptd.core import health, trends
from ckptd.core.advice import Exposed, Recommendation, Room, Stuck, recommend
from ckptd.core.change import Change, EventRow
from ckptd.core.health import About, Component, Figure, Health, Told, span
from ckptd.core.quota import size
from ckptd.core.trends import Trend
from ckptd.observe import log
from ckptd.observe.series import Series
from ckptd.service.caller import Caller
from ckptd.service.context import Context
from ckptd.service.space import Space
from ckptd.service.table import Entry
from ckptd.service.users import user_name
from ckptd.service.views import Map
from ckptd.service.watching import Watching

if TYPE_CHECKING:
    import asyncio

LOG = log.get(__name__)

HISTORY_COUNT_MIN = 10
"""Minutes with commits, before which a latency has no history to be compared with."""

RECENT_COUNT = 3
"""Minutes with commits whose median is the latency now: one slow minute is an accident."""

TRENDS = ("used_bytes", "left_bytes", "checkpoints", "commit_seconds", "catalog_bytes", "score")

_COUNTED = {
    "failed_writes": "writes_failed_total",
    "fenced_writes": "errors_fenced_total",
    "clients_refused": "connections_refused_total",
}
"""By component: the counter whose rise over the window is its value."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the counters and both clocks said at a look."""

    monotonic: float
    wall: int
    counters: Mapping[str, float]
    commits: tuple[int, float]
    """How many batches were committed, and the seconds that they took."""


@dataclass(frozen=True, slots=True)
class Report:
    """One look's outcome."""

    at: int
    health: Health
    trends: Mapping[str, Trend]
    advice: Sequence[Recommendation]


@dataclass(frozen=True, slots=True)
class History:
    """What the series says, with the minute that was just put in."""

    trends: Mapping[str, Trend]
    commits: Sequence[float]


class Monitor:
    """`health.report`, and the look that feeds it. `told` hears of each new level, in one line."""

    def __init__(self, context: Context, space: Space, series: Series | None, catalog_files: Sequence[Path]) -> None:
        self._context = context
        self._space = space
        self._series = series
        self._catalog_files = catalog_files
        self._watching = Watching(context)
        self._marks: deque[Mark] = deque([self._mark()], maxlen=11)
        self._jumps: deque[tuple[float, float]] = deque()
        self._lag: float | None = None
        self._probe: tuple[float, float | None] | None = None
        self._told = Told()
        self._report: Report | None = None
        self.told: Callable[[str], None] = lambda words: None
        self.sources: list[Callable[[], Awaitable[Mapping[str, Figure]]]] = []
        """What else has figures for a look, by the names of `health.RULES`."""

    def late(self, seconds: float) -> None:
        """The loop came so much later than it was asked to; the worst until the next look counts."""
        self._lag = max(self._lag or 0.0, seconds)

    async def report(self, caller: Caller, p: params.Nothing) -> Map:
        """The newest look; the first one where there is none yet."""
        found = self._report or await self.look()

        def visible(about: About) -> bool:
            return caller.sees_all or about.uid == caller.uid

        return {
            "at": found.at,
            "score": found.health.score,
            "level": found.health.level,
            "components": [_component(one, visible) for one in found.health.components],
            "trends": [_trend(name, one) for name, one in found.trends.items()],
            "recommendations": [_advice(one) for one in found.advice if one.about is None or visible(one.about)],
        }

    async def look(self) -> Report:
        """Measure, judge, remember, and tell what changed."""
        context = self._context
        await self._space.look()
        totals = await context.backend.read(lambda reader: reader.totals(None))
        mark, seen = self._mark(), self._watching.look()
        figures = self._counted(mark) | self._own(mark) | _of_processes(seen.exposed, seen.stuck)
        values = self._values(mark, totals.checkpoints)
        history = await self._remember(mark.wall, values)
        figures |= self._compared(history)
        for source in self.sources:
            figures |= await source()
        found = health.judge(figures)
        room = Room(self._space.left_bytes, self._space.free_bytes, totals.trash)
        over = [one for one in seen.exposed if one.at_risk_seconds > health.RPO_TIMES * one.target_seconds]
        advice = recommend(found, room, over, seen.stuck, seen.costly, context.interruptions.mean_seconds())
        await self._keep(mark.wall, {**values, "score": float(found.score)})
        self._report = Report(mark.wall, found, history.trends, advice)
        self._begin_anew(mark)
        self._tell(found, seen.begun)
        return self._report

    def close(self) -> None:
        """Give the series back."""
        if self._series is not None:
            self._series.close()

    # Measuring

    def _mark(self) -> Mark:
        context = self._context
        snapshot = context.metrics.snapshot()
        counters = {name: float(value) for name, value in snapshot.items() if isinstance(value, int | float)}
        commits = snapshot.get("commit_seconds")
        done = (commits["count"], commits["sum"]) if isinstance(commits, dict) else (0, 0.0)
        return Mark(context.clock.monotonic(), context.clock.now(), counters, done)

    def _counted(self, mark: Mark) -> dict[str, Figure]:
        oldest = self._marks[0].counters
        return {
            name: Figure(mark.counters.get(counter, 0.0) - oldest.get(counter, 0.0))
            for name, counter in _COUNTED.items()
        }

    def _own(self, mark: Mark) -> dict[str, Figure]:
        """The figures of this moment: room, queue, loop, clock, catalog."""
        space, found = self._space, dict[str, Figure]()
        if space.capacity_bytes:
            room = f"{size(space.left_bytes)} of {size(space.capacity_bytes)}"
            found["space"] = Figure(space.left_bytes / space.capacity_bytes, room)
        if self._probe is not None:
            begun, took = self._probe
            found["durability_lag"] = Figure(mark.monotonic - begun if took is None else took)
        if self._lag is not None:
            found["loop_lag"] = Figure(self._lag)
        last = self._marks[-1]
        apart = abs((mark.wall - last.wall) / 1e6 - (mark.monotonic - last.monotonic))
        self._jumps.append((mark.monotonic, apart))
        while self._jumps[0][0] <= mark.monotonic - health.WINDOW_SECONDS:
            self._jumps.popleft()
        found["clock_jump"] = Figure(max(jump for _, jump in self._jumps))
        why = self._context.read_only
        found["read_only"] = Figure(0.0 if why is None else 1.0, why or "")
        waits = self._context.expiry_waits
        found["expiry_waits"] = Figure(len(waits), "; ".join(waits))
        found["catalog_size"] = Figure(self._catalog_bytes())
        return found

    def _catalog_bytes(self) -> float:
        return float(sum(path.stat().st_size for path in self._catalog_files if path.exists()))

    def _values(self, mark: Mark, checkpoints: int) -> dict[str, float]:
        """What the series keeps of this minute."""
        (count, seconds), (count_before, seconds_before) = mark.commits, self._marks[-1].commits
        values = {
            "used_bytes": float(self._space.used_bytes),
            "left_bytes": float(self._space.left_bytes),
            "checkpoints": float(checkpoints),
            "catalog_bytes": self._catalog_bytes(),
        }
        if count > count_before:
            values["commit_seconds"] = (seconds - seconds_before) / (count - count_before)
        if self._lag is not None:
            values["loop_lag_seconds"] = self._lag
        return values

    async def _remember(self, wall: int, values: Mapping[str, float]) -> History:
        """The history with this minute in; its score follows, as it is judged by this."""
        await self._keep(wall, values)
        series = self._series
        if series is None:
            return History({}, ())

        def ask() -> History:
            points = series.points(wall // 1_000_000)
            found = {name: trends.trend(points[name]) for name in TRENDS}
            known = {name: one for name, one in found.items() if one is not None}
            return History(known, [value for _, value in points["commit_seconds"]])

        return await self._context.backend.read(lambda _: ask())

    async def _keep(self, wall: int, values: Mapping[str, float]) -> None:
        if (series := self._series) is None:
            return
        try:
            await self._context.backend.read(lambda _: series.put(wall // 1_000_000, values))
        except OSError as error:
            LOG.warning("the figures of this minute can't be kept", why=error.strerror)

    def _compared(self, history: History) -> dict[str, Figure]:
        """The figures that only a history gives."""
        found = dict[str, Figure]()
        if (left := history.trends.get("left_bytes")) is not None and left.now > 0:
            until = left.seconds_until(0.0)
            if until is not None and left.slope is not None:
                rate = f"{size(round(-left.slope * health.DAY))} a day over {span(left.span_seconds)}"
                found["time_until_full"] = Figure(until, rate)
        recent, before = history.commits[-RECENT_COUNT:], history.commits[:-RECENT_COUNT]
        if len(before) >= HISTORY_COUNT_MIN:
            now, usual = median(recent), median(before)
            least = health.COMMIT_SECONDS_MIN
            found["commit_latency"] = Figure(
                max(now, least) / max(usual, least), f"{span(now)} now, {span(usual)} usually"
            )
        return found

    def _begin_anew(self, mark: Mark) -> None:
        """What counts until the next look."""
        self._marks.append(mark)
        self._lag = None
        if self._probe is None or self._probe[1] is not None:
            begun = self._context.clock.monotonic()
            self._probe = (begun, None)
            self._context.backend.slice(lambda _: None).add_done_callback(lambda _: self._arrived(begun))

    def _arrived(self, begun: float) -> None:
        self._probe = (begun, self._context.clock.monotonic() - begun)

    # Telling

    def _tell(self, found: Health, begun: Sequence[tuple[Entry, Stuck]]) -> None:
        context, before = self._context, self._told
        self._told = before.next(found.level)
        events = [_stalled(entry, one) for entry, one in begun]
        for entry, one in begun:
            LOG.warning(
                "a process has stalled", process=entry.process_id, uid=entry.uid, seconds=round(one.lag_seconds)
            )
        if self._told.level != before.level:
            better = found.level == "healthy"
            (LOG.info if better else LOG.warning)("the health changed", health=found.words, before=before.level)
            self.told(found.words)
            why = ", ".join(one.rule.name for one in found.faults)
            data = (("level", found.level), ("before", before.level), ("score", found.score), ("why", why))
            events.append(EventRow("health", 0, None, "", data))
        if events:
            # Not waited for: where the disk stands still, that is what has to be told, and the next look goes on.
            change = Change(context.clock.now(), 0, events=tuple(events))
            context.backend.submit(change, lambda _: context.events.happened()).add_done_callback(_told)


def _told(written: "asyncio.Future[None]") -> None:
    if not written.cancelled() and (error := written.exception()) is not None:
        LOG.warning("an event can't be written", why=error)


def _of_processes(exposed: Sequence[Exposed], stuck: Sequence[Stuck]) -> dict[str, Figure]:
    found = {"stalled_work": Figure(float(len(stuck)), about=tuple(one.about for one in stuck))}
    if exposed:
        worst = exposed[0]
        over = [one.about for one in exposed if one.at_risk_seconds > health.RPO_TIMES * one.target_seconds]
        detail = f"{span(worst.at_risk_seconds)} of work, target {span(worst.target_seconds)}"
        found["rpo"] = Figure(worst.at_risk_seconds / worst.target_seconds, detail, tuple(over))
    return found


def _stalled(entry: Entry, one: Stuck) -> EventRow:
    """The event of a process that stalled, with the last thing that it said."""
    data = (
        ("step", entry.step),
        ("batch", entry.batch),
        ("completed", entry.completed_now),
        ("total", entry.total),
        ("seconds", round(one.lag_seconds)),
        ("usual_per_second", f"{one.usual_per_second:.3g}"),
    )
    return EventRow("stalled", entry.uid, entry.key, entry.process_id, data)


def _component(one: Component, visible: Callable[[About], bool]) -> Map:
    rule = one.rule
    return {
        "name": rule.name,
        "value": one.value,
        "unit": rule.unit,
        "threshold": float(rule.threshold),
        "severe": float(rule.severe),
        "weight": rule.weight,
        "points": one.points,
        "sentence": one.sentence,
        "processes": [f"{user_name(about.uid)}/{about.process_id}" for about in one.about if visible(about)],
    }


def _trend(name: str, one: Trend) -> Map:
    return {
        "name": name,
        "now": one.now,
        "change": one.change,
        "span_seconds": one.span_seconds,
        "per_day": one.slope * health.DAY if one.slope is not None else None,
        "seconds_until_zero": one.seconds_until(0.0) if name == "left_bytes" else None,
    }


def _advice(one: Recommendation) -> Map:
    about = f"{user_name(one.about.uid)}/{one.about.process_id}" if one.about is not None else None
    return {"component": one.component, "process": about, "command": one.command, "why": one.why, "gain": one.gain}
