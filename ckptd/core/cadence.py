"""How fast a process goes and when its next checkpoint is due; owns the terms *speed*, *cost* and *due*.

Not for: making a checkpoint (the worker does, when it is told that one is due) or remembering when the last one was.
All times are microseconds, as everywhere in the catalog; lengths of time are seconds.
"""

import math
import struct
from typing import Literal, Self

from ckptd.core.values import value

Reason = Literal["progress", "interval"]

_MICROS = 1_000_000

# --- recent speed ---

half_life_seconds = 120.0
"""After so long what was seen counts half: minutes of work decide, not the first hour and not the last item."""

sample_micros_min = 100_000
"""A process may report each microsecond; what comes sooner than this belongs to the next sample."""

weight_max = 0.5
"""One sample never counts for more than all before it: a worker stopped for a night halves its speed, not more."""

_eta_seconds_max = 1e10
_SPEED = struct.Struct(">Bqqdd")
_SPEED_VERSION = 1


@value
class Speed:
    """An exponentially weighted mean of steps a second, over time and not over reports.

    Each sample is the mean rate since the one before and weighs `1 - 2 ** (-seconds / half life)`, at most
    `weight_max`; `weighted / weight` is the estimate, unbiased from the first sample on. `at` 0: nothing was seen yet.
    """

    completed: int = 0
    at: int = 0
    weighted: float = 0.0
    weight: float = 0.0

    def update(self, completed: int, at: int) -> Self:
        """Take a report in. A step back, of progress or of the clock, is a new beginning and not a sample."""
        if self.at == 0 or completed < self.completed or at < self.at:
            return self.resume(completed, at)
        passed = at - self.at
        if passed < sample_micros_min:
            return self
        seconds = passed / _MICROS
        share = min(weight_max, 1.0 - 2.0 ** (-seconds / half_life_seconds))
        rate = (completed - self.completed) / seconds
        return type(self)(
            completed, at, self.weighted * (1.0 - share) + rate * share, self.weight * (1.0 - share) + share
        )

    def resume(self, completed: int, at: int) -> Self:
        """Go on from here after a time that nobody worked in: a registration, a recovery, a rewind."""
        return type(self)(completed, at, self.weighted, self.weight)

    @property
    def per_second(self) -> float | None:
        """Steps a second; None before there is anything to go by."""
        return self.weighted / self.weight if self.weight > 0.0 else None

    def eta(self, total: int | None, completed: int, now: int) -> int | None:
        """When the rest will be done; None where the total or the speed isn't known, or nothing moves."""
        rate = self.per_second
        if total is None or not rate:
            return None
        seconds = max(0, total - completed) / rate
        return now + round(seconds * _MICROS) if seconds <= _eta_seconds_max else None

    def pack(self) -> bytes:
        """33 bytes for the process's row."""
        return _SPEED.pack(_SPEED_VERSION, self.completed, self.at, self.weighted, self.weight)

    @classmethod
    def unpack(cls, raw: bytes) -> Self:
        """Read it back. What isn't of this form is as if nothing was seen: an estimate is no reason to refuse a process."""
        if len(raw) != _SPEED.size or raw[0] != _SPEED_VERSION:
            return cls()
        _, completed, at, weighted, weight = _SPEED.unpack(raw)
        sound = math.isfinite(weighted) and weighted >= 0.0 and 0.0 <= weight <= 1.0 and completed >= 0 and at >= 0
        return cls(completed, at, weighted, weight) if sound else cls()


# --- when a checkpoint is due ---

interval_seconds_min = 5.0
"""`auto` never asks more often: below that a worker's own loop, and not the save, is what it would disturb."""

interval_seconds_max = 4 * 3600.0
"""`auto` never asks more rarely: where nothing ever died, this is the most that the first death costs."""

prior_seconds = 86_400.0
"""Before anything was observed a process counts as one that worked a day and was interrupted once."""

cost_share = 0.25
"""What the newest cost counts in the smoothed one."""


@value
class Cadence:
    """What a process is saved by; None (or 0) is never by that. With `auto` the interval is `auto_interval`'s.

    `progress_share` is a share of the total, from 0 to 1.
    """

    interval_seconds: float | None = 300.0
    progress_share: float | None = 0.05
    auto: bool = False


def due(
    cadence: Cadence,
    total: int | None,
    completed: int,
    last_at: int,
    last_completed: int,
    now: int,
    auto_seconds: float,
) -> Reason | None:
    """Why a checkpoint is due, or None. `last_at` and `last_completed` are of the last one, else of the registration.

    After a rewind `completed` may lie below `last_completed`; nothing is due by progress until it is made up for.
    """
    gained = completed - last_completed
    if cadence.progress_share and total and gained >= cadence.progress_share * total:
        return "progress"
    interval = auto_seconds if cadence.auto else cadence.interval_seconds
    passed = now - last_at
    # A clock that was set back would let nothing be due until it has caught up: one early checkpoint ends that.
    if interval and (passed < 0 or passed >= interval * _MICROS):
        return "interval"
    return None


def smooth_cost(smoothed: float | None, measured_seconds: float) -> float:
    """The cost of a save, in seconds, with one more measured; the first counts whole."""
    return measured_seconds if smoothed is None else smoothed + cost_share * (measured_seconds - smoothed)


def mean_between_interruptions(observed_seconds: float, interruptions: int) -> float:
    """Seconds of work for each interruption: what was observed, and `prior_seconds` with one interruption before it.

    The posterior mean of a Poisson rate under a Gamma prior, turned around: `(prior + observed) / (1 + interruptions)`.
    """
    return (prior_seconds + max(0.0, observed_seconds)) / (1 + interruptions)


def daly(cost_seconds: float, mean_seconds: float) -> float:
    """Seconds of work between two saves that lose the least to saves and to deaths together.

    With the cost C of a save and the mean time M between interruptions, Young's first-order optimum is
    `T = sqrt(2 C M)` (J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974).
    Daly's refinement, used here, holds also where C is not small against M (J. T. Daly, "A higher order estimate of
    the optimum checkpoint interval for restart dumps", Future Generation Computer Systems 22(3), 2006):

        T = sqrt(2 C M) * (1 + sqrt(C / 2M) / 3 + (C / 2M) / 9) - C    for C < 2M,    else T = M
    """
    half = cost_seconds / (2.0 * mean_seconds)
    if half >= 1.0:
        return mean_seconds
    return math.sqrt(2.0 * cost_seconds * mean_seconds) * (1.0 + math.sqrt(half) / 3.0 + half / 9.0) - cost_seconds


def auto_interval(cost_seconds: float | None, mean_seconds: float, unmeasured_seconds: float = 300.0) -> float:
    """`daly`'s interval, kept within `interval_seconds_min` and `interval_seconds_max`.

    Before any save was measured (`cost_seconds` None) it is `unmeasured_seconds` as it stands.
    """
    if cost_seconds is None:
        return unmeasured_seconds
    return min(interval_seconds_max, max(interval_seconds_min, daly(cost_seconds, mean_seconds)))
