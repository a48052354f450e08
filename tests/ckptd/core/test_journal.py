"""The newest record of an item decides, and a cut undoes it."""

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from ckptclient.errors import Damaged
from ckptd.core import journal
from ckptd.core.journal import DONE, FAILED, Cut, SequenceMark

BOUNDARY = st.integers(0, 15)  # few, so that cuts touch and overlap
CUTS = st.lists(st.builds(Cut, BOUNDARY, BOUNDARY), max_size=6)
KINDS = st.sampled_from((DONE, FAILED))
RECORDS = st.lists(st.tuples(KINDS, st.integers(0, 20)), max_size=30)


def _items(bits: bytes, first: int = 0) -> set[int]:
    return {first + at * 8 + bit for at, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1}


@given(RECORDS, CUTS, st.integers(0, 8), st.integers(0, 20))
def test_against_the_sentence(records: list[tuple[int, int]], cuts: list[Cut], first: int, count: int) -> None:
    rows = [(position, kind, ordinal) for position, (kind, ordinal) in enumerate(records)]
    newest = {ordinal: (position, kind) for position, kind, ordinal in rows if first <= ordinal < first + count}
    expected: dict[int, set[int]] = {DONE: set(), FAILED: set()}
    for ordinal, (position, kind) in newest.items():
        if not any(cut.after <= position < cut.upto for cut in cuts):
            expected[kind].add(ordinal)
    done, failed = journal.bitmaps(rows, cuts, first, count)
    assert len(done) == len(failed) == (count + 7) // 8
    assert (_items(done, first), _items(failed, first)) == (expected[DONE], expected[FAILED])


@pytest.mark.parametrize(
    ("rows", "cuts", "done", "failed"),
    [
        ([], [], set(), set()),
        ([(0, DONE, 0), (1, FAILED, 1)], [], {0}, {1}),
        ([(0, FAILED, 1), (1, DONE, 1)], [], {1}, set()),  # retried
        ([(0, DONE, 0), (1, DONE, 1), (2, DONE, 2)], [Cut(1, 3)], {0}, set()),  # back to a checkpoint at 1
        ([(0, DONE, 0), (1, DONE, 1), (3, DONE, 1)], [Cut(1, 3)], {0, 1}, set()),  # done again after it
        ([(0, FAILED, 1), (1, DONE, 1)], [Cut(1, 2)], set(), set()),  # its newest record is in a cut
        ([(0, DONE, 0), (5, DONE, 1), (9, DONE, 2)], [Cut(1, 5), Cut(6, 8)], {0, 1, 2}, set()),  # on the edges
        ([(0, DONE, 0), (1, DONE, 1)], [Cut(0, 1 << 62)], set(), set()),
    ],
)
def test_bitmaps(rows: list[journal.Row], cuts: list[Cut], done: set[int], failed: set[int]) -> None:
    bits = journal.bitmaps(rows, cuts, 0, 16)
    assert (_items(bits[0]), _items(bits[1])) == (done, failed)


def test_least_significant_bit_first() -> None:
    assert journal.bitmaps([(0, DONE, 0), (1, DONE, 9), (2, FAILED, 15)], [], 0, 16) == (b"\x01\x02", b"\x00\x80")
    assert journal.bitmaps([], [], 0, 0) == (b"", b"")


def test_a_million() -> None:
    rows = ((position, DONE, position) for position in range(1_000_000))
    done, failed = journal.bitmaps(rows, [Cut(999_992, 1_000_000)], 0, 1_000_000)
    assert done == b"\xff" * 124_999 + b"\x00"
    assert failed == bytes(125_000)


@given(CUTS)
def test_disjoint_cuts_hold_the_same_positions(cuts: list[Cut]) -> None:
    spans = journal.disjoint(cuts)
    assert all(span.after < span.upto for span in spans)
    assert all(left.upto < right.after for left, right in pairwise(spans))
    for position in range(17):
        assert journal.in_cut(position, spans) is any(cut.after <= position < cut.upto for cut in cuts)


@pytest.mark.parametrize(
    ("cuts", "new", "merged"),
    [
        ([], Cut(5, 9), (Cut(5, 9),)),
        ([Cut(5, 9)], Cut(5, 20), (Cut(5, 20),)),  # two deaths from one checkpoint
        ([Cut(5, 20)], Cut(5, 9), (Cut(5, 20),)),  # a repetition that comes late
        ([Cut(5, 9)], Cut(5, 9), (Cut(5, 9),)),
        ([Cut(5, 9)], Cut(2, 20), (Cut(2, 20), Cut(5, 9))),  # walked back further
        ([Cut(5, 9)], Cut(12, 15), (Cut(5, 9), Cut(12, 15))),
    ],
)
def test_merge(cuts: list[Cut], new: Cut, merged: tuple[Cut, ...]) -> None:
    assert journal.merge(cuts, new) == merged


@given(CUTS, st.builds(Cut, BOUNDARY, BOUNDARY))
def test_merging_twice_is_merging_once(cuts: list[Cut], new: Cut) -> None:
    once = journal.merge(cuts, new)
    assert journal.merge(once, new) == once


OLD = SequenceMark(b"old", 10)


@pytest.mark.parametrize(
    ("old", "new", "prefix", "verdict"),
    [
        (None, OLD, None, "no"),
        (OLD, OLD, None, "no"),
        (OLD, OLD, SequenceMark(b"any", 3), "no"),
        (OLD, SequenceMark(b"new", 12), OLD, "appended"),
        (OLD, SequenceMark(b"new", 12), None, "changed"),
        (OLD, SequenceMark(b"new", 12), SequenceMark(b"other", 10), "changed"),
        (OLD, SequenceMark(b"new", 12), SequenceMark(b"old", 9), "changed"),
        (OLD, SequenceMark(b"new", 10), OLD, "changed"),  # no longer: a prefix of it proves nothing
        (OLD, SequenceMark(b"new", 8), None, "changed"),
        (OLD, SequenceMark(b"old", 11), None, "changed"),
        (SequenceMark(b"empty", 0), SequenceMark(b"new", 3), SequenceMark(b"empty", 0), "appended"),
    ],
)
def test_changed(old: SequenceMark | None, new: SequenceMark, prefix: SequenceMark | None, verdict: str) -> None:
    assert journal.changed(old, new, prefix) == verdict


@given(st.builds(SequenceMark, st.binary(min_size=1, max_size=32), st.integers(0, 2**63 - 1)))
def test_a_mark_reads_back(mark: SequenceMark) -> None:
    assert SequenceMark.unpack(mark.pack()) == mark


def test_no_mark_and_half_a_mark() -> None:
    assert SequenceMark.unpack(b"") is None
    with pytest.raises(Damaged, match="cut off"):
        SequenceMark.unpack(bytes(8))


def test_an_item_without_a_place_is_known_by_its_digest() -> None:
    assert journal.key_digest(None, b"item") == hashlib.sha256(b"item").digest()[:16]
    assert journal.key_digest(0, b"item") is None
