"""How chunks are stored: encodings by number and name, which one for which bytes, and safe decoding.

A chunk is encoded by itself, or as the difference to another chunk, its *base*. The number stands in its record and its
row, and never changes its meaning. Not for: verifying what comes out (`chains` compares the chunk's id), or which chunk
may be a base (`core.encoding`, `previous`).

`encode` is for the save and is fast; `encode_tight` is for the time after it.
"""

from ckptd.store.encodings.choosing import UNKNOWN, Base, Choice, Encoded, encode, encode_tight
from ckptd.store.encodings.table import CHUNK_BYTES_MAX, DELTA, ENCODINGS, PLANES, RAW, XOR, ZSTD, Encoding, decode

__all__ = [
    "CHUNK_BYTES_MAX",
    "DELTA",
    "ENCODINGS",
    "PLANES",
    "RAW",
    "UNKNOWN",
    "XOR",
    "ZSTD",
    "Base",
    "Choice",
    "Encoded",
    "Encoding",
    "decode",
    "encode",
    "encode_tight",
]
