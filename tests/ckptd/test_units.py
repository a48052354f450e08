"""Texts with units: what is read, what is refused, and that what is written reads back the same."""

from fractions import Fraction

import pytest
from hypothesis import example, given, strategies as st

from ckptd.units import (
    DURATIONS,
    SIZES,
    format_duration,
    format_share,
    format_size,
    parse_duration,
    parse_share,
    parse_size,
)

SIZES_READ = [
    ("10 GB", 10 * 10**9),
    ("4 KiB", 4096),
    ("4KiB", 4096),
    (" 4 kib ", 4096),
    ("1.5 MB", 1_500_000),
    ("1 KB", 1000),
    ("7 B", 7),
    ("0", 0),
    ("0.0", 0),
    ("0 TiB", 0),
]
DURATIONS_READ = [
    ("24 h", 86400.0),
    ("300 s", 300.0),
    ("5 min", 300.0),
    ("1.5 d", 129600.0),
    ("50 ms", 0.05),
    ("0.1 s", 0.1),
    ("0", 0.0),
]
SHARES_READ = [("80 %", 0.8), ("5%", 0.05), ("0.1 %", 0.001), ("100 %", 1.0), ("0", 0.0)]
REFUSED = [
    "",
    " ",
    "10",
    "GB",
    "10 XB",
    "-1 GB",
    "1e9 B",
    "1 GB 2 MB",
    "1_0 GB",
    "\u0661 GB",
    "nan",
    "inf s",
    "10 GB\0",
    "1 m",
]


@pytest.mark.parametrize(("text", "size"), SIZES_READ)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "seconds"), DURATIONS_READ)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(("text", "share"), SHARES_READ)
def test_shares(text: str, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize("parse", [parse_size, parse_duration, parse_share])
@pytest.mark.parametrize("text", REFUSED)
def test_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match="unit"):
        parse(text)


@pytest.mark.parametrize(("parse", "text"), [(parse_size, "0.3 B"), (parse_share, "101 %"), (parse_size, "1 h")])
def test_refused_by_one(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match=r"whole|unit"):
        parse(text)


@given(st.integers(0, 2**62))
@example(10**12)
@example(2**40)
def test_a_size_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 10**12), st.sampled_from(sorted(DURATIONS)))
def test_a_duration_reads_back(number: int, unit: str) -> None:
    seconds = parse_duration(f"{number / 1000:.3f} {unit}")
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 100_000))
def test_a_share_reads_back(thousandths: int) -> None:
    share = parse_share(f"{thousandths / 1000:.3f} %")
    assert parse_share(format_share(share)) == share


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_size, parse_duration, parse_share):
        try:
            assert parse(text) >= 0
        except ValueError:
            continue


def test_written_in_the_largest_whole_unit() -> None:
    assert [format_size(size) for size in (0, 999, 1000, 1024, 10**10, 1536)] == [
        "0", "999 B", "1 kB", "1 KiB", "10 GB", "1536 B",
    ]  # fmt: skip
    assert [format_duration(s) for s in (0.0, 0.05, 90.0, 3600.0, 86400.0)] == ["0", "50 ms", "90 s", "1 h", "1 d"]
    assert [format_share(s) for s in (0.0, 0.001, 0.05, 1.0)] == ["0", "0.1 %", "5 %", "100 %"]


@pytest.mark.parametrize("units", [SIZES, DURATIONS])
def test_units_are_unambiguous_and_ascend(units: dict[str, int | Fraction]) -> None:
    assert len({name.casefold() for name in units}) == len(units)
    assert list(units.values()) == sorted(units.values())
