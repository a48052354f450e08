"""Speed that forgets at its pace, and when a checkpoint is due."""

import math

import pytest
from hypothesis import given, strategies as st

from ckptd.core import cadence
from ckptd.core.cadence import Cadence, Speed
from tests.fakes import EPOCH

SECOND = 1_000_000


def _run(speed: Speed, per_second: float, seconds: int, every: float = 1.0) -> Speed:
    """Steady work from where it stands."""
    completed, at = speed.completed, speed.at
    for turn in range(1, round(seconds / every) + 1):
        moment = turn * every
        speed = speed.update(completed + round(per_second * moment), at + round(moment * SECOND))
    return speed


def _begun(completed: int = 0, at: int = EPOCH) -> Speed:
    return Speed().update(completed, at)


def _rate(speed: Speed) -> float:
    assert speed.per_second is not None
    return speed.per_second


@pytest.mark.parametrize("every", [0.2, 1.0, 30.0, 600.0])
@pytest.mark.parametrize("per_second", [0.05, 3.0, 20_000.0])
def test_steady_work_is_measured_as_it_is(per_second: float, every: float) -> None:
    assert _rate(_run(_begun(), per_second, 6000, every)) == pytest.approx(per_second, rel=0.05)


def test_the_first_sample_counts_whole() -> None:
    assert _rate(_begun().update(10, EPOCH + SECOND)) == pytest.approx(10.0)


def test_recent_work_decides() -> None:
    slow = _run(_begun(), 1.0, 3600)
    assert _rate(_run(slow, 100.0, 120)) == pytest.approx(50.5, rel=0.02)  # one half-life: in the middle
    assert _rate(_run(slow, 100.0, 1200)) == pytest.approx(100.0, rel=0.01)


def test_resuming_counts_no_pause() -> None:
    worked = _run(_begun(), 10.0, 600)
    resumed = worked.resume(worked.completed, worked.at + 86_400 * SECOND)
    assert resumed.per_second == worked.per_second
    assert _rate(_run(resumed, 10.0, 60)) == pytest.approx(10.0, rel=0.01)


def test_a_pause_that_nobody_told_halves_at_most_and_heals() -> None:
    worked = _run(_begun(), 10.0, 600)
    stopped = worked.update(worked.completed, worked.at + 86_400 * SECOND)
    assert _rate(stopped) >= 0.49 * _rate(worked)
    assert _rate(_run(stopped, 10.0, 360)) == pytest.approx(10.0, rel=0.1)


def test_a_burst_after_an_absence_of_the_daemon_is_a_mean() -> None:
    worked = _run(_begun(), 10.0, 600)
    assert _rate(worked.update(worked.completed + 10 * 60, worked.at + 60 * SECOND)) == pytest.approx(10.0)


@pytest.mark.parametrize(("completed", "passed"), [(99, 5), (500, -5), (0, 0)])
def test_a_step_back_is_a_new_beginning(completed: int, passed: int) -> None:
    worked = _begun(0).update(100, EPOCH + 10 * SECOND)
    after = worked.update(completed, worked.at + passed * SECOND)
    assert (after.completed, after.at) == (completed, worked.at + passed * SECOND)
    assert after.per_second == worked.per_second


def test_reports_within_a_moment_are_one_sample() -> None:
    speed = _begun()
    for micros in range(1, 100_000, 7):
        assert speed.update(micros, EPOCH + micros) is speed
    assert _rate(speed.update(1000, EPOCH + 100_000)) == pytest.approx(10_000.0)


REPORTS = st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**53)), max_size=30)


@given(REPORTS)
def test_whatever_is_reported_the_memory_is_sound_and_small(reports: list[tuple[int, int]]) -> None:
    speed = Speed()
    for completed, at in reports:
        speed = speed.update(completed, at)
        assert speed.per_second is None or 0.0 <= speed.per_second <= 2**40 / 0.1
    assert len(speed.pack()) <= 64
    assert Speed.unpack(speed.pack()) == speed


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        bytes(33),
        b"\x02" + Speed(1, 1, 1.0, 1.0).pack()[1:],
        Speed(1, 1, 1.0, 1.0).pack() + b"x",
        Speed(1, 1, math.nan, 1.0).pack(),
        Speed(1, 1, math.inf, 1.0).pack(),
        Speed(1, 1, -1.0, 1.0).pack(),
        Speed(1, 1, 1.0, math.nan).pack(),
        Speed(1, 1, 1.0, 2.0).pack(),
        Speed(-1, 1, 1.0, 1.0).pack(),
        Speed(1, -1, 1.0, 1.0).pack(),
    ],
)
def test_a_memory_that_is_none(raw: bytes) -> None:
    assert Speed.unpack(raw) == Speed()


@given(st.binary(min_size=33, max_size=33).map(lambda raw: b"\x01" + raw[1:]))
def test_any_bytes_give_a_usable_speed(raw: bytes) -> None:
    speed = Speed.unpack(raw)
    eta = speed.update(10, EPOCH).eta(100, 10, EPOCH)
    assert eta is None or eta >= EPOCH


STEADY = _begun().update(100, EPOCH + 10 * SECOND)  # 10 a second


@pytest.mark.parametrize(
    ("speed", "total", "completed", "eta"),
    [
        (STEADY, 200, 100, EPOCH + 10 * SECOND),
        (STEADY, 200, 150, EPOCH + 5 * SECOND),
        (STEADY, 200, 200, EPOCH),
        (STEADY, 200, 250, EPOCH),
        (STEADY, None, 100, None),
        (Speed(), 200, 100, None),
        (_begun(), 200, 100, None),
        (_begun().update(0, EPOCH + SECOND), 200, 100, None),  # nothing moves
        (STEADY, 2**62, 0, None),  # beyond all calendars
    ],
)
def test_eta(speed: Speed, total: int | None, completed: int, eta: int | None) -> None:
    assert speed.eta(total, completed, EPOCH) == eta


