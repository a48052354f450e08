"""What the tests of the payload share: exact comparison, registered classes, and a strategy of everything supported."""

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import zoneinfo
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from ckptclient.payload import register_type


@register_type
class Colour(enum.Enum):
    RED = 1
    ODD = (2, "two")


@register_type
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 9


@register_type
class Mode(enum.Flag):
    READ = 1
    WRITE = 2


@register_type(name="point")
@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: Any
    y: Any = 0


@register_type
@dataclasses.dataclass
class Model:
    hooks: list[Any]
    calls: int = dataclasses.field(default=0, init=False)

    def __post_init__(self) -> None:
        self.calls += 1


@register_type
class Pair(NamedTuple):
    left: Any
    right: Any = None


class Unregistered(NamedTuple):
    left: Any


def same(left: Any, right: Any) -> bool:
    """Equal with exactly equal types, all the way down; NaN is the same as NaN, and -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return bool(repr(float(left)) == repr(float(right)))  # nan, inf, -0.0 and every other value print as themselves
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, decimal.Decimal):
        return bool(left.as_tuple() == right.as_tuple())
    if isinstance(left, (np.ndarray, np.generic)):
        if left.dtype != right.dtype or left.shape != right.shape:
            return False
        # Copying a structured element leaves out its padding.
        return left.tobytes() == right.tobytes() if left.dtype.names is None else bool(np.array_equal(left, right))
    if isinstance(left, memoryview):
        return (left.format, left.shape, left.readonly, left.tobytes()) == (
            right.format, right.shape, right.readonly, right.tobytes(),
        )  # fmt: skip
    if isinstance(left, array.array):
        return (left.typecode, left.tobytes()) == (right.typecode, right.tobytes())
    if isinstance(left, (dt.datetime, dt.time)):
        return same_time(left, right)
    return same_container(left, right)


def same_time(left: Any, right: Any) -> bool:
    zones = left.tzinfo, right.tzinfo
    return (
        left.replace(tzinfo=None) == right.replace(tzinfo=None)
        and left.fold == right.fold
        and type(zones[0]) is type(zones[1])
        and repr(zones[0]) == repr(zones[1])
    )


def same_container(left: Any, right: Any) -> bool:
    if isinstance(left, collections.defaultdict) and left.default_factory is not right.default_factory:
        return False
    if isinstance(left, collections.deque) and left.maxlen != right.maxlen:
        return False
    if isinstance(left, dict):
        return same(list(left), list(right)) and same(list(left.values()), list(right.values()))
    if isinstance(left, (list, tuple, collections.deque)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, (set, frozenset)):
        return same(sorted(left, key=repr), sorted(right, key=repr))
    if isinstance(left, slice):
        return same((left.start, left.stop, left.step), (right.start, right.stop, right.step))
    if dataclasses.is_dataclass(left):
        return all(same(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left))
    return bool(left == right)


ZONES = ["Europe/Berlin", "America/New_York", "UTC", "Australia/Lord_Howe"]
zones = st.one_of(
    st.none(),
    st.just(dt.timezone.utc),  # noqa: UP017  (the old spelling is the point of nothing; 3.11 has both)
    st.builds(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)), st.integers(-1439, 1439)),
    st.builds(lambda minutes, name: dt.timezone(dt.timedelta(minutes=minutes), name), st.integers(-60, 60), st.text()),
    st.sampled_from([zoneinfo.ZoneInfo(key) for key in ZONES]),
)
surrogates = st.text(st.characters(categories=["Cs", "L", "N", "P"]))
hashables = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**63 - 2, 2**64 + 2),
    st.floats(),
    st.text(),
    surrogates,
    st.binary(),
    st.complex_numbers(),
    st.decimals().filter(lambda value: not value.is_snan()),
    st.uuids(),
    st.datetimes(timezones=zones),
    st.times(timezones=zones.filter(lambda zone: not isinstance(zone, zoneinfo.ZoneInfo))),
    st.dates(),
    st.timedeltas(),
    st.builds(pathlib.PurePosixPath, st.text(st.characters(exclude_characters="\0"))),
    st.builds(pathlib.PureWindowsPath, st.just("C:\\x")),
    st.builds(pathlib.Path, st.just("a/b")),
    st.builds(range, st.integers(), st.integers(), st.integers(1)),
    st.sampled_from([*Colour, *Level, *Mode, Mode.READ | Mode.WRITE, Mode(0)]),
    zones,
)
keys = st.recursive(
    hashables,
    lambda inner: st.one_of(
        st.tuples(inner, inner),
        st.frozensets(inner, max_size=3),
        st.builds(Point, inner, inner),
        inner.map(Pair),
    ),
    max_leaves=4,
)
arrays = st.one_of(
    st.builds(lambda data: np.frombuffer(data, np.uint8).copy(), st.binary(max_size=20)),
    st.builds(
        np.array,
        st.integers(0, 100),
        st.sampled_from([">i4", "f2", "c16", "?", "M8[us]", "U3"]),
    ),
    st.builds(
        lambda n, order: np.arange(n * 6.0).reshape(n, 2, 3, order=order), st.integers(0, 3), st.sampled_from("CF")
    ),
    st.sampled_from(
        [np.float32(1.5), np.int8(-1), np.bool_(True), np.datetime64("2024-01-01"), np.str_("x\0"), np.bytes_(b"x\0")]
    ),
)
leaves = st.one_of(
    hashables,
    st.builds(bytearray, st.binary()),
    st.builds(lambda data, step: memoryview(data)[::step], st.binary(), st.sampled_from([1, 2, -1])),
    st.builds(lambda items: memoryview(array.array("d", items)), st.lists(st.floats(), min_size=1)),
    st.builds(lambda items: array.array("q", items), st.lists(st.integers(-(2**63), 2**63 - 1))),
    arrays,
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(keys, max_size=3),
        st.frozensets(keys, max_size=3),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(st.text(), inner, max_size=4),
        st.dictionaries(keys, inner, max_size=3).map(collections.OrderedDict),
        st.dictionaries(keys, inner, max_size=3).map(lambda items: collections.defaultdict(list, items)),
        st.dictionaries(keys, st.integers(), max_size=3).map(collections.Counter),
        st.builds(collections.deque, st.lists(inner, max_size=3), st.sampled_from([None, 3, 9])),
        st.builds(slice, inner, inner, inner),
        st.builds(Point, inner, inner),
        st.tuples(inner, inner).map(Pair._make),
        st.lists(inner, max_size=2).map(Model),
    ),
    max_leaves=12,
)
