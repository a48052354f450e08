"""Which encoding a chunk gets, found by measuring: on a sample where that tells enough, else on the whole.

Pure: bytes in, bytes out. `encode` is for the threads of a save and takes a few milliseconds a MiB; `encode_tight`
is for whoever has time. Not for: which chunks may be bases (`core.encoding`, `previous`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ckptd.core.encoding import delta_pays, shrinks
from ckptd.store.encodings import planes
from ckptd.store.encodings.frames import (
    PREFIX_BYTES_MIN,
    PREFIXED_BYTES_MAX,
    compress,
    compress_after,
    compress_after_tightly,
)
from ckptd.store.encodings.sampling import sample
from ckptd.store.encodings.table import DELTA, PLANES, RAW, XOR, ZSTD

UNKNOWN: Final = 0
"""The element size of who has the bytes alone; it is found by trying."""

_TRIED_ELEMENTS: Final = (2, 4, 8)
_SAMPLE_LEVEL: Final = 3
_TIGHT_DELTA_LEVEL: Final = 12
"""From 13 on zstd takes ten times as long for a delta that is a tenth smaller."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the settings leave to choose from.

    `level` is zstd's at the save, 1 to 19, and 0 stores raw; `depth_max` and `array_depth_max` are how many bases may
    stand behind a document and behind a piece of an array at the save; `tight_level` is zstd's where there is time.
    """

    level: int
    depth_max: int = 0
    array_depth_max: int = 0
    tight_level: int = 16


@dataclass(frozen=True, slots=True)
class Base:
    """A chunk that another may be the difference to: its id, its plain bytes (verified), and how many stand behind it."""

    id: bytes
    plain: bytes
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Encoded:
    """A chunk as it is stored; `base` is what it is the difference to, if it is one."""

    number: int
    stored: bytes
    base: Base | None = None

    @property
    def depth(self) -> int:
        """How many bases stand behind it."""
        return 0 if self.base is None else self.base.depth + 1


def encode(plain: bytes, choice: Choice, element_bytes: int = 1, base: Base | None = None) -> Encoded:
    """Encode one chunk, fast. `element_bytes` is the size of an element where the chunk is part of an array, else 1.

    Raw where a sample of the bytes, or the whole, hardly shrinks; by planes where that is smaller for the sample; the
    difference to `base` where that is clearly smaller than the chunk by itself.
    """
    if not choice.level or not plain:
        return Encoded(RAW, plain)
    if 1 < element_bytes <= planes.ELEMENT_BYTES_MAX:
        return _encode_array(plain, choice, element_bytes, base)
    if base is None or not _may_be_prefix(plain, base):
        return _alone(plain, choice.level)
    delta = Encoded(DELTA, compress_after(base.plain, plain), base)
    few = sample(plain)
    # A sample compresses less well than the whole: half of what it says is less than the whole ever takes.
    if delta_pays(2 * len(delta.stored) * len(few), len(compress(few, choice.level)) * len(plain)):
        return delta
    return _smaller(_alone(plain, choice.level), delta)


def _encode_array(plain: bytes, choice: Choice, element_bytes: int, base: Base | None) -> Encoded:
    few = sample(plain)
    by_planes, whole = len(planes.pack(few, element_bytes)), len(compress(few, choice.level))
    if base is not None and len(base.plain) == len(plain):
        difference = planes.pack(planes.xor(few, sample(base.plain)), element_bytes)
        if delta_pays(len(difference), min(by_planes, whole)):
            return Encoded(XOR, planes.pack(planes.xor(plain, base.plain), element_bytes), base)
    if not shrinks(min(by_planes, whole), len(few)):
        return Encoded(RAW, plain)
    if whole < by_planes:
        return _worth(ZSTD, compress(plain, choice.level), plain)
    return _worth(PLANES, planes.pack(plain, element_bytes), plain)


def encode_tight(plain: bytes, choice: Choice, element_bytes: int = UNKNOWN, bases: Sequence[Base] = ()) -> Encoded:
    """The smallest of all that is known, at some hundred milliseconds a MiB; on the best of `bases`, where that pays.

    Which bases are offered is the caller's to answer for: none whose chain is at its longest, and none at all for a
    chunk that others stand on. So no chain grows behind anybody's back, and none becomes a circle.
    """
    if not plain:
        return Encoded(RAW, plain)
    few = sample(plain)
    tried = _TRIED_ELEMENTS if element_bytes == UNKNOWN else (element_bytes,)
    by_planes = {size: len(planes.pack(few, size)) for size in tried if 1 < size <= planes.ELEMENT_BYTES_MAX}
    element = min(by_planes, key=lambda size: by_planes[size], default=1)
    if element > 1 and by_planes[element] < len(compress(few, _SAMPLE_LEVEL)):
        best = _worth(PLANES, planes.pack(plain, element), plain)
    else:
        best = _worth(ZSTD, compress(plain, choice.tight_level), plain)
    for base in bases:
        if _may_be_prefix(plain, base):
            found = compress_after_tightly(base.plain, plain, _TIGHT_DELTA_LEVEL)
            best = _smaller(best, Encoded(DELTA, found, base))
        if element > 1 and len(base.plain) == len(plain):
            difference = planes.pack(planes.xor(plain, base.plain), element)
            best = _smaller(best, Encoded(XOR, difference, base))
    return best


def _may_be_prefix(plain: bytes, base: Base) -> bool:
    return len(base.plain) >= PREFIX_BYTES_MIN and len(base.plain) + len(plain) <= PREFIXED_BYTES_MAX


def _smaller(best: Encoded, delta: Encoded) -> Encoded:
    """A difference takes the place of another where it is smaller, and of a chunk by itself where that pays."""
    if best.base is not None:
        return min(best, delta, key=_stored_bytes)
    return delta if delta_pays(len(delta.stored), len(best.stored)) else best


def _alone(plain: bytes, level: int) -> Encoded:
    few = sample(plain)
    if not shrinks(len(compress(few, level)), len(few)):
        return Encoded(RAW, plain)
    return _worth(ZSTD, compress(plain, level), plain)


def _worth(number: int, stored: bytes, plain: bytes) -> Encoded:
    return Encoded(number, stored) if shrinks(len(stored), len(plain)) else Encoded(RAW, plain)


def _stored_bytes(encoded: Encoded) -> int:
    return len(encoded.stored)
