"""Which items a loop goes over, and which of them are recorded already; owns the terms *place* and *key*.

Items of a list, tuple, range or dict are known by their place, so that a million cost one bit each; a digest of the
sequence says whether places still mean the same items. Everything else, and whatever is given `key=`, is known by a
key: the caller's, else the item's own value. Not for: going over them (`loop`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

from ckptclient import calls
from ckptclient.calls import Call
from ckptclient.errors import BadRequest, Encoding
from ckptclient.payload import encode_value
from ckptclient.wire import limits

if TYPE_CHECKING:
    import hashlib

T = TypeVar("T")
Ask: TypeAlias = Callable[[Call[Any]], Any]

PLAIN = frozenset({int, str, float, bool, type(None)})
"""Types that can't change under the loop: they are packed later, off the loop's thread."""
CHUNK = 1024
ITEM_BYTES = 1 << 40
PLACES_IN_A_PAGE = 1 << 21
"""Two bitmaps of so many bits fill half a frame."""
KEYED = bytes.fromhex("a833057d0a21e45449480a30bcf468cba4ee076e506c12dad26d3c45a98e7a60")
"""Stands for the digest of a sequence that has none: SHA-256 of `ckptd items known by key`."""

Verdict: TypeAlias = Literal["no", "appended", "changed"]


class Mark(NamedTuple):
    """A sequence as the daemon knows it."""

    digest: bytes
    length: int

    @classmethod
    def unpack(cls, raw: bytes | None) -> "Mark | None":
        """Read what a registration answers: 8 bytes of length, big-endian, then the digest; None where there is none."""
        return cls(raw[8:], int.from_bytes(raw[:8], "big")) if raw else None


class Sequenced(NamedTuple):
    """A sequence that is about to be gone over, and its beginning of the length that was known before."""

    mark: Mark
    prefix: Mark | None

    def against(self, known: Mark | None) -> Verdict:
        """Whether places still mean the same items as in the sequence that is known."""
        if known is None or known == self.mark:
            return "no"
        return "appended" if known == self.prefix else "changed"


def sha256(data: bytes) -> "hashlib._Hash":
    """As `hashlib` has it, loaded when a worker goes over items: OpenSSL, 2 ms, stands behind it."""
    import hashlib

    return hashlib.sha256(data)


def has_places(items: object) -> bool:
    """Whether these items are known by their place."""
    return isinstance(items, (list, tuple, range, dict))


def sequenced(items: Iterable[object], known: Mark | None) -> Sequenced:
    """The marks of a list, tuple, range or dict. A range's costs nothing, others' about 50 ns for each plain item."""
    before = known.length if known is not None else 0
    if isinstance(items, range):
        whole, beginning = _range_digest(items, len(items)), _range_digest(items, before)
        return _sequenced(len(items), whole, before, beginning)
    values = items if isinstance(items, (list, tuple)) else list(items)
    if not 0 < before < len(values):
        (whole,) = _digests(values, (len(values),))
        return Sequenced(Mark(whole, len(values)), None)
    beginning, whole = _digests(values, (before, len(values)))
    return _sequenced(len(values), whole, before, beginning)


def _sequenced(length: int, whole: bytes, before: int, beginning: bytes) -> Sequenced:
    return Sequenced(Mark(whole, length), Mark(beginning, before) if 0 < before < length else None)


def keyed() -> Sequenced:
    """The mark of items that are known by key: always the same."""
    return Sequenced(Mark(KEYED, 0), None)


def _range_digest(items: range, length: int) -> bytes:
    return sha256(b"ckptd range %d %d %d" % (items.start, items.step, length)).digest()


def _digests(values: Sequence[object], cuts: Sequence[int]) -> Iterator[bytes]:
    """The digest of each beginning: over the encoded items in chunks, which begin at the same places for each."""
    hashing = sha256(b"ckptd items")
    start = 0
    for cut in cuts:
        while start + CHUNK <= cut:
            hashing.update(_encoded(values, start, start + CHUNK))
            start += CHUNK
        ending = hashing.copy()
        if start < cut:
            ending.update(_encoded(values, start, cut))
        yield ending.digest()


def _encoded(values: Sequence[object], start: int, stop: int) -> bytes:
    try:
        return encode_value(list(values[start:stop]), bytes_max=ITEM_BYTES, root="items")
    except Encoding as error:
        raise Encoding(
            f"of the items from {start} on, {error.message}",
            hint="give key=, a function that names each item by a plain value",
            details=error.details,
        ) from error


class Keys:
    """Digests of recorded keys: one sorted run of bytes, 16 for each, where a set would take six times the memory."""

    def __init__(self, digests: bytes) -> None:
        self._digests = digests

    def __len__(self) -> int:
        return len(self._digests) // limits.digest_bytes

    def __contains__(self, packed: bytes) -> bool:
        digest, low, high = key_digest(packed), 0, len(self)
        while low < high:
            middle = (low + high) // 2
            found = self._digests[middle * 16 : middle * 16 + 16]
            if found == digest:
                return True
            low, high = (middle + 1, high) if found < digest else (low, middle)
        return False


class Recorded:
    """What the journal has: a bit for each place, least significant first, and the keys."""

    __slots__ = ("keys", "places")

    def __init__(self, places: bytes, keys: Keys) -> None:
        self.places = places
        self.keys = keys

    @property
    def count(self) -> int:
        """How many items that is."""
        return int.from_bytes(self.places, "little").bit_count() + len(self.keys)


NOTHING = Recorded(b"", Keys(b""))


def key_digest(packed: bytes) -> bytes:
    """The first 16 bytes of a packed key's SHA-256: by this the daemon knows it."""
    return sha256(packed).digest()[: limits.digest_bytes]


