"""What would help, and what it would give; owns the term *recommendation*.

Each rule needs a figure: where none was measured, nothing is advised. Not for: doing it.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ckptd.core.cadence import auto_interval
from ckptd.core.health import About, Health, span
from ckptd.core.quota import size

OVERHEAD_SHARE_MIN = 0.05
"""Of its time that a process spends on saving, from which on an interval that fits its cost is worth a word."""

FULL = frozenset(("space", "time_until_full"))


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do, why, and what it would gain. `about` is the process that it names; `component` what it would raise."""

    component: str | None
    command: str
    why: str
    gain: str
    about: About | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """The store's room: what is left to it, what the file system has free, and what lies in the trash."""

    left_bytes: int
    free_bytes: int
    trash_count: int


@dataclass(frozen=True, slots=True)
class Exposed:
    """A process whose crash would cost more work than its target."""

    about: About
    at_risk_seconds: float
    target_seconds: float


@dataclass(frozen=True, slots=True)
class Stuck:
    """A process that does nothing while its worker lives."""

    about: About
    lag_seconds: float
    usual_per_second: float


@dataclass(frozen=True, slots=True)
class Costly:
    """A process that is saved by an interval: the seconds that one of its saves takes it."""

    about: About
    save_seconds: float
    interval_seconds: float


def recommend(
    health: Health,
    room: Room,
    exposed: Sequence[Exposed],
    stuck: Sequence[Stuck],
    costly: Sequence[Costly],
    mean_between_interruptions: float,
) -> list[Recommendation]:
    """All that the rules say, in the order of what it would raise."""
    lowered = {one.rule.name: one for one in health.faults}
    found = list(_room(next((name for name in lowered if name in FULL), None), room))
    found += [_stuck(one) for one in stuck]
    found += [_exposed(one) for one in exposed]
    if (refused := lowered.get("clients_refused")) is not None:
        why = f"{refused.value:,.0f} connections were refused in 10 m"
        gain = f"room for the {refused.value:,.0f} connections that were refused"
        found.append(Recommendation("clients_refused", "ckptctl explain limits.connections_max", why, gain))
    if (waits := lowered.get("expiry_waits")) is not None:
        gain = "what has ended goes, and its space is given back"
        found.append(Recommendation("expiry_waits", "ckptctl cleanup", waits.sentence, gain))
    return found + [one for each in costly for one in _costly(each, mean_between_interruptions)]


def _room(component: str | None, room: Room) -> Iterator[Recommendation]:
    if component is None:
        return
    left = f"{size(room.left_bytes)} are left to the store"
    if room.trash_count:
        trash = f"the room of {room.trash_count:,} checkpoints, once retention.trash has passed for them"
        why = f"{left}, and {room.trash_count:,} checkpoints lie in the trash"
        yield Recommendation(component, "ckptctl cleanup", why, trash)
    beyond = room.free_bytes - room.left_bytes
    if beyond > 0:
        why = f"{left} by store.limit, and {size(room.free_bytes)} are free on its file system"
        yield Recommendation(component, "ckptctl explain store.limit", why, f"up to {size(beyond)} more room")


def _stuck(one: Stuck) -> Recommendation:
    missing = one.lag_seconds * one.usual_per_second
    return Recommendation(
        "stalled_work",
        f"ckptctl show {shlex.quote(one.about.process_id)}",
        f"it has kept up with less than a tenth of its usual pace for {span(one.lag_seconds)}, and its worker lives",
        f"{missing:,.0f} steps that it would have done since at its usual {one.usual_per_second:.3g} a second",
        one.about,
    )


def _exposed(one: Exposed) -> Recommendation:
    return Recommendation(
        "rpo",
        f"ckptctl show {shlex.quote(one.about.process_id)}",
        f"{span(one.at_risk_seconds)} of its work are in no checkpoint, and its target is {span(one.target_seconds)}",
        f"a crash would cost {span(one.at_risk_seconds - one.target_seconds)} less if it saved when it is told to",
        one.about,
    )


def _costly(one: Costly, mean_between_interruptions: float) -> Iterator[Recommendation]:
    better = auto_interval(one.save_seconds, mean_between_interruptions)
    now, then = one.save_seconds / one.interval_seconds, one.save_seconds / better
    if now < OVERHEAD_SHARE_MIN or then >= now:
        return
    yield Recommendation(
        None,
        "ckptctl explain checkpoint.interval",
        f"a save takes it {span(one.save_seconds)}, and each {span(one.interval_seconds)} one is due: "
        f"{100 * now:.0f} % of its time; auto would ask each {span(better)}",
        f"{span(3600 * (now - then))} of work in each hour",
        one.about,
    )
