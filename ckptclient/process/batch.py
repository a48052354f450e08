"""Records on their way from the queue to a frame; owns the terms *entry* and *batch*.

An entry is what a turn leaves behind, as cheap as can be; a batch is up to a thousand of them as they cross. Packing
is done here, behind the worker's back. Not for: when a batch goes (`outbox`).
"""

from collections import deque
from typing import NamedTuple, TypeAlias

import msgpack

from ckptclient.payload import encode_value
from ckptclient.wire import limits, params
from ckptclient.wire.fields import Params, parameters

from .saving import Job

Entry: TypeAlias = tuple[int, int, object, bytes | None, int]
"""A record: kind, place (-1: known by its key), item (packed, or a plain value still to be), result, steps done by then."""

Queue: TypeAlias = deque[Entry | Job]

BATCH_COUNT = limits.records_count_max
BATCH_BYTES_MAX = limits.frame_bytes_max - (128 << 10)
"""Items and results of one batch; what is left of the frame is for lengths and the progress."""

assert limits.item_bytes_max + limits.result_bytes_max <= BATCH_BYTES_MAX


@parameters
class Rows(Params):
    """`params.AppendRecords` with rows that are ready to cross: a thousand records as objects would cost milliseconds."""

    token: bytes
    records: list[list[object]]
    progress: params.Progress

    def pack(self) -> object:
        """As `params.AppendRecords.pack`."""
        return {"token": self.token, "records": self.records, "progress": self.progress.pack()}


class Batch(NamedTuple):
    """Rows as they cross, the steps that were done by the last of them, and the bytes of their results."""

    rows: list[list[object]]
    completed: int
    result_bytes: int


class Packer:
    """Takes batches off a queue; used by one thread at a time."""

    def __init__(self) -> None:
        self._packer = msgpack.Packer()

    def take(self, queue: Queue) -> Batch:
        """The records at the head of the queue, up to a save, a thousand, or a frame; at least one."""
        rows: list[list[object]] = []
        size = result_bytes = completed = 0
        while queue and len(rows) < BATCH_COUNT:
            entry = queue[0]
            if isinstance(entry, Job):
                break
            kind, place, item, result, completed_then = entry
            packed = item if type(item) is bytes else self._pack(item)
            weight = len(result) if result is not None else 0
            size += len(packed) + weight
            if rows and size > BATCH_BYTES_MAX:
                break
            queue.popleft()
            rows.append([kind, place, packed, result])
            completed = completed_then
            result_bytes += weight
        return Batch(rows, completed, result_bytes)

    def _pack(self, item: object) -> bytes:
        """A plain value as `encode_value` writes it, in a tenth of the time; nothing where it is too long for a record."""
        try:
            packed: bytes = self._packer.pack(item)
        except (OverflowError, UnicodeEncodeError):
            packed = encode_value(item, root="item")
        return packed if len(packed) <= limits.item_bytes_max else b""
