"""Counters, gauges and distributions of one daemon, kept in memory; owns no meaning of any name.

Made for the path of a save: a count costs a lock and a dictionary, an observation a bisection beside it, and memory
does not grow with what is observed. What was never measured is absent, so that nobody reads a made-up zero.
Not for: history, export, or health, which read `Metrics.snapshot`. Names end in their unit (`commit_seconds`,
`payload_bytes`), counters in `_total`.
"""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, TypedDict

_PER_DECADE = 10
_DECADE_FIRST, _DECADE_LAST = -6, 12  # a microsecond to a thousand years of seconds, a byte to a TB

BOUNDS: Final[Sequence[float]] = tuple(
    10 ** (step / _PER_DECADE) for step in range(_DECADE_FIRST * _PER_DECADE, _DECADE_LAST * _PER_DECADE + 1)
)
"""Upper ends of the buckets: each is 26 % above the last, which bounds the error of a quantile."""


class Distribution(TypedDict):
    """A distribution in figures; quantiles are within 26 % of the truth, and never beyond `min` and `max`."""

    count: int
    sum: float
    min: float
    max: float
    p50: float
    p90: float
    p99: float


class _Histogram:
    __slots__ = ("buckets", "count", "high", "low", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.count, self.total = 0, 0.0
        self.low, self.high = float("inf"), float("-inf")

    def add(self, value: float) -> None:
        self.buckets[bisect_left(BOUNDS, value)] += 1
        self.count += 1
        self.total += value
        self.low, self.high = min(self.low, value), max(self.high, value)

    def quantile(self, share: float) -> float:
        rank, seen = share * self.count, 0
        for count, bound in zip(self.buckets, BOUNDS, strict=False):
            seen += count
            if seen >= rank:
                return min(max(bound, self.low), self.high)
        return self.high

    def figures(self) -> Distribution:
        return {
            "count": self.count,
            "sum": self.total,
            "min": self.low,
            "max": self.high,
            "p50": self.quantile(0.50),
            "p90": self.quantile(0.90),
            "p99": self.quantile(0.99),
        }


class Metrics:
    """The figures of one daemon. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # `+=` on a dictionary's value is two steps, and the committer counts too
        self._counters: dict[str, int] = {}
        self._gauges: dict[str, float] = {}
        self._histograms: dict[str, _Histogram] = {}

    def count(self, name: str, n: int = 1) -> None:
        """Raise a counter, which only goes up."""
        with self._lock:
            self._counters[name] = self._counters.get(name, 0) + n

    def gauge(self, name: str, value: float) -> None:
        """State what something is at now."""
        with self._lock:
            self._gauges[name] = value

    def observe(self, name: str, value: float) -> None:
        """Add one measurement to a distribution."""
        with self._lock:
            histogram = self._histograms.get(name)
            if histogram is None:
                histogram = self._histograms[name] = _Histogram()
            histogram.add(value)

    def snapshot(self) -> dict[str, int | float | Distribution]:
        """All that was measured, by name, as of one moment."""
        with self._lock:
            figures: dict[str, int | float | Distribution] = {**self._counters, **self._gauges}
            figures |= {name: histogram.figures() for name, histogram in self._histograms.items()}
        return dict(sorted(figures.items()))
