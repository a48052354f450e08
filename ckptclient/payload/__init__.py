"""Python state <-> parts: exact types back, nothing run because data names it. `docs/PAYLOAD.md` is the format.

`encode` and `decode` are for the state of a checkpoint, a document with its large buffers beside it; `encode_value`
and `decode_value` for one small value on its own (journal items, results, metadata).
Not for: how parts travel (`wire`, `staging`) or are stored.
"""

from ckptclient.errors import Encoding as EncodingError

from .decoder import decode, decode_value
from .encoder import encode, encode_value
from .parts import BUFFER_BYTES_MIN, DEPTH_MAX, DOCUMENT, DOCUMENT_BYTES_MAX, Part
from .registry import register_type

__all__ = [
    "BUFFER_BYTES_MIN",
    "DEPTH_MAX",
    "DOCUMENT",
    "DOCUMENT_BYTES_MAX",
    "EncodingError",
    "Part",
    "decode",
    "decode_value",
    "encode",
    "encode_value",
    "register_type",
]
