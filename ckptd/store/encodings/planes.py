"""Arrays by byte planes: all first bytes of the elements, then all second ones; owns the term *plane*.

The bytes of a number differ in kind: sign and exponent repeat from element to element, the low bits of a mantissa are
noise. Apart from each other the first compress well and quickly, and the others are found to be noise on a sample and
left as they are. Slices with a step do the work, at memory's speed and without a library.

    element bytes  u8    how many planes there are, 2 to 16
    stored bytes   u32   of each plane, big-endian; as long as the plane itself: raw, else one zstd frame
    planes               end to end
    rest                 the bytes behind the last whole element
"""

import struct
from typing import Final

from ckptclient.errors import Damaged
from ckptd.core.encoding import shrinks
from ckptd.store.encodings.frames import compress, decompress
from ckptd.store.encodings.sampling import sample

ELEMENT_BYTES_MAX: Final = 16
"""Of larger elements, which are records or text, the planes have nothing in common."""

_LEVEL: Final = 1
"""zstd's: a higher one takes several times as long, and for most planes more bytes (level 3) or hardly fewer (6)."""

_XOR_BYTES: Final = 64 << 10
"""What is worked on while nobody else may run."""


def split(plain: bytes, element_bytes: int) -> list[bytes]:
    """The planes, without the rest."""
    whole = len(plain) - len(plain) % element_bytes
    return [plain[first:whole:element_bytes] for first in range(element_bytes)]


def pack(plain: bytes, element_bytes: int) -> bytes:
    """The stored bytes of an array whose elements have so many bytes."""
    assert 1 < element_bytes <= ELEMENT_BYTES_MAX
    stored = [_pack_plane(plane) for plane in split(plain, element_bytes)]
    head = struct.pack(f">B{element_bytes}I", element_bytes, *map(len, stored))
    rest = plain[len(plain) - len(plain) % element_bytes :]
    return b"".join((head, *stored, rest))


def _pack_plane(plane: bytes) -> bytes:
    few = sample(plane)
    if not shrinks(len(compress(few, _LEVEL)), len(few)):
        return plane
    stored = compress(plane, _LEVEL)
    return stored if shrinks(len(stored), len(plane)) else plane


def unpack(stored: bytes, plain_bytes: int) -> bytes:
    """Exactly so many plain bytes, or Damaged."""
    element_bytes = stored[0] if stored else 0
    if not 1 < element_bytes <= ELEMENT_BYTES_MAX:
        raise Damaged(f"the chunk has elements of {element_bytes} bytes")
    layout = struct.Struct(f">B{element_bytes}I")
    if len(stored) < layout.size:
        raise Damaged("the chunk ends before its planes")
    _, *lengths = layout.unpack_from(stored)
    rest_bytes, plane_bytes = plain_bytes % element_bytes, plain_bytes // element_bytes
    if layout.size + sum(lengths) + rest_bytes != len(stored):
        raise Damaged(f"the chunk has {len(stored)} bytes, and its planes take others")
    plain, at = bytearray(plain_bytes), layout.size
    for first, length in enumerate(lengths):
        plane = stored[at : at + length]
        at += length
        whole = plain_bytes - rest_bytes
        plain[first:whole:element_bytes] = plane if length == plane_bytes else decompress(plane, plane_bytes)
    plain[plain_bytes - rest_bytes :] = stored[at:]
    return bytes(plain)


def xor(one: bytes, other: bytes) -> bytes:
    """Bit by bit; both have the same length. NumPy does it forty times as fast, where it is there."""
    assert len(one) == len(other)
    try:
        import numpy as np
    except ImportError:
        return b"".join(
            _xor(one[at : at + _XOR_BYTES], other[at : at + _XOR_BYTES]) for at in range(0, len(one), _XOR_BYTES)
        )
    return np.bitwise_xor(np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8)).tobytes()


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).to_bytes(len(one), "little")
