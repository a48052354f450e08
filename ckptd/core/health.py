"""How well a daemon and its store do, as one number that explains itself; owns the terms *health*, *component*, *level*.

    score = max(0, 100 - sum of the components' points)

    points(value) = 0                                                    up to the threshold
                    weight * (value - threshold) / (severe - threshold)  beyond it, rounded, at least 1
                    weight                                               from `severe` on

`RULES` has a row for each component. Where less is worse `severe` lies below the threshold, and the same formula
holds. A component whose figure wasn't measured is absent: it costs nothing and says nothing. From 90 on the level is
healthy, from 70 on warning, below it critical; so nothing but space, durability, a store that is only read, and failed
writes is critical alone.
Not for: measuring (`service.health`), or what to do about it (`advice`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ckptd.core.quota import size

Level = Literal["healthy", "warning", "critical"]
Unit = Literal["seconds", "share", "times", "count", "bytes"]

HEALTHY_MIN, WARNING_MIN = 90, 70

HOUR, DAY = 3600.0, 86_400.0

RPO_TIMES = 2.0
"""So many times its target a process may be exposed: a save that is due takes its time."""

COMMIT_SECONDS_MIN = 0.01
"""Latencies are compared from here on: below it nobody waits, and an idle store differs tenfold from a busy one."""

WINDOW_SECONDS = 600.0
"""Over which whatever is counted (failures, refusals, jumps of the clock) counts."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One component: from where on it costs, where it costs all of its weight, and what its value is of."""

    name: str
    unit: Unit
    threshold: float
    severe: float
    weight: int
    says: str
    """What the value is, with `{}` in its place."""

    def points(self, value: float) -> int:
        """What a value costs; see the module."""
        share = (value - self.threshold) / (self.severe - self.threshold)
        return max(1, round(self.weight * min(1.0, share))) if share > 0 else 0

    def sentence(self, value: float, detail: str) -> str:
        """The value and the threshold in words."""
        side = "below" if self.severe < self.threshold else "above"
        more = f" ({detail})" if detail else ""
        return f"{self.says.format(words(value, self.unit))}{more}; {side} {words(self.threshold, self.unit)} it costs points"


# fmt: off
RULES: Final[Sequence[Rule]] = (
    Rule("space", "share", 0.20, 0.03, 40, "{} of the room is left"),
    Rule("time_until_full", "seconds", 3 * DAY, 2 * HOUR, 24, "at the present rate the room is used up in {}"),
    Rule("durability_lag", "seconds", 1.0, 10.0, 32, "what is written now is on disk in {}"),
    Rule("read_only", "count", 0, 1, 40, "{} store is read-only"),
    Rule("failed_writes", "count", 0, 10, 32, "{} writes failed by no fault of the worker in 10 m"),
    Rule("fenced_writes", "count", 0, 50, 10, "{} requests in 10 m were of workers that another one had replaced"),
    Rule("damaged_state", "count", 0, 2, 32, "{} processes have a damaged checkpoint where a recovery looks first"),
    Rule("damage", "count", 0, 10, 32, "{} places of what is stored are damaged"),
    Rule("scrub_age", "times", 1.0, 3.0, 16, "the oldest look at what is stored was {} the scrub's period ago"),
    Rule("rpo", "times", RPO_TIMES, 6.0, 24, "a crash would cost the most exposed process {} its target"),
    Rule("stalled_work", "count", 0, 2, 24, "{} processes do nothing while their workers live"),
    Rule("commit_latency", "times", 3.0, 15.0, 24, "a commit takes {} what it took over the last day"),
    Rule("loop_lag", "seconds", 0.25, 2.5, 16, "the event loop was {} late at worst in the last minute"),
    Rule("catalog_size", "bytes", 4e9, 32e9, 12, "the catalog has {}"),
    Rule("clients_refused", "count", 0, 100, 16, "{} connections were refused in 10 m"),
    Rule("expiry_waits", "count", 0, 2, 24, "expiry waits for {} confirmations"),
    Rule("backup_age", "times", 2.0, 7.0, 24, "the newest backup is {} its interval old"),
    Rule("backup_drill", "count", 0, 1, 24, "{} of the newest backup's drills failed"),
    Rule("clock_jump", "seconds", 10.0, HOUR, 10, "the wall clock and the monotonic one moved apart by {} in 10 m"),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class About:
    """A process that a component's value is of."""

    uid: int
    process_id: str


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured for one component. `detail` is figures behind the value; it names nobody, `about` does."""

    value: float
    detail: str = ""
    about: tuple[About, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """One component's part in the score."""

    rule: Rule
    value: float
    points: int
    sentence: str
    about: tuple[About, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """The score with all that it is made of, in the order of `RULES`."""

    score: int
    level: Level
    components: tuple[Component, ...]

    @property
    def faults(self) -> tuple[Component, ...]:
        """What lowers the score, most first."""
        return tuple(sorted((one for one in self.components if one.points), key=lambda one: -one.points))

    @property
    def words(self) -> str:
        """One line: `warning 78: space -12, rpo -10`."""
        why = ", ".join(f"{one.rule.name} -{one.points}" for one in self.faults)
        return f"{self.level} {self.score}" + (f": {why}" if why else "")


def judge(figures: Mapping[str, Figure]) -> Health:
    """The health that these figures make, by the names of `RULES`."""
    components = tuple(
        Component(rule, one.value, rule.points(one.value), rule.sentence(one.value, one.detail), one.about)
        for rule in RULES
        if (one := figures.get(rule.name)) is not None
    )
    score = max(0, 100 - sum(one.points for one in components))
    return Health(score, level(score), components)


def level(score: int) -> Level:
    """The level of a score."""
    return "healthy" if score >= HEALTHY_MIN else "warning" if score >= WARNING_MIN else "critical"


CALM_LOOKS = 3
"""It is told that things are better once they were so often in a row: a score at a border would tell each minute."""


@dataclass(frozen=True, slots=True)
class Told:
    """The level that was told last; that it got worse is told at once."""

    level: Level = "healthy"
    calm_looks: int = 0

    def next(self, found: Level) -> "Told":
        """After one more look; what is to be told has another level than this."""
        if _RANK[found] > _RANK[self.level]:
            return Told(found)
        if found == self.level:
            return Told(found)
        calm = self.calm_looks + 1
        return Told(found) if calm >= CALM_LOOKS else Told(self.level, calm)


_RANK: Final[Mapping[Level, int]] = {"healthy": 0, "warning": 1, "critical": 2}


def words(value: float, unit: Unit) -> str:
    """A value for people: `12 %`, `3.5 times`, `2 d 4 h`."""
    match unit:
        case "share":
            return f"{100 * value:.0f} %"
        case "times":
            return f"{value:.1f} times"
        case "count":
            return f"{value:,.0f}"
        case "bytes":
            return size(round(value))
        case "seconds":
            return span(value)


_SPANS: Final = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def span(seconds: float) -> str:
    """`4 ms`, `1.5 s`, `14 m`, `2 d 4 h`: two units at most."""
    if seconds < 10:
        return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
    left, said = round(seconds), list[str]()
    for scale, unit in _SPANS:
        amount, left = divmod(left, scale)
        if amount:
            said.append(f"{amount} {unit}")
        elif said:
            break
    return " ".join(said[:2])
