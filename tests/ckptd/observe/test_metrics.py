"""Counters, gauges and distributions."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, strategies as st

from ckptd.observe.metrics import BOUNDS, Distribution, Metrics


def distribution(values: list[float]) -> Distribution:
    metrics = Metrics()
    for value in values:
        metrics.observe("x_seconds", value)
    figures = metrics.snapshot()["x_seconds"]
    assert isinstance(figures, dict)
    return figures


def test_what_was_never_measured_is_absent() -> None:
    assert Metrics().snapshot() == {}


def test_counters_add_up_and_gauges_are_replaced() -> None:
    metrics = Metrics()
    metrics.count("saves_total")
    metrics.count("saves_total", 2)
    metrics.gauge("connections_count", 5)
    metrics.gauge("connections_count", 3)
    assert metrics.snapshot() == {"connections_count": 3, "saves_total": 3}


def test_a_distribution_in_figures() -> None:
    figures = distribution([0.001] * 90 + [0.1] * 9 + [2.0])
    assert figures["count"] == 100
    assert figures["sum"] == pytest.approx(0.09 + 0.9 + 2.0)
    assert (figures["min"], figures["max"]) == (0.001, 2.0)
    assert figures["p50"] == pytest.approx(0.001, rel=0.26)
    assert figures["p90"] == pytest.approx(0.001, rel=0.26)
    assert figures["p99"] == pytest.approx(0.1, rel=0.26)


@given(st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=300))
def test_a_quantile_is_within_a_bucket_of_the_truth(values: list[float]) -> None:
    figures, ordered = distribution(values), sorted(values)
    for share, figure in ((0.5, figures["p50"]), (0.9, figures["p90"]), (0.99, figures["p99"])):
        rank = next(i for i in range(len(ordered)) if i + 1 >= share * len(ordered))
        assert ordered[rank] <= figure * (1 + 1e-9)
        assert figure <= ordered[rank] * 1.26
        assert figures["min"] <= figure <= figures["max"]


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-9, 1e15])
def test_what_lies_outside_the_buckets_counts_at_their_ends(value: float) -> None:
    figures = distribution([value])
    assert (figures["count"], figures["p50"], figures["min"], figures["max"]) == (1, value, value, value)


def test_buckets_ascend() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))


def test_threads_lose_no_count() -> None:
    metrics, rounds = Metrics(), [1, 2, 3, 4] * 1000
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: metrics.count("saves_total", n), rounds))
        list(pool.map(lambda n: metrics.observe("x_count", n), rounds))
    snapshot = metrics.snapshot()
    assert snapshot["saves_total"] == sum(rounds)
    assert isinstance(snapshot["x_count"], dict)
    assert snapshot["x_count"]["count"] == len(rounds)
