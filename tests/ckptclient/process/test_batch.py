"""Batches: what fits, in order, up to a save."""

from collections import deque

import pytest
from hypothesis import given, strategies as st

from ckptclient.payload import decode_value, encode_value
from ckptclient.process.batch import BATCH_BYTES_MAX, BATCH_COUNT, Packer, Queue, Rows
from ckptclient.process.saving import Job
from ckptclient.wire import limits, params

JOB = Job(params.Save(request=0))
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(st.lists(plain, max_size=30))
def test_plain_items_are_packed_as_the_payload_packs_them(items: list[object]) -> None:
    queue: Queue = deque((0, place, item, None, place + 1) for place, item in enumerate(items))
    batch = Packer().take(queue)
    assert [row[2] for row in batch.rows] == [encode_value(item) for item in items]
    assert batch.completed == len(items)


@pytest.mark.parametrize("item", [2**70, -(2**63) - 1, "\ud800", "\udfff x"])
def test_awkward_ones_too(item: object) -> None:
    packer = Packer()
    for _ in range(2):  # what failed to pack leaves nothing behind
        (row,) = packer.take(deque([(0, 0, item, None, 1)])).rows
        assert isinstance(row[2], bytes)
        assert decode_value(row[2]) == item


def test_a_batch_ends_at_a_save() -> None:
    queue: Queue = deque([(0, 0, 1, None, 1), JOB, (0, 1, 2, None, 2)])
    assert len(Packer().take(queue).rows) == 1
    assert list(queue) == [JOB, (0, 1, 2, None, 2)]


def test_a_batch_ends_at_its_bounds() -> None:
    queue: Queue = deque((0, place, place, None, place + 1) for place in range(BATCH_COUNT + 1))
    assert len(Packer().take(queue).rows) == BATCH_COUNT
    half = bytes(BATCH_BYTES_MAX // 2)
    queue = deque((0, place, b"", half, place + 1) for place in range(3))
    batch = Packer().take(queue)
    assert (len(batch.rows), batch.completed, batch.result_bytes) == (2, 2, 2 * len(half))


def test_the_largest_record_goes_alone() -> None:
    item, result = bytes(limits.item_bytes_max), bytes(limits.result_bytes_max)
    queue: Queue = deque([(0, 0, item, result, 1)] * 2)
    assert len(Packer().take(queue).rows) == 1


def test_an_item_too_long_for_a_record_leaves_its_place() -> None:
    (row,) = Packer().take(deque([(0, 7, "x" * limits.item_bytes_max, None, 1)])).rows
    assert row == [0, 7, b"", None]


def test_rows_cross_as_records_do() -> None:
    token, progress = b"t" * 48, params.Progress(completed=3)
    record = params.Record(kind=0, ordinal=1, item=b"i", result=None)
    slow = params.AppendRecords(request=9, token=token, records=(record,), progress=progress)
    assert {**Rows(token=token, records=[[0, 1, b"i", None]], progress=progress).pack(), "request": 9} == slow.pack()  # type: ignore[dict-item]
