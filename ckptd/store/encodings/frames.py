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

PREFIX_BYTES_MIN: Final = 8
"""The libraries take no shorter one."""

_WINDOW_LOG_MIN: Final = 10
_FAR_WINDOW_LOG: Final = 24
"""Above this a table for the whole window falls out of the processor's cache, and matching over a long distance pays."""

_TABLE_LOG: Final = 3
_TABLE_LOG_MAX: Final = 21
"""The fast compressor's table has an entry for each 8 bytes of the window: a level's own has too few, and finds almost
nothing; with one for each 2 bytes most of the time goes into the memory for it."""


def compress(plain: bytes, level: int) -> bytes:
    """One frame that states its content size."""
    return _compressor(level).compress(plain)


def compress_after(base: bytes, plain: bytes) -> bytes:
    """One frame that states its content size, and is read by who has `base` alone. About a millisecond a MiB."""
    window_log = _window_log(base, plain)
    return _after(base, plain, 1, window_log > _FAR_WINDOW_LOG, min(window_log - _TABLE_LOG, _TABLE_LOG_MAX))


def compress_after_tightly(base: bytes, plain: bytes, level: int) -> bytes:
    """The same, smaller, at a level of zstd."""
    return _after(base, plain, level, far=True)


def _after(base: bytes, plain: bytes, level: int, far: bool, table_log: int = 0) -> bytes:
    """A match may reach back over the whole base only where the window does; 0 leaves the table as the level has it."""
    assert len(base) + len(plain) <= PREFIXED_BYTES_MAX
    zstd = _long_distance()
    parameter = zstd.CompressionParameter
    options = {
        parameter.compression_level: level,
        parameter.window_log: _window_log(base, plain),
        parameter.enable_long_distance_matching: int(far),
        parameter.hash_log: table_log,
    }
    return bytes(zstd.compress(plain, options=options, zstd_dict=zstd.ZstdDict(base, is_raw=True).as_prefix))


def _window_log(base: bytes, plain: bytes) -> int:
    return max(_WINDOW_LOG_MIN, (len(base) + len(plain)).bit_length())


def decompress(stored: bytes, plain_bytes: int, base: bytes | None = None) -> bytes:
    """Exactly so many bytes, or Damaged. `base` is what the frame was made after."""
    zstd = _library()
    try:
        # Before anything is decoded: the library makes room for what the frame announces, whatever limit it is given.
        announced = zstd.frame_content_size(stored)
        if announced != plain_bytes:
            raise Damaged(f"the chunk's frame announces {announced} bytes, and should have {plain_bytes}")
        decompressor = _decompressor() if base is None else _decompressor_after(base)
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


def _decompressor_after(base: bytes) -> "zstandard.ZstdDecompressor":
    library = _library()
    prefix = library.ZstdCompressionDict(base, dict_type=library.DICT_TYPE_RAWCONTENT)
    found: zstandard.ZstdDecompressor = library.ZstdDecompressor(
        dict_data=prefix, max_window_size=2 * PREFIXED_BYTES_MAX
    )
    return found
