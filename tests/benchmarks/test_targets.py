"""Targets: which figure keeps its bound, and what is said of one that doesn't."""

import pytest

from benchmarks.targets import TARGETS, Target
from benchmarks.workloads import WORKLOADS


def bound(at_least: float | None = None, at_most: float | None = None, over: str | None = None) -> Target:
    return Target("it", "w1", "field", over=over, at_least=at_least, at_most=at_most)


@pytest.mark.parametrize(
    ("target", "median", "outcome"),
    [
        (bound(at_least=0.7), 0.7, "yes"),
        (bound(at_least=0.7), 2.0, "yes"),
        (bound(at_least=0.8), 0.2, "**no**: at 25.0% of it"),
        (bound(at_most=2.0), 2.0, "yes"),
        (bound(at_most=2.0), 0.0, "yes"),
        (bound(at_most=2.0), 5.0, "**no**: at 250.0% of it"),
        (bound(at_most=0.0), 0.0, "yes"),
        (bound(at_most=0.0), 3.0, "**no**"),
        (bound(at_least=1.0, at_most=2.0), 3.0, "**no**: at 150.0% of it"),
    ],
)
def test_outcomes(target: Target, median: float, outcome: str) -> None:
    assert target.outcome(median) == outcome
    assert target.reached(median) == (outcome == "yes")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (bound(at_least=0.7, over="postgres"), "at least 0.7 of postgres"),
        (bound(at_most=1.0, over="redis"), "at most 1 of redis"),
        (bound(at_most=45.0), "at most 45"),
    ],
)
def test_what_is_wanted(target: Target, words: str) -> None:
    assert target.wanted() == words


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.text)
def test_every_target_has_one_bound_and_compares_only_what_peers_have(target: Target) -> None:
    assert (target.at_least is None) != (target.at_most is None)
    assert target.workload in WORKLOADS
    assert target.over is None or not WORKLOADS[target.workload].subject_only
