"""The kill plan: the same for the same seed, complete, in order, and with the hardest case in it."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from examples.demo import plan
from examples.demo.plan import DAEMON


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 16))
def test_a_plan_is_whole(seed: int, kills: int, workers: int) -> None:
    drawn = plan.draw(seed, kills, workers)
    assert drawn == plan.draw(seed, kills, workers)
    assert len(drawn) == kills
    assert [kill.share for kill in drawn] == sorted(kill.share for kill in drawn)
    assert all(plan.FIRST_SHARE <= kill.share <= plan.LAST_SHARE for kill in drawn)
    assert all(DAEMON <= kill.victim < workers for kill in drawn)


@given(st.integers(0, 10**6), st.integers(3, 60))
def test_workers_and_daemon_are_killed_and_once_both_together(seed: int, kills: int) -> None:
    drawn = plan.draw(seed, kills, 8)
    assert sum(kill.victim == DAEMON for kill in drawn) == (kills + 1) // plan.DAEMON_EVERY
    together = [(one, other) for one, other in pairwise(drawn) if one.share == other.share]
    assert any((one.victim == DAEMON) != (other.victim == DAEMON) for one, other in together)


def test_another_seed_is_another_plan() -> None:
    assert plan.draw(1, 12, 8) != plan.draw(2, 12, 8)


@pytest.mark.parametrize(
    ("victim", "at_work", "killed"),
    [(3, [1, 3, 5], 3), (3, [1, 5], 5), (3, [0, 1], 0), (7, [2], 2), (0, [], None)],
)
def test_who_is_killed_in_place_of_one_that_has_finished(victim: int, at_work: list[int], killed: int | None) -> None:
    assert plan.instead(victim, at_work) == killed
