"""core.lifetimes: who shares packs with whom."""

import pytest

from ckptd.core.lifetimes import FOR_EVER, UNKNOWN, is_full_of_age, lifetime_class

HOUR = 3600 * 1_000_000
NOW = 1_750_000_000_000_000


@pytest.mark.parametrize(
    ("hours", "number"),
    [(0, 1), (2, 1), (3, 2), (24, 2), (48, 2), (49, 3), (168, 3), (24 * 14, 3), (24 * 30, 4), (24 * 91, FOR_EVER)],
)
def test_a_class_is_the_time_that_is_left_at_the_save(hours: int, number: int) -> None:
    assert lifetime_class(NOW, NOW + hours * HOUR) == number


def test_what_has_no_end_lies_by_itself() -> None:
    assert lifetime_class(NOW, None) == FOR_EVER


@pytest.mark.parametrize(
    ("number", "hours", "full"),
    [(1, 0.5, False), (1, 0.6, True), (2, 12, False), (2, 13, True), (FOR_EVER, 9999, False), (UNKNOWN, 9999, False)],
)
def test_a_pack_is_begun_anew_after_a_quarter_of_its_class_s_life(number: int, hours: float, full: bool) -> None:
    assert is_full_of_age(number, NOW, NOW + round(hours * HOUR)) is full
