"""A part: one named payload inside a checkpoint; and the limits of what may become one.

Not for: how a value is written inside a part (`tags`, and the codecs beside it).
"""

from collections.abc import Mapping
from typing import NamedTuple

DOCUMENT = "state"
"""Name of the part that holds the document; the buffers beside it are `state/0`, `state/1`, ..."""

DOCUMENT_FORM: Mapping[str, object] = {"kind": "document", "encoding": "msgpack"}

DOCUMENT_BYTES_MAX = 32 * 1024 * 1024
"""Longest document: it is built and read in one piece, in memory."""

BUFFER_BYTES_MIN = 64 * 1024
"""From this size on a buffer becomes a part of its own: below it the bookkeeping costs more than the copy."""

DEPTH_MAX = 200
"""Deepest nesting of a state. A level costs at most two levels of MessagePack, whose packer stops at 511."""

assert 2 * DEPTH_MAX < 511


class Part(NamedTuple):
    """One payload of a state.

    `data` is contiguous. What `encode` returns may be a view on the worker's own memory: copy it before the worker
    goes on. What `decode` is given is kept alive by the arrays that view it, where it is writable.
    """

    name: str
    form: Mapping[str, object]
    data: bytes | memoryview


def buffer_name(index: int) -> str:
    """Name of the part that the document refers to as buffer `index`."""
    return f"{DOCUMENT}/{index}"
