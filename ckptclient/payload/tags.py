"""The numbers that say what a tagged array stands for; owns the term *tag*. `docs/PAYLOAD.md` has the layouts.

MessagePack has no tuple, set or date. Such a value is written as an array whose first element is a tag, extension
type 1 with one byte of data, followed by the arguments. An array and not a nested extension, because that is written
and read in one pass, without a copy of the inner bytes at each level. Numbers are never reused.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from msgpack import ExtType

TAG_CODE: Final = 1

PART: Final = 1
DICT: Final = 2
TUPLE: Final = 3
SET: Final = 4
FROZENSET: Final = 5
INT: Final = 6
COMPLEX: Final = 7
RANGE: Final = 8
SLICE: Final = 9
BYTEARRAY: Final = 10
MEMORYVIEW: Final = 11
ARRAY: Final = 12
DATETIME: Final = 16
DATE: Final = 17
TIME: Final = 18
TIMEDELTA: Final = 19
TIMEZONE: Final = 20
ZONEINFO: Final = 21
DECIMAL: Final = 22
UUID: Final = 23
PATH: Final = 24
ORDERED_DICT: Final = 25
DEFAULT_DICT: Final = 26
COUNTER: Final = 27
DEQUE: Final = 28
ENUM: Final = 32
DATACLASS: Final = 33
NAMED_TUPLE: Final = 34
NDARRAY: Final = 48
NUMPY_SCALAR: Final = 49

HEADS: Final = tuple(ExtType(TAG_CODE, bytes([number])) for number in range(64))
"""The first element of a tagged array, by number."""

PLAIN: Final = frozenset({type(None), bool, int, float, str})
"""Types that MessagePack itself gives back exactly, whatever their value (a wide integer is caught by the packer)."""


class Refused(Exception):
    """Raised inside the encoder at a value that can't be encoded; the edge turns it into `Encoding` with the path."""

    def __init__(self, value: object, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.value = value
        self.reason = reason
        self.hint = hint


class Walk(Protocol):
    """What a codec may ask of the encoder that calls it."""

    def __call__(self, value: object, /) -> object:
        """Return the value as MessagePack can pack it."""

    def deeper(self, lower: "Lower", value: object) -> object:
        """Return what `lower` makes of a value that lies one level deeper; for a codec that knows it already."""

    def count(self, items: int) -> None:
        """Account for so many children before they are visited; raises `Refused` at the limit."""

    def spills(self, size_bytes: int) -> bool:
        """Say whether a buffer of that size goes out of band."""

    def part(self, key: Hashable, owner: object, form: Mapping[str, object], data: bytes | memoryview) -> list[object]:
        """Put a buffer out of band, once per key, and return the reference; `owner` stays alive until the end."""


Lower = Callable[[Any, Walk], object]
Lift = Callable[..., object]


class Row(NamedTuple):
    """One codec: the types it is for, by module and name, so that nothing is imported before a state holds one."""

    tag: int
    module: str
    types: tuple[str, ...]
    lower: Lower
    lift: Lift
