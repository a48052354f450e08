"""The pool of staging buffers: warm ones first, limits, and whose a buffer is until when."""

import os

import pytest

from ckptclient.errors import NoSpace
from ckptd.store.staging import Pool, class_bytes
from tests.ckptd.rpc.serving import open_descriptors

MIB = 1 << 20


def pool(node: int = 64 * MIB, user: int = 64 * MIB) -> Pool:
    return Pool(lambda: node, lambda: user)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (0, MIB),
        (1, MIB),
        (MIB, MIB),
        (MIB + 1, 2 * MIB),
        (16 * MIB, 16 * MIB),
        (16 * MIB + 1, 18 * MIB),
        (1 << 30, 1 << 30),
        ((1 << 30) + 1, (1 << 30) + (128 << 20)),
    ],
)
def test_a_class_is_at_most_an_eighth_larger_above_some_mebibytes(asked: int, given: int) -> None:
    assert class_bytes(asked) == given
    assert given >= asked


def test_a_buffer_is_as_large_as_it_says_and_stays_so() -> None:
    buffers = pool()
    buffer = buffers.take(1, 1000, 3 * MIB).buffer
    assert os.fstat(buffer.fd).st_size == buffer.size_bytes == 3 * MIB
    for size in (0, 8 * MIB):
        with pytest.raises(PermissionError):
            os.ftruncate(buffer.fd, size)
    buffers.close()


def test_a_warm_buffer_is_taken_before_a_new_one() -> None:
    buffers = pool()
    first = buffers.take(1, 1000, 4 * MIB)
    buffers.give_back(first.buffer)
    second = buffers.take(1, 1000, 3 * MIB)
    assert (first.fresh, second.fresh, second.buffer) == (True, False, first.buffer)
    busy = buffers.take(1, 1000, 3 * MIB)
    assert (busy.fresh, busy.buffer is first.buffer) == (True, False)
    buffers.close()


def test_no_buffer_passes_to_another_connection() -> None:
    buffers = pool()
    first = buffers.take(1, 1000, MIB)
    buffers.give_back(first.buffer)
    second = buffers.take(2, 1000, MIB)
    assert (second.fresh, second.buffer is first.buffer) == (True, False)
    buffers.close()


def test_what_was_outgrown_goes_and_is_told() -> None:
    buffers = pool()
    small = buffers.take(1, 1000, MIB).buffer
    buffers.give_back(small)
    grown = buffers.take(1, 1000, 2 * MIB)
    assert (grown.fresh, grown.dropped, buffers.size_bytes) == (True, (small.number,), 2 * MIB)
    buffers.close()


@pytest.mark.parametrize(("node", "user", "whose"), [(4 * MIB, 64 * MIB, "node's"), (64 * MIB, 4 * MIB, "user's")])
def test_a_limit_is_a_refusal_that_names_it_and_takes_nothing(node: int, user: int, whose: str) -> None:
    buffers = pool(node, user)
    before = open_descriptors()
    held = buffers.take(1, 1000, 3 * MIB).buffer
    with pytest.raises(NoSpace, match=f"the {whose} staging buffers have {3 * MIB} of {4 * MIB} bytes"):
        buffers.take(2, 1000, 2 * MIB)
    assert open_descriptors() == before + 1
    buffers.drop(1)
    buffers.give_back(held)
    assert buffers.take(2, 1000, 2 * MIB).fresh
    buffers.close()
    assert open_descriptors() == before


def test_a_lost_connections_busy_buffer_lives_until_its_save_is_done() -> None:
    buffers = pool()
    busy, idle = buffers.take(1, 1000, MIB).buffer, buffers.take(1, 1000, MIB).buffer
    buffers.give_back(idle)
    buffers.drop(1)
    assert (buffers.size_bytes, busy.busy) == (MIB, True)
    os.pread(busy.fd, 1, 0)
    buffers.give_back(busy)
    assert buffers.size_bytes == 0


def test_only_its_own_idle_buffer_can_be_released() -> None:
    buffers = pool()
    buffer = buffers.take(1, 1000, MIB).buffer
    assert not buffers.release(1, buffer.number), "a save has it"
    buffers.give_back(buffer)
    assert not buffers.release(2, buffer.number), "it is another's"
    assert buffers.release(1, buffer.number)
    assert not buffers.release(1, buffer.number), "it is gone"
    assert buffers.size_bytes == 0