def packed_key(value: object) -> bytes:
    """A key as it is recorded; raises `Encoding` or `BadRequest` where it can't be one."""
    packed = encode_value(value, root="key")
    if len(packed) > limits.item_bytes_max:
        raise BadRequest(
            f"a key of {len(packed)} bytes is too long; {limits.item_bytes_max} are allowed",
            hint="give key=, a function that names each item by a shorter value",
        )
    return packed


def recorded(ask: Ask, token: bytes, length: int, *, retry_failed: bool) -> Recorded:
    """Ask the journal what is not to be done again: `length` places, and all keys."""
    places = b"".join(_places(ask, token, length, retry_failed))
    return Recorded(places.rstrip(b"\0"), Keys(b"".join(_keys(ask, token, retry_failed))))


def _places(ask: Ask, token: bytes, length: int, retry_failed: bool) -> Iterator[bytes]:
    for first in range(0, length, PLACES_IN_A_PAGE):
        count = min(PLACES_IN_A_PAGE, max(8, length - first))
        page = ask(calls.ordinals(token, first=first, count=count))
        bits = int.from_bytes(page.done, "little")
        if not retry_failed:
            bits |= int.from_bytes(page.failed, "little")
        yield bits.to_bytes((count + 7) // 8, "little")


def _keys(ask: Ask, token: bytes, retry_failed: bool) -> Iterator[bytes]:
    after: bytes | None = b""
    while after is not None:
        page = ask(calls.digests(token, after=after))
        if retry_failed and any(page.failed):
            yield b"".join(
                page.digests[index * 16 : index * 16 + 16]
                for index in range(len(page.digests) // 16)
                if not page.failed[index >> 3] >> (index & 7) & 1
            )
        else:
            yield page.digests
        after = page.next


def by_place(items: Iterable[T], done: Recorded) -> Iterator[tuple[int, object, T]]:
    """(place, item to record, item) of what is not recorded; plain items are packed later."""
    bits, reach, keys = done.places, len(done.places) * 8, done.keys
    checks_keys = len(keys) > 0
    for place, item in enumerate(items):
        if place < reach and bits[place >> 3] >> (place & 7) & 1:
            continue
        if checks_keys and packed_key(item) in keys:  # a member recorded it, who knows no places
            continue
        yield place, item if type(item) in PLAIN else shown(item), item


def by_key(items: Iterable[T], key: Callable[[T], object] | None, done: Recorded) -> Iterator[tuple[int, object, T]]:
    """(-1, packed key, item) of what is not recorded."""
    keys = done.keys
    checks = len(keys) > 0
    for item in items:
        packed = packed_key(item if key is None else key(item))
        if not (checks and packed in keys):
            yield -1, packed, item


def shown(item: object) -> bytes:
    """An item that is known by its place, as it is recorded: nothing where it is too long, its place is enough."""
    packed = encode_value(item, root="item")
    return packed if len(packed) <= limits.item_bytes_max else b""
