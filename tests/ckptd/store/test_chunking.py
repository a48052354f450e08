"""Cuts cover a part without a gap, and threads get enough to do at a time."""

import pytest
from hypothesis import given, strategies as st

from ckptd.store.chunking import PIECE_BYTES, UNIT_BYTES, Cut, cut, units

MIB = 1 << 20


@pytest.mark.parametrize(
    ("kind", "size_bytes", "expected"),
    [
        ("array", 0, []),
        ("document", 0, []),
        ("array", 1, [1]),
        ("array", MIB, [MIB]),
        ("array", 2 * MIB + 5, [MIB, MIB, 5]),
        ("", 2 * MIB, [MIB, MIB]),
        ("document", 5 * MIB, [5 * MIB]),
        ("document", 32 * MIB, [32 * MIB]),
        ("document", 32 * MIB + 1, [MIB] * 32 + [1]),
    ],
)
def test_where_a_part_is_cut(kind: str, size_bytes: int, expected: list[int]) -> None:
    assert [one.size_bytes for one in cut(0, kind, size_bytes)] == expected


@given(st.integers(0, 100 * MIB), st.sampled_from(["array", "document", "file"]))
def test_cuts_cover_the_part(size_bytes: int, kind: str) -> None:
    at = 0
    for one in cut(3, kind, size_bytes):
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
