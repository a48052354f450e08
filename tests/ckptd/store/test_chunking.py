"""Cuts cover a part without a gap, and threads get enough to do at a time."""

from collections.abc import Callable
from itertools import accumulate

import pytest
from hypothesis import given, strategies as st

from ckptd.store.chunking import CONTENT_BYTES_MAX, PIECE_BYTES, UNIT_BYTES, Cut, cut, units
from tests.ckptd.store.saving import noise_source

MIB = 1 << 20


@pytest.mark.parametrize(
    ("kind", "size_bytes", "expected"),
    [
        ("array", 0, []),
        ("document", 0, []),
        ("array", 1, [1]),
        ("array", MIB, [MIB]),
        ("array", 2 * MIB + 5, [MIB, MIB, 5]),
        ("document", 5 * MIB, [5 * MIB]),
        ("document", 32 * MIB, [32 * MIB]),
        ("file", 0, []),
        ("file", 16 << 10, [16 << 10]),
    ],
)
def test_where_a_part_is_cut(kind: str, size_bytes: int, expected: list[int]) -> None:
    assert [one.size_bytes for one in cut(0, kind, 1, size_bytes, never)] == expected


def never(offset: int, size_bytes: int) -> bytes:
    raise AssertionError("nothing is read of what is cut by its length")


def of(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, size_bytes: data[offset : offset + size_bytes]


def sizes(data: bytes, kind: str = "file") -> list[int]:
    return [one.size_bytes for one in cut(0, kind, 1, len(data), of(data))]


def test_numbers_in_a_buffer_are_cut_like_an_array() -> None:
    assert [one.size_bytes for one in cut(0, "bytes", 8, 2 * MIB, never)] == [MIB, MIB]


NOISE = noise_source()(3 * MIB)
GOLDEN = [54477, 158482, 96087, 88567, 123793, 54315, 22646, 140656, 101869, 19157, 137223, 24968, 26336]


def test_cuts_by_content_are_for_ever() -> None:
    """Another cut stores anew what is there: a release of the library that moves them is to be noticed."""
    assert sizes(NOISE[:MIB]) == GOLDEN


@given(st.integers(0, MIB), st.binary(min_size=1, max_size=2000))
def test_cuts_stand_where_they_stood_behind_what_was_put_in(at: int, put: bytes) -> None:
    before, after = set(accumulate(sizes(NOISE))), set(accumulate(sizes(NOISE[:at] + put + NOISE[at:])))
    behind = {place for place in before if place > at + 4 * CONTENT_BYTES_MAX}
    assert len(behind) > 5
    assert {place + len(put) for place in behind} <= after
    assert {place for place in before if place <= at} <= after


def test_windows_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sizes(NOISE)
    monkeypatch.setattr("ckptd.store.chunking._WINDOW_BYTES", 2 * CONTENT_BYTES_MAX + 1)
    assert sizes(NOISE) == whole


@given(st.integers(0, 5 * MIB), st.integers(0, 6 * MIB))
def test_a_source_that_ends_early_is_cut_to_its_length_all_the_same(there: int, announced: int) -> None:
    data = (NOISE * 2)[:there]
    cuts = list(cut(0, "file", 1, announced, of(data)))
    assert sum(one.size_bytes for one in cuts) == announced
    assert all(one.size_bytes <= MIB for one in cuts)


@given(st.integers(0, 9 * MIB), st.sampled_from(["array", "document", "file", ""]))
def test_cuts_cover_the_part(size_bytes: int, kind: str) -> None:
    at = 0
    for one in cut(3, kind, 1, size_bytes, of(bytes(size_bytes))):
        assert (one.part, one.offset) == (3, at)
        at += one.size_bytes
    assert at == size_bytes


@given(st.lists(st.integers(1, PIECE_BYTES), max_size=50))
def test_units_keep_order_and_are_worth_it(sizes: list[int]) -> None:
    cuts = [Cut(number, 0, size) for number, size in enumerate(sizes)]
    grouped = list(units(cuts))
    assert [one for unit in grouped for one in unit] == cuts
    assert all(sum(one.size_bytes for one in unit) >= UNIT_BYTES for unit in grouped[:-1])
    assert all(unit for unit in grouped)
