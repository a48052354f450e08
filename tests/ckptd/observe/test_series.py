"""observe.series: a fixed number of bytes, restarts, gaps, clocks that jump, bytes that are damaged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ckptd.observe.series import COARSE, COARSE_MINUTES, FILE_BYTES, FINE, Ring, Series

NOW = 1_750_000_080  # a whole minute
MINUTE = 60
DAY = 24 * 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "series"


@pytest.fixture
def series(path: Path) -> Iterator[Series]:
    made = Series(path)
    yield made
    made.close()


def fill(series: Series, minutes: int, begun: int = NOW) -> int:
    """Each minute's number as its value; the time of the last."""
    for n in range(minutes):
        series.put(begun + n * MINUTE, {"used_bytes": float(n)})
    return begun + (minutes - 1) * MINUTE


def used(series: Series, now: int, ring: Ring = FINE) -> list[tuple[float, float]]:
    return list(series.points(now, ring)["used_bytes"])


def test_what_was_put_is_there_and_what_was_not_known_is_absent(series: Series) -> None:
    assert used(series, NOW) == []
    series.put(NOW, {"used_bytes": 5.0})
    series.put(NOW + MINUTE, {"left_bytes": 7.0})
    points = series.points(NOW + MINUTE)
    assert list(points["used_bytes"]) == [(NOW, 5.0)]
    assert list(points["left_bytes"]) == [(NOW + MINUTE, 7.0)]
    assert list(points["score"]) == []


def test_the_second_word_on_a_minute_counts(series: Series) -> None:
    series.put(NOW, {"used_bytes": 5.0})
    series.put(NOW + 30, {"used_bytes": 6.0})
    assert used(series, NOW) == [(NOW, 6.0)]


def test_a_day_by_the_minute_in_a_file_of_one_size(series: Series, path: Path) -> None:
    last = fill(series, 2 * DAY)
    assert [value for _, value in used(series, last)] == [float(n) for n in range(DAY, 2 * DAY)]
    assert path.stat().st_size == FILE_BYTES
    assert FILE_BYTES < 1_000_000


def test_quarters_of_an_hour_have_the_mean(series: Series) -> None:
    last = fill(series, 61, NOW - NOW % (COARSE_MINUTES * MINUTE))
    assert [value for _, value in used(series, last, COARSE)] == [7.0, 22.0, 37.0, 52.0]


def test_a_restart_goes_on(path: Path) -> None:
    begun = NOW - NOW % (COARSE_MINUTES * MINUTE)
    before = Series(path)
    fill(before, 10, begun)
    before.close()
    after = Series(path)
    assert len(used(after, begun + 9 * MINUTE)) == 10
    after.put(begun + 3600, {"used_bytes": 99.0})
    assert used(after, begun + 3600, COARSE) == [(begun, 4.5)]
    after.close()


@pytest.mark.parametrize("jump", [-3600, 3600, 3 * 86_400])
def test_a_clock_that_jumps_leaves_a_gap_and_no_figures_of_the_future(series: Series, jump: int) -> None:
    last = fill(series, 60)
    now = last + jump
    series.put(now, {"used_bytes": 500.0})
    found = used(series, now)
    assert found[-1] == (float(now - now % MINUTE), 500.0)
    assert all(now - 86_400 < at <= now for at, _ in found)


def test_a_torn_slot_is_absent(series: Series, path: Path) -> None:
    fill(series, 3)
    with path.open("r+b") as file:
        file.seek(FINE.offset + (NOW // MINUTE + 1) % FINE.slots * 72 + 20)
        file.write(b"\xff\xff")
    assert [value for _, value in used(series, NOW + 2 * MINUTE)] == [0.0, 2.0]


@pytest.mark.parametrize("rest", [b"", b"something else", b"x" * FILE_BYTES])
def test_a_file_of_another_form_is_begun_anew(path: Path, rest: bytes) -> None:
    path.write_bytes(rest)
    made = Series(path)
    assert used(made, NOW) == []
    fill(made, 2)
    assert len(used(made, NOW + MINUTE)) == 2
    made.close()
