"""Where a figure is heading; owns the terms *trend*, *slope* and *forecast*.

A store's figures jump: a large save, a cleanup, a day without work. A least-squares line follows the jumps; the
Theil-Sen slope, the median of the slopes between all pairs of points, holds while less than 29 % of the points are
off (H. Theil, 1950; P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968).
Not for: keeping figures (`observe.series`), or what a trend is worth (`health`). A point is (seconds, value).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

Point = tuple[float, float]

POINTS_MAX = 96
"""Of one slope: 4,560 pairs take two milliseconds, and a day has a point for each quarter of an hour."""

POINTS_MIN = 8
"""With fewer, two that are off would decide."""

SPAN_SECONDS_MIN = 600.0
"""What a shorter look back has is the beginning of something, and no trend."""

HORIZON = 2.0
"""A forecast reaches so many times further ahead than the look back: ten minutes say nothing of next week."""


@dataclass(frozen=True, slots=True)
class Trend:
    """What became of a figure over `span_seconds`: `now` is the newest value, `change` what it gained since the oldest.

    `slope` is the usual change a second; None where there is too little to go by.
    """

    now: float
    change: float
    span_seconds: float
    slope: float | None

    def seconds_until(self, level: float) -> float | None:
        """When the figure reaches a level, if it goes on so; None where it doesn't, or that is beyond the horizon."""
        if not self.slope:
            return None
        seconds = (level - self.now) / self.slope
        return seconds if 0.0 < seconds <= HORIZON * self.span_seconds else None


def trend(points: Sequence[Point]) -> Trend | None:
    """The trend of points in the order of their time; None of fewer than two."""
    if len(points) < 2:
        return None
    (begun, first), (ended, last) = points[0], points[-1]
    span = ended - begun
    few = thinned(points, POINTS_MAX)
    enough = len(few) >= POINTS_MIN and span >= SPAN_SECONDS_MIN
    return Trend(last, last - first, span, theil_sen(few) if enough else None)


def theil_sen(points: Sequence[Point]) -> float | None:
    """The median of the slopes between all pairs at different times; None where there is no such pair."""
    slopes = [(b - a) / (t - s) for (s, a), (t, b) in combinations(points, 2) if t != s]
    return median(slopes) if slopes else None


def thinned(points: Sequence[Point], count_max: int) -> Sequence[Point]:
    """At most so many points: of each equal stretch of time its medians."""
    if len(points) <= count_max:
        return points
    begun = points[0][0]
    width = (points[-1][0] - begun) / count_max or 1.0
    stretches: dict[int, list[Point]] = {}
    for point in points:
        stretches.setdefault(min(count_max - 1, int((point[0] - begun) / width)), []).append(point)
    return [(median(at for at, _ in few), median(value for _, value in few)) for few in stretches.values()]
