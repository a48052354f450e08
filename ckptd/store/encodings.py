"""How chunks are stored: encodings by number and name, which one for which bytes, and safe decoding.

A chunk is encoded by itself. The number stands in its record and its row, and never changes its meaning. Numbers 2
(element shuffle + zstd) and 3 (delta against a base) are kept for what is to come. Decoding believes the catalog's
plain length and nothing that the stored bytes say of themselves: a zstd frame of 13 bytes may announce exabytes.
Not for: verifying what comes out (`reader` compares the chunk's id).
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Final

from ckptclient.errors import Damaged

if TYPE_CHECKING:
    import zstandard

RAW: Final = 0
ZSTD: Final = 1

CHUNK_BYTES_MAX: Final = 32 << 20
"""Plain bytes of one chunk, and so what decoding one may take."""

_SAMPLE_BYTES: Final = 4 << 10
_SAMPLES_COUNT: Final = 4
_GAIN_PERCENT: Final = 3
"""What compression must save: less isn't worth decoding."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """One row: `decode` gives exactly so many plain bytes or raises Damaged."""

    number: int
    name: str
    decode: Callable[[bytes, int], bytes]


def encode(plain: bytes, level: int) -> tuple[int, bytes]:
    """Encode one chunk: (number, stored bytes). `level` is zstd's, 1 to 19; 0 stores raw.

    Raw too where a sample of the bytes, or the whole, hardly shrinks.
    """
    if not level or not _shrinks(_sample(plain), level):
        return RAW, plain
    stored = _compressor(level).compress(plain)
    return (ZSTD, stored) if _worth(len(stored), len(plain)) else (RAW, plain)


def decode(number: int, stored: bytes, plain_bytes: int) -> bytes:
    """Decode one chunk; Damaged where the encoding is unknown or the outcome has another length."""
    encoding = ENCODINGS.get(number)
    if encoding is None:
        raise Damaged(f"the chunk has encoding {number}, which this release doesn't know")
    if plain_bytes > CHUNK_BYTES_MAX:
        raise Damaged(f"the chunk claims {plain_bytes} bytes, and no chunk has more than {CHUNK_BYTES_MAX}")
    return encoding.decode(stored, plain_bytes)


def _sample(plain: bytes) -> bytes:
    """A few places spread over the chunk; all of a small one."""
    if len(plain) <= _SAMPLES_COUNT * _SAMPLE_BYTES * 2:
        return plain
    step = (len(plain) - _SAMPLE_BYTES) // (_SAMPLES_COUNT - 1)
    return b"".join(plain[at : at + _SAMPLE_BYTES] for at in range(0, len(plain) - _SAMPLE_BYTES + 1, step))


def _shrinks(sample: bytes, level: int) -> bool:
    return _worth(len(_compressor(level).compress(sample)), len(sample))


def _worth(stored_bytes: int, plain_bytes: int) -> bool:
    return stored_bytes * 100 < plain_bytes * (100 - _GAIN_PERCENT)


def _decode_raw(stored: bytes, plain_bytes: int) -> bytes:
    if len(stored) != plain_bytes:
        raise Damaged(f"the chunk has {len(stored)} bytes, and should have {plain_bytes}")
    return stored


def _decode_zstd(stored: bytes, plain_bytes: int) -> bytes:
    zstd = _library()
    try:
        # Before anything is decoded: the library makes room for what the frame announces, whatever limit it is given.
        announced = zstd.frame_content_size(stored)
        if announced != plain_bytes:
            raise Damaged(f"the chunk's frame announces {announced} bytes, and should have {plain_bytes}")
        return bytes(_decompressor().decompress(stored, max_output_size=plain_bytes, allow_extra_data=False))
    except zstd.ZstdError as error:
        raise Damaged(f"the chunk can't be decompressed: {error}") from error


ENCODINGS: Final[Mapping[int, Encoding]] = {
    row.number: row for row in (Encoding(RAW, "raw", _decode_raw), Encoding(ZSTD, "zstd", _decode_zstd))
}


class _PerThread(threading.local):
    """The library's objects keep their tables between uses, and serve one thread at a time."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressor: zstandard.ZstdDecompressor | None = None


_mine = _PerThread()


def _library() -> ModuleType:
    # Here, so that a daemon that never meets a large payload doesn't pay for it.
    import zstandard

    return zstandard


def _compressor(level: int) -> "zstandard.ZstdCompressor":
    found = _mine.compressors.get(level)
    if found is None:
        found = _mine.compressors[level] = _library().ZstdCompressor(level=level, write_content_size=True)
    return found


def _decompressor() -> "zstandard.ZstdDecompressor":
    if _mine.decompressor is None:
        _mine.decompressor = _library().ZstdDecompressor()
    return _mine.decompressor