# --- due ---

EITHER = Cadence(interval_seconds=300.0, progress_share=0.05)


@pytest.mark.parametrize(
    ("policy", "total", "completed", "last_completed", "passed_seconds", "reason"),
    [
        (EITHER, 100, 4, 0, 10, None),
        (EITHER, 100, 5, 0, 10, "progress"),
        (EITHER, 100, 50, 46, 10, None),
        (EITHER, 100, 51, 46, 10, "progress"),
        (EITHER, 100, 30, 46, 10, None),  # rewound: made up for first
        (EITHER, 3, 1, 0, 10, "progress"),  # fewer steps than shares: each one
        (EITHER, 3, 1, 1, 10, None),
        (EITHER, None, 10**6, 0, 10, None),
        (EITHER, 0, 0, 0, 10, None),
        (EITHER, 100, 0, 0, 299, None),
        (EITHER, 100, 0, 0, 300, "interval"),
        (EITHER, None, 0, 0, 300, "interval"),
        (EITHER, 100, 5, 0, 300, "progress"),
        (EITHER, 100, 0, 0, -1, "interval"),  # the clock was set back: one checkpoint now sets it right
        (Cadence(None, None), 100, 100, 0, 10**6, None),
        (Cadence(0.0, 0.0), 100, 100, 0, 10**6, None),
        (Cadence(None, 0.5), 100, 49, 0, 10**6, None),
        (Cadence(None, 0.5), 100, 50, 0, 0, "progress"),
        (Cadence(10.0, None), 100, 100, 0, 9, None),
        (Cadence(10.0, None), 100, 100, 0, 10, "interval"),
        (Cadence(10.0, None, auto=True), 100, 0, 0, 10, None),  # auto's 42 s stand in for the interval
        (Cadence(None, None, auto=True), 100, 0, 0, 42, "interval"),
        (Cadence(None, 0.05, auto=True), 100, 5, 0, 1, "progress"),
    ],
)
def test_due(
    policy: Cadence, total: int | None, completed: int, last_completed: int, passed_seconds: int, reason: str | None
) -> None:
    now = EPOCH + passed_seconds * SECOND
    assert cadence.due(policy, total, completed, EPOCH, last_completed, now, auto_seconds=42.0) == reason


# --- auto ---


@pytest.mark.parametrize(
    ("cost_minutes", "mean_minutes", "interval_minutes"),
    [(5, 24 * 60, 117), (5, 6 * 60, 57), (5, 15, 9.1)],  # figures 3, 4 and 5 of Daly's paper
)
def test_daly_by_his_own_examples(cost_minutes: float, mean_minutes: float, interval_minutes: float) -> None:
    minutes = cadence.daly(cost_minutes * 60, mean_minutes * 60) / 60
    assert minutes == pytest.approx(interval_minutes, rel=0.01)


@given(st.floats(0.001, 1.0), st.floats(1e5, 1e8))
def test_daly_is_young_where_a_save_costs_little(cost: float, mean: float) -> None:
    assert cadence.daly(cost, mean) == pytest.approx(math.sqrt(2 * cost * mean), rel=0.01)


@given(st.floats(0.1, 1e4), st.floats(1.0, 1e6))
def test_daly_is_near_the_best(cost: float, mean: float) -> None:
    """Against the exact cost of his model, `M (exp((T + C) / M) - 1) / T` for each second of work."""

    def price(interval: float) -> float:
        return math.expm1(min(700.0, (interval + cost) / mean)) / interval

    if cost < 2 * mean:
        chosen = cadence.daly(cost, mean)
        assert chosen > 0.0
        best = min(price(chosen * factor / 100) for factor in range(10, 1000, 5))
        assert price(chosen) <= best * 1.06
    else:
        assert cadence.daly(cost, mean) == mean


@pytest.mark.parametrize(
    ("cost", "mean", "interval"),
    [
        (None, 86_400.0, 300.0),
        (0.0, 86_400.0, 5.0),
        (0.0001, 86_400.0, 5.0),
        (1.0, 86_400.0, 415.0),
        (3600.0, 1e7, 14_400.0),
        (1e6, 1.0, 5.0),
    ],
)
def test_auto_interval(cost: float | None, mean: float, interval: float) -> None:
    assert cadence.auto_interval(cost, mean) == pytest.approx(interval, rel=0.01)


def test_an_unmeasured_cost_takes_the_setting() -> None:
    assert cadence.auto_interval(None, 86_400.0, unmeasured_seconds=7.0) == 7.0


@pytest.mark.parametrize(
    ("observed", "interruptions", "mean"),
    [
        (0.0, 0, 86_400.0),
        (86_400.0, 0, 172_800.0),
        (86_400.0, 1, 86_400.0),
        (0.0, 9, 8640.0),
        (30 * 86_400.0, 30, 86_400.0),
        (-5.0, 0, 86_400.0),
    ],
)
def test_mean_between_interruptions(observed: float, interruptions: int, mean: float) -> None:
    assert cadence.mean_between_interruptions(observed, interruptions) == pytest.approx(mean)


def test_the_cost_is_smoothed() -> None:
    cost = cadence.smooth_cost(None, 8.0)
    assert cost == 8.0
    assert cadence.smooth_cost(cost, 4.0) == 7.0
    for _ in range(40):
        cost = cadence.smooth_cost(cost, 1.0)
    assert cost == pytest.approx(1.0, rel=0.01)
