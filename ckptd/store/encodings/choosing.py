"""Which encoding a chunk gets, found by measuring: on a sample where that tells enough, else on the whole.

Pure: bytes in, bytes out. `encode` is for the threads of a save and takes a few milliseconds a MiB; `encode_tight`
is for whoever has time. Not for: which chunks may be bases (`core.encoding`, `previous`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ckptd.core.encoding import delta_pays, shrinks
from ckptd.store.encodings.frames import PREFIXED_BYTES_MAX, compress, compress_after, compress_after_tightly
from ckptd.store.encodings.table import DELTA, RAW, ZSTD

_SAMPLE_BYTES: Final = 4 << 10
_SAMPLES_COUNT: Final = 4

_TIGHT_DELTA_LEVEL: Final = 12
"""From 13 on zstd takes ten times as long for a delta that is a tenth smaller."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the settings leave to choose from.

    `level` is zstd's at the save, 1 to 19, and 0 stores raw; `depth_max` is how many bases may stand behind a chunk;
    `tight_level` is zstd's where there is time.
    """

    level: int
    depth_max: int = 0
    tight_level: int = 19


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
    """Encode one chunk, fast. `element_bytes` is the size of an element where the chunk is part of an array.

    Raw where a sample of the bytes, or the whole, hardly shrinks; a delta where one is clearly smaller than the chunk
    by itself.
    """
    if not choice.level:
        return Encoded(RAW, plain)
    if base is None or not _may_be_delta(plain, base):
        return _alone(plain, choice.level)
    delta = Encoded(DELTA, compress_after(base.plain, plain), base)
    sample = _sample(plain)
    # A sample compresses less well than the whole: half of what it says is less than the whole ever takes.
    if delta_pays(2 * len(delta.stored) * len(sample), len(compress(sample, choice.level)) * len(plain)):
        return delta
    return _smaller(_alone(plain, choice.level), delta)


def encode_tight(plain: bytes, choice: Choice, element_bytes: int = 1, bases: Sequence[Base] = ()) -> Encoded:
    """The smallest of all that is known, whatever time it takes; a delta to the best of `bases`, where that pays."""
    best = _alone(plain, choice.tight_level, sampled=False)
    for base in bases:
        if _may_be_delta(plain, base):
            best = _smaller(best, Encoded(DELTA, compress_after_tightly(base.plain, plain, _TIGHT_DELTA_LEVEL), base))
    return best


def _may_be_delta(plain: bytes, base: Base) -> bool:
    return 0 < len(base.plain) + len(plain) <= PREFIXED_BYTES_MAX


def _smaller(best: Encoded, delta: Encoded) -> Encoded:
    """A delta takes the place of another where it is smaller, and of a chunk by itself where that pays."""
    if best.base is not None:
        return min(best, delta, key=lambda one: len(one.stored))
    return delta if delta_pays(len(delta.stored), len(best.stored)) else best


def _alone(plain: bytes, level: int, *, sampled: bool = True) -> Encoded:
    if sampled:
        sample = _sample(plain)
        if not shrinks(len(compress(sample, level)), len(sample)):
            return Encoded(RAW, plain)
    stored = compress(plain, level)
    return Encoded(ZSTD, stored) if shrinks(len(stored), len(plain)) else Encoded(RAW, plain)


def _sample(plain: bytes) -> bytes:
    """A few places spread over the chunk; all of a small one."""
    if len(plain) <= _SAMPLES_COUNT * _SAMPLE_BYTES * 2:
        return plain
    step = (len(plain) - _SAMPLE_BYTES) // (_SAMPLES_COUNT - 1)
    return b"".join(plain[at : at + _SAMPLE_BYTES] for at in range(0, len(plain) - _SAMPLE_BYTES + 1, step))
