"""zstd frames, of bytes alone and of bytes that follow others; the one room that knows the libraries.

Two of them: `zstandard` has the faster decoder and finds nothing far back in a prefix; the standard library's module
(`backports.zstd` before 3.14) takes a prefix at no cost and matches over a long distance. A frame that either has made
is read by the first. Both are loaded when they are first needed, so that a daemon that never meets a large payload
doesn't pay for them.
"""

import threading
from types import ModuleType
from typing import TYPE_CHECKING, Final

from ckptclient.errors import Damaged

if TYPE_CHECKING:
    import zstandard

PREFIXED_BYTES_MAX: Final = 64 << 20
"""Base and plain bytes of a delta together, and so the window that a reader must allow."""

_WINDOW_LOG_MIN: Final = 10


def compress(plain: bytes, level: int) -> bytes:
    """One frame that states its content size."""
    return _compressor(level).compress(plain)


def compress_after(base: bytes, plain: bytes, level: int) -> bytes:
    """One frame that states its content size, and is read by who has `base` alone.

    `level` matters little for the size, for the time much: RFC 8878's matches reach back over the whole base only where
    the window does, so the window is as long as both together.
    """
    assert len(base) + len(plain) <= PREFIXED_BYTES_MAX
    zstd = _long_distance()
    options = {
        zstd.CompressionParameter.compression_level: level,
        zstd.CompressionParameter.window_log: max(_WINDOW_LOG_MIN, (len(base) + len(plain)).bit_length()),
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    prefix = zstd.ZstdDict(base, is_raw=True).as_prefix
    return bytes(zstd.compress(plain, options=options, zstd_dict=prefix))


def decompress(stored: bytes, plain_bytes: int, base: bytes | None = None) -> bytes:
    """Exactly so many bytes, or Damaged. `base` is what the frame was made after."""
    zstd = _library()
    try:
        # Before anything is decoded: the library makes room for what the frame announces, whatever limit it is given.
        announced = zstd.frame_content_size(stored)
        if announced != plain_bytes:
            raise Damaged(f"the chunk's frame announces {announced} bytes, and should have {plain_bytes}")
        decompressor = _decompressor() if base is None else _after(base)
        return bytes(decompressor.decompress(stored, max_output_size=plain_bytes, allow_extra_data=False))
    except zstd.ZstdError as error:
        raise Damaged(f"the chunk can't be decompressed: {error}") from error


class _PerThread(threading.local):
    """The library's objects keep their tables between uses, and serve one thread at a time."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressor: zstandard.ZstdDecompressor | None = None


_mine = _PerThread()


def _library() -> ModuleType:
    import zstandard

    return zstandard


def _long_distance() -> ModuleType:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from backports import zstd
    return zstd  # type: ignore[no-any-return, unused-ignore]


def _compressor(level: int) -> "zstandard.ZstdCompressor":
    found = _mine.compressors.get(level)
    if found is None:
        found = _mine.compressors[level] = _library().ZstdCompressor(level=level, write_content_size=True)
    return found


def _decompressor() -> "zstandard.ZstdDecompressor":
    if _mine.decompressor is None:
        _mine.decompressor = _library().ZstdDecompressor()
    return _mine.decompressor


def _after(base: bytes) -> "zstandard.ZstdDecompressor":
    library = _library()
    prefix = library.ZstdCompressionDict(base, dict_type=library.DICT_TYPE_RAWCONTENT)
    found: zstandard.ZstdDecompressor = library.ZstdDecompressor(
        dict_data=prefix, max_window_size=2 * PREFIXED_BYTES_MAX
    )
    return found
