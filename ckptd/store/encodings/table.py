"""The encodings by number, and decoding; owns the term *encoding*.

Decoding believes the catalog's plain length and nothing that the stored bytes say of themselves: a zstd frame of 13
bytes may announce exabytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ckptclient.errors import Damaged
from ckptd.store.encodings import planes
from ckptd.store.encodings.frames import PREFIXED_BYTES_MAX, decompress

RAW: Final = 0
ZSTD: Final = 1
PLANES: Final = 2
DELTA: Final = 3
XOR: Final = 4

CHUNK_BYTES_MAX: Final = 32 << 20
"""Plain bytes of one chunk, and so what decoding one may take."""

assert 2 * CHUNK_BYTES_MAX <= PREFIXED_BYTES_MAX, "any chunk may stand on any other"


@dataclass(frozen=True, slots=True)
class Encoding:
    """One row: `decode` gives exactly so many plain bytes or raises Damaged; `on_base` is whether it takes a base."""

    number: int
    name: str
    decode: Callable[[bytes, int, bytes | None], bytes]
    on_base: bool = False


def decode(number: int, stored: bytes, plain_bytes: int, base: bytes | None = None) -> bytes:
    """Decode one chunk, where it is a delta with the plain bytes of its base.

    Damaged where the encoding is unknown, the base is missing or one too many, or the outcome has another length.
    """
    encoding = ENCODINGS.get(number)
    if encoding is None:
        raise Damaged(f"the chunk has encoding {number}, which this release doesn't know")
    if encoding.on_base != (base is not None):
        raise Damaged(f"the chunk has encoding {encoding.name}, and {'no' if base is None else 'a'} base")
    if plain_bytes > CHUNK_BYTES_MAX:
        raise Damaged(f"the chunk claims {plain_bytes} bytes, and no chunk has more than {CHUNK_BYTES_MAX}")
    return encoding.decode(stored, plain_bytes, base)


def _decode_raw(stored: bytes, plain_bytes: int, base: bytes | None) -> bytes:
    if len(stored) != plain_bytes:
        raise Damaged(f"the chunk has {len(stored)} bytes, and should have {plain_bytes}")
    return stored


def _decode_planes(stored: bytes, plain_bytes: int, base: bytes | None) -> bytes:
    return planes.unpack(stored, plain_bytes)


def _decode_xor(stored: bytes, plain_bytes: int, base: bytes | None) -> bytes:
    assert base is not None
    if len(base) != plain_bytes:
        raise Damaged(f"the chunk has {plain_bytes} bytes, and its base {len(base)}")
    return planes.xor(planes.unpack(stored, plain_bytes), base)


ENCODINGS: Final[Mapping[int, Encoding]] = {
    row.number: row
    for row in (
        Encoding(RAW, "raw", _decode_raw),
        Encoding(ZSTD, "zstd", decompress),
        Encoding(PLANES, "planes", _decode_planes),
        Encoding(DELTA, "delta", decompress, on_base=True),
        Encoding(XOR, "xor", _decode_xor, on_base=True),
    )
}
