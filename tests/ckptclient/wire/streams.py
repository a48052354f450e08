"""Byte streams for the properties: values, messages, right and wrong bytes, and every way to cut them."""

from itertools import pairwise

import msgpack
from hypothesis import strategies as st

from ckptclient.wire import limits
from ckptclient.wire.frames import encode
from ckptclient.wire.messages import Message, Notification, Reply, Request, pack

ids = st.integers(0, limits.message_id_max)
methods = st.text(st.characters(codec="ascii"), min_size=1, max_size=limits.method_bytes_max)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=40)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
maps = st.dictionaries(st.text(max_size=12), values, max_size=4)
errors = st.fixed_dictionaries(
    {
        "code": st.text(max_size=16),
        "message": st.text(max_size=40),
        "hint": st.none() | st.text(max_size=40),
        "retryable": st.booleans(),
        "details": maps,
    }
)
requests = st.builds(Request, ids, methods, values)
replies = st.builds(Reply, ids, st.none(), maps) | st.builds(Reply, ids, errors, st.none())
messages: st.SearchStrategy[Message] = requests | replies | st.builds(Notification, methods, maps)

FRAME_BYTES_MAX = 256
"""A small limit, so that short examples reach it."""

packed = messages.map(pack)
bodies = (
    st.binary(min_size=1, max_size=FRAME_BYTES_MAX)
    | values.map(lambda value: bytes(msgpack.packb(value)))
    | st.integers(1, FRAME_BYTES_MAX).map(lambda count: b"\x91" * count)
)
pieces = packed | bodies.map(encode) | st.binary(max_size=12)
streams = st.lists(pieces, max_size=6).map(b"".join)


@st.composite
def cut(draw: st.DrawFn, data: st.SearchStrategy[bytes]) -> tuple[bytes, list[bytes]]:
    """A stream, and the same in pieces of at least a byte (no bytes would be its end)."""
    stream = draw(data)
    places = sorted(draw(st.sets(st.integers(1, max(1, len(stream) - 1)), max_size=12)))
    edges = [0, *places, len(stream)]
    return stream, [piece for low, high in pairwise(edges) if (piece := stream[low:high])]
