"""Numbers, times and texts as people read them."""

import re
from unicodedata import category

import pytest
from hypothesis import given, strategies as st

from ckptd.ctl import shown
from ckptd.ctl.shown import View

NOW = 1_750_000_000_000_000
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"), (1, "1 B"), (999, "999 B"), (1000, "1.0 kB"), (1_400, "1.4 kB"), (99_949, "99.9 kB"), (99_951, "100 kB"),
        (999_499, "999 kB"), (999_500, "1.0 MB"), (1_400_000_000, "1.4 GB"), (3 * 10**18, "3000 PB"), (None, shown.NOTHING),
    ],
)  # fmt: skip
def test_sizes_are_decimal(size_bytes: int | None, text: str) -> None:
    assert shown.size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.04, "0 s"), (0.4, "0.4 s"), (9.94, "9.9 s"), (41, "41 s"), (59.6, "1 m"), (400, "6 m 40 s"),
        (3600, "1 h"), (3601, "1 h"), (11_400, "3 h 10 m"), (187_200, "2 d 4 h"), (86_400 * 400, "400 d"),
    ],
)  # fmt: skip
def test_spans_have_two_units_at_most(seconds: float, text: str) -> None:
    assert shown.span(seconds) == text


@given(st.floats(0, 1e10))
def test_a_span_is_never_far_off(seconds: float) -> None:
    scale = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    pieces = re.findall(r"([\d.]+) ([smhd])", shown.span(seconds))
    assert sum(float(number) * scale[unit] for number, unit in pieces) == pytest.approx(seconds, rel=0.05, abs=0.6)


@pytest.mark.parametrize(
    ("value", "text"), [(None, shown.NOTHING), (0.0, "0.0 %"), (83.94, "83.9 %"), (99.99, "99.9 %"), (100.0, "100.0 %")]
)
def test_percents_are_never_rounded_up_to_the_end(value: float | None, text: str) -> None:
    assert shown.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "    "), (0, "░░░░"), (49.9, "█░░░"), (50, "██░░"), (100, "████"), (120, "████")]
)
def test_bars(value: float | None, text: str) -> None:
    assert shown.bar(value, 4) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (None, shown.NOTHING), (0, shown.NOTHING), (41, "41/s"), (2.345, "2.35/s"), (0.045, "2.7/min"), (0.01, "36/h"),
        (0.0001, "8.64/d"), (13_000, "13,000/s"), (2_500_000, "2.5 M/s"),
    ],
)  # fmt: skip
def test_speeds_are_per_the_shortest_time_in_which_something_happens(per_second: float | None, text: str) -> None:
    assert shown.speed(per_second) == text


def test_a_speed_may_name_what_it_counts() -> None:
    assert shown.speed(41, "items") == "41 items/s"


@pytest.mark.parametrize(
    ("values", "text"),
    [([], ""), ([0, 0.0], "▁▁"), ([0, 50, 100], "▁▅█"), ([None, 3, None], " █ "), ([-5, 10], "▁█")],
)
def test_a_spark_is_relative_to_its_largest(values: list[float | None], text: str) -> None:
    assert shown.spark(values) == text


def test_ages_are_relative_and_times_are_absolute_when_asked() -> None:
    at = NOW - 41 * SECOND
    assert View(NOW).age(at) == "41 s"
    assert View(NOW, utc=True).age(at) == "2025-06-15 15:05:59Z"
    assert View(NOW).age(None) == View(NOW).ahead(None) == View(NOW).both(None) == shown.NOTHING
    assert View(NOW, utc=True).both(NOW + 60 * SECOND) == "2025-06-15 15:07:40Z (in 1 m)"


def test_a_clock_that_is_ahead_makes_no_negative_age() -> None:
    assert View(NOW).age(NOW + SECOND) == "0 s"


@given(st.text())
def test_nothing_reaches_the_terminal_that_it_would_act_on(text: str) -> None:
    assert [one for one in shown.clean(text) if category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")] == []


def test_clean_leaves_readable_text_alone() -> None:
    assert shown.clean("名前 größe") == "名前 größe"
    assert shown.clean("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
