"""Where a payload is cut into chunks; owns the term *cut*.

Arrays, files and byte streams are cut into fixed pieces, so that what changed in place costs its own pieces alone; a
document is one chunk, so that its next version can be stored as what differs from it. Pure arithmetic. Not for: reading
or hashing what lies between two cuts (`ingest`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

PIECE_BYTES: Final = 1 << 20
DOCUMENT: Final = "document"
DOCUMENT_BYTES_MAX: Final = 32 << 20
"""A larger document is cut like anything else."""

UNIT_BYTES: Final = 1 << 20
"""What a thread is given at a time: below it the hand-over of the interpreter's lock costs more than the work."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One chunk to be: a range of a part."""

    part: int
    offset: int
    size_bytes: int


def cut(part: int, kind: str, size_bytes: int) -> Iterator[Cut]:
    """Every chunk of a part in order; none of an empty one. `kind` is the one that the part's form names."""
    whole = kind == DOCUMENT and size_bytes <= DOCUMENT_BYTES_MAX
    step = size_bytes if whole else PIECE_BYTES
    for offset in range(0, size_bytes, max(1, step)):
        yield Cut(part, offset, min(step, size_bytes - offset))


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
