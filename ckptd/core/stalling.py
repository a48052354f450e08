"""Telling stalled work from slow work by its own past; owns the terms *pace* and *stalled*.

A process is stalled when its worker lives and it goes on at less than a tenth of its usual pace for longer than it
ever paused by itself. So one that does a step an hour has hours, one that pauses after each epoch has three such
pauses, and of one whose usual pace isn't known yet nothing is said.
Not for: death (the kernel tells), nor for what is done about it. Times are monotonic seconds, so that setting the
clock stalls nobody; the count is of anything that only rises while work goes on.
"""

from dataclasses import dataclass, replace

SHARE = 0.1
"""Of the usual pace, below which a process doesn't keep up."""

PATIENCE_SECONDS_MIN = 300.0
STEPS = 1 / SHARE
"""Not one step where so many are usual is less than the share; before that time has passed nothing can be said."""

PAUSES = 3.0
"""So many times the longest pause that ended by itself is still a pause."""

LEARNING_SECONDS = 300.0
HALF_LIFE_SECONDS = 3600.0
WEIGHT_MAX = 0.5
SETTLED_SECONDS = 3600.0
"""Who was stalled so long and moves at a pace of its own has a new usual pace, and is slow."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What was seen of one process up to `at`."""

    count: int
    at: float
    since: float
    """When it last kept up."""
    window_at: float
    """What it does is measured from here: from when it last kept up, and while it is stalled from not longer ago than
    its patience, so that an hour of nothing doesn't have to be made up for."""
    window_count: int
    usual: float | None = None
    """Steps a second while it kept up."""
    pause_seconds: float = 0.0
    """The longest time after which it kept up again by itself."""
    stalled: bool = False

    @property
    def patience_seconds(self) -> float | None:
        """How long it may lag before it counts as stalled; None while its usual pace isn't known."""
        if not self.usual:
            return None
        return max(PATIENCE_SECONDS_MIN, STEPS / self.usual, PAUSES * self.pause_seconds)

    @property
    def lag_seconds(self) -> float:
        """How long it hasn't kept up."""
        return self.at - self.since


def begin(count: int, at: float, per_second: float | None = None) -> Pace:
    """First seen; `per_second` is what is remembered of its speed."""
    return Pace(count, at, at, at, count, per_second or None)


def look(pace: Pace, count: int, at: float) -> Pace:
    """Seen again."""
    if count < pace.window_count:  # a rewind: what it does again counts from here
        return replace(begin(count, at, pace.usual), pause_seconds=pace.pause_seconds)
    moved, seen = count > pace.count, replace(pace, count=count, at=at)
    passed, gained = at - pace.window_at, count - pace.window_count
    patience = pace.patience_seconds
    if pace.usual is None or patience is None:
        learnt = gained > 0 and passed >= LEARNING_SECONDS
        return begin(count, at, gained / passed) if learnt else seen
    if gained > 0 and gained >= SHARE * pace.usual * passed:
        return _kept_up(seen, pace.usual, gained, passed, patience)
    if pace.stalled and moved and seen.lag_seconds >= max(SETTLED_SECONDS, 2 * patience):
        return begin(count, at)
    if passed >= patience:
        return replace(seen, stalled=True, window_at=at, window_count=count)
    return seen


def _kept_up(pace: Pace, usual: float, gained: int, passed: float, patience: float) -> Pace:
    weight = min(WEIGHT_MAX, 1.0 - 2.0 ** (-passed / HALF_LIFE_SECONDS))
    rate = gained / passed if passed > 0 else usual
    # A stall of days that ended must not let the next one go unnoticed for weeks.
    pause = max(pace.pause_seconds, min(pace.lag_seconds, 2 * patience))
    known = begin(pace.count, pace.at, usual + weight * (rate - usual))
    return replace(known, pause_seconds=pause)
