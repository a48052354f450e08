"""Where a payload is cut into chunks; owns the term *cut*.

Arrays are cut into fixed pieces, so that what changed in place costs its own pieces alone. A document is one chunk, so
that its next version can be stored as what differs from it. Files and byte streams are cut by their content (FastCDC):
where something was put in or taken out, the cuts behind it stand where they stood. Nobody depends on where a cut is,
but for sharing: other cuts would store anew what is there, so a golden vector holds them. Not for: hashing what lies
between two cuts (`ingest`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

PIECE_BYTES: Final = 1 << 20
ARRAY: Final = "array"
DOCUMENT: Final = "document"
DOCUMENT_BYTES_MAX: Final = 32 << 20
"""A larger document is cut like anything else."""

CONTENT_BYTES_MIN: Final = 16 << 10
CONTENT_BYTES_AVERAGE: Final = 64 << 10
CONTENT_BYTES_MAX: Final = 256 << 10
"""Of a chunk that is cut by content. Half as large, they share a fifth more and take twice the rows."""

_WINDOW_BYTES: Final = 8 << 20
"""What is looked at in one go; a cut at its end is none."""

assert 2 * CONTENT_BYTES_MAX < _WINDOW_BYTES, "each window has a cut of its own"

UNIT_BYTES: Final = 1 << 20
"""What a thread is given at a time: below it the hand-over of the interpreter's lock costs more than the work."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One chunk to be: a range of a part."""

    part: int
    offset: int
    size_bytes: int


def cut(part: int, kind: str, element_bytes: int, size_bytes: int, read: Callable[[int, int], bytes]) -> Iterator[Cut]:
    """Every chunk of a part in order; none of an empty one.

    `kind` and `element_bytes` are what the part's form says; `read` gives a range of it, from an offset, fewer bytes
    where it ends early.
    """
    if kind == DOCUMENT and 0 < size_bytes <= DOCUMENT_BYTES_MAX:
        return iter((Cut(part, 0, size_bytes),))
    if kind == ARRAY or element_bytes > 1:
        return _pieces(part, 0, size_bytes)
    return _by_content(part, size_bytes, read)


def _pieces(part: int, begin: int, end: int) -> Iterator[Cut]:
    for offset in range(begin, end, PIECE_BYTES):
        yield Cut(part, offset, min(PIECE_BYTES, end - offset))


def _by_content(part: int, size_bytes: int, read: Callable[[int, int], bytes]) -> Iterator[Cut]:
    if size_bytes <= CONTENT_BYTES_MIN:
        yield from _pieces(part, 0, size_bytes)
        return
    # Here, so that a daemon that never meets a file doesn't pay for it.
    from pyfastcdc import FastCDC

    cutter = FastCDC(CONTENT_BYTES_AVERAGE, min_size=CONTENT_BYTES_MIN, max_size=CONTENT_BYTES_MAX)
    offset = 0
    while offset < size_bytes:
        window = read(offset, min(_WINDOW_BYTES, size_bytes - offset))
        lengths = [chunk.length for chunk in cutter.cut_buf(window)]
        if offset + len(window) < size_bytes:
            del lengths[-1:]
        if not lengths:
            # The source ends early. Whoever reads the next piece says so.
            yield from _pieces(part, offset, size_bytes)
            return
        for length in lengths:
            yield Cut(part, offset, length)
            offset += length


def units(cuts: Iterable[Cut]) -> Iterator[Sequence[Cut]]:
    """Cuts in order, grouped into what is worth a thread's while."""
    unit: list[Cut] = []
    size = 0
    for one in cuts:
        unit.append(one)
        size += one.size_bytes
        if size >= UNIT_BYTES:
            yield unit
            unit, size = [], 0
    if unit:
        yield unit
