"""Speeds are differences between two looks at one daemon."""

import pytest

from ckptclient.results import StoreStatus
from ckptd.ctl.top import rates
from ckptd.ctl.top.rates import Between, Rates, Sample
from tests.ckptd.ctl import canned


def sample(
    at: float, saves: int = 0, *, pid: int = 1, used: int = 0, commits: tuple[int, float] | None = None
) -> Sample:
    figures: dict[str, object] = {"saves_total": saves, "changes_total": 2 * saves}
    if commits:
        figures["commit_seconds"] = {"count": commits[0], "sum": commits[1]}
    return Sample.of(at, StoreStatus.read({**canned.STATUS, "pid": pid, "used_bytes": used, "commits": figures}))


def filled(*samples: Sample) -> Rates:
    made = Rates()
    for one in samples:
        made.add(one)
    return made


@pytest.mark.parametrize(
    ("before", "after", "between", "value"),
    [
        (sample(0, 10), sample(2, 30), rates.saves_per_second, 10.0),
        (sample(0, 10), sample(2, 30), rates.changes_per_second, 20.0),
        (sample(0, used=500), sample(1, used=200), rates.stored_per_second, -300.0),
        (sample(0, commits=(4, 1.0)), sample(1, commits=(6, 1.5)), rates.commit_seconds, 0.25),
        (sample(0, commits=(4, 1.0)), sample(1, commits=(4, 1.0)), rates.commit_seconds, None),
        (sample(0), sample(1), rates.commit_seconds, None),
    ],
)
def test_a_speed_is_a_difference(before: Sample, after: Sample, between: Between, value: float | None) -> None:
    assert filled(before, after).last(between) == value


def test_between_two_daemons_nothing_is_known() -> None:
    series = filled(sample(0, 900), sample(1, 910), sample(2, 3, pid=2), sample(3, 5, pid=2))
    assert series.series(rates.saves_per_second, 3) == [10.0, None, 2.0]


def test_before_the_first_look_nothing_is_known() -> None:
    assert filled(sample(0), sample(1, 7)).series(rates.saves_per_second, 3) == [None, None, 7.0]
    assert Rates().last(rates.saves_per_second) is None


def test_two_looks_at_once_are_one() -> None:
    assert filled(sample(0), sample(1, 7), sample(1, 9)).last(rates.saves_per_second) == 7.0


def test_a_daemon_that_counted_nothing_yet_has_counted_none() -> None:
    status = StoreStatus.read({**canned.STATUS, "commits": {}})
    assert Sample.of(0, status).saves == 0
