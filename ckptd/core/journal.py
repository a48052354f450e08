"""What a result journal says is done; owns the terms *position*, *cut* and *sequence mark*.

Positions count from 0, and a boundary n lies before record n: a checkpoint with `journal_position` n has records 0 to
n - 1 behind it. A cut is what a rewind set aside, from one boundary to another. Records are never rewritten, so one
item may have many; **an item is done, or failed, when its newest record says so and is in no cut**. An item whose
newest record is in a cut is open, whatever older ones say. Not for: keeping records (the catalog).
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, Self

from ckptclient.errors import Damaged

DONE, FAILED = 0, 1
"""The kinds of a record, as the wire and the catalog have them."""

DIGEST_BYTES = 16


def key_digest(ordinal: int | None, item: bytes) -> bytes | None:
    """What an item without a place in a sequence is known by: the beginning of its SHA-256; None for one with a place."""
    return None if ordinal is not None else sha256(item).digest()[:DIGEST_BYTES]


Row = tuple[int, int, int]
"""(position, kind, ordinal)"""

# One byte for each item while records are read; `bytes.translate` then picks out one of the two.
_OPEN, _IS_DONE, _IS_FAILED = 0, 1, 2
_CODES = (_IS_DONE, _IS_FAILED)
_DONE_DIGITS = bytes.maketrans(bytes((_OPEN, _IS_DONE, _IS_FAILED)), b"010")
_FAILED_DIGITS = bytes.maketrans(bytes((_OPEN, _IS_DONE, _IS_FAILED)), b"001")


@dataclass(frozen=True, slots=True, order=True)
class Cut:
    """Records from boundary `after` to boundary `upto` are set aside: `after <= position < upto`."""

    after: int
    upto: int


def merge(cuts: Iterable[Cut], new: Cut) -> tuple[Cut, ...]:
    """The cuts with one more, in order. Two rewinds to one checkpoint are one cut that reaches further."""
    by_start = {cut.after: cut for cut in cuts}
    old = by_start.get(new.after, new)
    by_start[new.after] = Cut(new.after, max(old.upto, new.upto))
    return tuple(sorted(by_start.values()))


def disjoint(cuts: Iterable[Cut]) -> tuple[Cut, ...]:
    """The same positions by the fewest cuts, in order: what `in_cut` is asked with."""
    spans: list[Cut] = []
    for cut in sorted(cuts):
        if spans and cut.after <= spans[-1].upto:
            spans[-1] = Cut(spans[-1].after, max(spans[-1].upto, cut.upto))
        elif cut.after < cut.upto:
            spans.append(cut)
    return tuple(spans)


def in_cut(position: int, spans: Sequence[Cut]) -> bool:
    """Whether a record was set aside; `spans` as `disjoint` gives them."""
    index = bisect_right(spans, position, key=lambda cut: cut.after) - 1
    return index >= 0 and position < spans[index].upto


def bitmaps(rows: Iterable[Row], cuts: Iterable[Cut], first: int, count: int) -> tuple[bytes, bytes]:
    """(done, failed) of the items `first` to `first + count - 1`, least significant bit first.

    `rows` in journal order; ordinals outside are passed over. A million rows take a fifth of a second.
    """
    states = bytearray(count)
    spans = iter((*disjoint(cuts), Cut(1 << 63, 1 << 63)))
    span = next(spans)
    for position, kind, ordinal in rows:
        while position >= span.upto:
            span = next(spans)
        index = ordinal - first
        if 0 <= index < count:
            states[index] = _OPEN if position >= span.after else _CODES[kind]
    return _bits(states, _DONE_DIGITS), _bits(states, _FAILED_DIGITS)


def _bits(states: bytearray, digits: bytes) -> bytes:
    """One bit for each byte: read as the binary digits of one number, which C does in linear time."""
    if not states:
        return b""
    states = states.translate(digits)
    states.reverse()
    return int(states, 2).to_bytes((len(states) + 7) // 8, "little")


# --- the sequence that ordinals mean ---


@dataclass(frozen=True, slots=True)
class SequenceMark:
    """A sequence of items known by its digest and length."""

    digest: bytes
    length: int

    def pack(self) -> bytes:
        """For the process's row: the length in 8 bytes, big-endian, then the digest."""
        return self.length.to_bytes(8, "big") + self.digest

    @classmethod
    def unpack(cls, raw: bytes) -> Self | None:
        """Read it back; None for no bytes: no sequence was named yet. Damaged where it is too short to be one."""
        if not raw:
            return None
        if len(raw) <= 8:
            raise Damaged("the sequence mark of a process is cut off")
        return cls(raw[8:], int.from_bytes(raw[:8], "big"))


def changed(
    old: SequenceMark | None, new: SequenceMark, prefix: SequenceMark | None
) -> Literal["no", "appended", "changed"]:
    """Whether ordinals still mean the same items.

    `prefix` is the new sequence's own beginning, as the client digested it; appended means that it is the old one
    whole. A first sequence changes nothing.
    """
    if old is None or old == new:
        return "no"
    return "appended" if prefix == old and new.length > old.length else "changed"
