"""core.trends: a slope that jumps don't move, and a forecast that doesn't reach further than it can."""

import pytest
from hypothesis import given, strategies as st

from ckptd.core.trends import HORIZON, POINTS_MAX, Point, theil_sen, thinned, trend

MINUTE = 60.0


def line(slope: float, count: int = 120, first: float = 0.0) -> list[Point]:
    return [(n * MINUTE, first + slope * n * MINUTE) for n in range(count)]


@given(
    slope=st.integers(-1000, 1000),
    first=st.integers(-(10**6), 10**6),
    off=st.dictionaries(st.integers(0, 39), st.integers(-(10**9), 10**9), max_size=8),
)
def test_a_fifth_of_the_points_may_be_anywhere(slope: int, first: int, off: dict[int, int]) -> None:
    points = [(float(n), float(off.get(n, first + slope * n))) for n in range(40)]
    # Of 780 pairs 496 have no point that is off: more than half have the slope itself, and so has their median.
    assert theil_sen(points) == slope


@pytest.mark.parametrize("slope", [-5.0, 0.0, 3.0])
def test_jumps_of_a_tenth_of_the_points_move_nothing(slope: float) -> None:
    points = [(at, value + (1e9 if n % 10 == 0 else 0)) for n, (at, value) in enumerate(line(slope))]
    assert theil_sen(points) == pytest.approx(slope)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], None),
        (line(1, 1), None),
        ([(5.0, 1.0), (5.0, 2.0)], None),
        (line(1, 2), 1.0),
    ],
)
def test_a_slope_wants_two_moments(points: list[Point], expected: float | None) -> None:
    assert theil_sen(points) == expected


@pytest.mark.parametrize(
    ("points", "has_slope"),
    [
        (line(1, 11), True),
        (line(1, 10), False),  # nine minutes
        ([(0.0, 0.0), (1000.0, 1.0)], False),  # two points
    ],
)
def test_a_trend_wants_a_look_back(points: list[Point], has_slope: bool) -> None:
    found = trend(points)
    assert found is not None
    assert (found.slope is not None) is has_slope
    assert trend(points[:1]) is None


@pytest.mark.parametrize(
    ("slope", "now", "level", "expected"),
    [
        (-1.0, 1000.0, 0.0, 1000.0),
        (1.0, 1000.0, 1500.0, 500.0),
        (1.0, 1000.0, 0.0, None),  # it goes away from there
        (0.0, 1000.0, 0.0, None),
        (-1.0, HORIZON * 119 * MINUTE + 1, 0.0, None),  # beyond what it may say
    ],
)
def test_a_forecast(slope: float, now: float, level: float, expected: float | None) -> None:
    found = trend(line(slope, 120, now - slope * 119 * MINUTE))
    assert found is not None
    assert found.now == pytest.approx(now)
    assert found.seconds_until(level) == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e9, 1e9)), min_size=1, max_size=400))
def test_thinning_keeps_order_and_bounds(points: list[Point]) -> None:
    points.sort()
    few = thinned(points, POINTS_MAX)
    assert 1 <= len(few) <= POINTS_MAX
    assert [at for at, _ in few] == sorted(at for at, _ in few)
    assert min(value for _, value in points) <= min(value for _, value in few)
    assert max(value for _, value in few) <= max(value for _, value in points)
