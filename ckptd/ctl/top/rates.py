"""Speeds from counters: what happened between two readings, divided by the time between them; owns *sample*.

A daemon that restarted begins its counters anew: between two daemons nothing is known, and a gap is shown. Not for:
what a figure means.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ckptclient import results

SAMPLES_MAX = 121
"""Two minutes at one a second."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters of one reading; `at` in monotonic seconds. A counter that was never raised is absent there, and 0 here."""

    at: float
    pid: int
    saves: float
    changes: float
    commits: float
    commit_seconds: float
    used_bytes: float

    @classmethod
    def of(cls, at: float, status: results.StoreStatus) -> "Sample":
        """From the daemon's figures."""
        figures = status.commits
        took = figures.get("commit_seconds")
        of_commits = took if isinstance(took, Mapping) else {}
        return cls(
            at,
            status.pid,
            number(figures.get("saves_total")),
            number(figures.get("changes_total")),
            number(of_commits.get("count")),
            number(of_commits.get("sum")),
            status.used_bytes,
        )


def number(value: object) -> float:
    """A figure, 0 where there is none."""
    return value if isinstance(value, int | float) else 0


Between = Callable[[Sample, Sample], float | None]


def saves_per_second(before: Sample, after: Sample) -> float | None:
    """Saves that were acknowledged."""
    return (after.saves - before.saves) / (after.at - before.at)


def changes_per_second(before: Sample, after: Sample) -> float | None:
    """Everything that was written: saves, records, registrations."""
    return (after.changes - before.changes) / (after.at - before.at)


def stored_per_second(before: Sample, after: Sample) -> float | None:
    """Bytes by which the store grew; less than none where more was given back."""
    return (after.used_bytes - before.used_bytes) / (after.at - before.at)


def commit_seconds(before: Sample, after: Sample) -> float | None:
    """How long a commit took on average; None where there was none."""
    count = after.commits - before.commits
    return (after.commit_seconds - before.commit_seconds) / count if count > 0 else None


class Rates:
    """The samples of the last while."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)

    def add(self, sample: Sample) -> None:
        """One more; ignored where no time has passed."""
        if not self._samples or sample.at > self._samples[-1].at:
            self._samples.append(sample)

    def series(self, between: Between, count: int) -> Sequence[float | None]:
        """The last `count` values, oldest first; None where nothing is known, as before the first reading."""
        samples = list(self._samples)[-count - 1 :]
        known = [between(before, after) if before.pid == after.pid else None for before, after in pairwise(samples)]
        return [None] * (count - len(known)) + known

    def last(self, between: Between) -> float | None:
        """The newest value."""
        return self.series(between, 1)[0]
