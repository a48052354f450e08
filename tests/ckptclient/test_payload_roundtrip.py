"""What goes in comes out: values, exact types, order; buffers out of band, shared ones once."""

import array
import collections
import dataclasses
import datetime as dt
import decimal
import math
import pathlib
import re
import subprocess
import sys
import uuid
import zoneinfo
from typing import Any

import ml_dtypes
import msgpack
import numpy as np
import pytest
from hypothesis import given

from ckptclient.payload import (
    BUFFER_BYTES_MIN,
    Part,
    decode,
    decode_value,
    encode,
    encode_value,
    register_type,
)

from .payload_values import Colour, Level, Mode, Model, Pair, Point, same, values


def through(state: object) -> Any:
    return decode({part.name: part for part in encode(state)})


@given(values)
def test_round_trip_keeps_value_type_and_order(value: object) -> None:
    assert same(through(value), value)
    assert same(decode_value(encode_value(value)), value)


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


_ADDRESS = re.compile(" at 0x[0-9a-f]+")
"""Of a memoryview: another one in each process, while all have to name the same tests."""


@pytest.mark.parametrize(
    "value",
    [
        0, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**400, -(10**400),
        0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324,
        True, None, "", "a\ud800b", "\0", b"", b"\xd4\x01\x03", 1j, complex(-0.0, math.nan),
        (), (1,), ((),), [()], [[]], set(), {1, (2, 3)}, frozenset({frozenset()}),
        {1: 2, "1": 3, None: 4, (1, "a"): 5, 1.5: 6, b"k": 7, 2**70: 8, frozenset({1}): 9},
        {2**70: 1}, {False: 1}, {"b": 1, "a": 2},
        collections.OrderedDict([("b", 1), ("a", 2)]), collections.defaultdict(list, {(1, 2): [3]}),
        collections.defaultdict(None, {1: 2}), collections.Counter("hello"), collections.deque([1, [2]], 5),
        dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN), dt.datetime(2024, 10, 27, 2, 30, fold=0, tzinfo=BERLIN),
        dt.datetime(1, 1, 1, 0, 0, 0, 1), dt.datetime.max,  # noqa: DTZ001, DTZ901  (naive ones are values too)
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=-1))), dt.UTC, BERLIN,
        dt.timezone(dt.timedelta(hours=1), "CET"), dt.timezone(dt.timedelta(0), "Z"),
        dt.date.min, dt.time(1, 2, 3, 4, fold=1), dt.time(1, tzinfo=dt.UTC), dt.timedelta.min, dt.timedelta.max,
        decimal.Decimal("-0E+5"), decimal.Decimal("sNaN12"), decimal.Decimal("1E+999999"), decimal.Decimal("0.10"),
        uuid.UUID(int=7), pathlib.Path("/a/../b"), pathlib.PurePosixPath("."), pathlib.PureWindowsPath(r"C:\a"),
        range(5), range(0, -10, -3), range(2**70), slice(None), slice(1, (2,), None),
        bytearray(b"x"), memoryview(b""), memoryview(b"xy"), memoryview(bytearray(b"xy")),
        memoryview(array.array("i", range(6))).cast("B").cast("i", [2, 3]), array.array("d"), array.array("f", [math.nan]),
        Colour.RED, Colour.ODD, Level.HIGH, Mode.READ | Mode.WRITE, Point(1, (2,)), Pair(1), Model([Model([])]),
        {Point(1, 2): Pair(Colour.RED, {Level.LOW})},
    ],
    ids=lambda value: _ADDRESS.sub("", repr(value))[:40].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_round_trip_of_the_corners(value: object) -> None:
    assert same(through(value), value)
    assert same(decode_value(encode_value([value, {"k": value}])), [value, {"k": value}])


STRUCTURED = np.dtype([("a", "<i4"), ("b", ">f8", (2, 3)), ("c", [("x", "u1"), ("y", "S3")])], align=True)


@pytest.mark.parametrize("size", [3, 30_000], ids=["inline", "out of band"])
@pytest.mark.parametrize(
    "dtype",
    ["?", "i1", "<u2", ">i4", "f2", "f8", "g", "c8", "S5", "U3", "V7", "M8[25s]", "M8[ns]", "m8[us]", "M8",
     STRUCTURED, *(ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.int4)],
    ids=str,
)  # fmt: skip
def test_arrays_of_every_element_type(dtype: np.dtype, size: int) -> None:
    element = np.dtype(dtype)
    raw = b"\1\0\0\0" * (size * 3 * element.itemsize)
    flat = np.frombuffer(raw, element) if element != STRUCTURED else np.zeros(size * 12, element)
    whole = flat.reshape(size, 3, 4)
    for value in (whole, whole.T, whole[::2, :, 1:], whole[:0], whole[0, 0, 0], whole[:1], np.asfortranarray(whole)):
        back = through({"w": value})["w"]
        assert same(back, value)
        if isinstance(back, np.ndarray):
            assert back.flags.writeable
            assert not value.flags.f_contiguous or back.flags.f_contiguous


def test_a_zero_dimensional_array_is_no_scalar() -> None:
    assert same(through(np.array(2.5)), np.array(2.5))
    assert same(through(np.float64(2.5)), np.float64(2.5))
    assert same(through(np.zeros(2, STRUCTURED)[0]), np.zeros(2, STRUCTURED)[0])
    assert same(through(ml_dtypes.bfloat16(1.5)), ml_dtypes.bfloat16(1.5))


BIG = bytes(range(256)) * 256


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (BIG, {"kind": "bytes", "type": "bytes"}),
        (bytearray(BIG), {"kind": "bytes", "type": "bytearray"}),
        (memoryview(BIG), {"kind": "bytes", "type": "memoryview", "layout": "<B1", "shape": [65536], "readonly": True}),
        (memoryview(BIG)[::-1], {"kind": "bytes", "type": "memoryview", "layout": "<B1", "shape": [65536], "readonly": True}),
        (array.array("d", BIG), {"kind": "bytes", "type": "array", "layout": "<d8"}),
        (np.frombuffer(BIG, ">f4").reshape(128, 128).T, {"kind": "array", "dtype": ">f4", "shape": [128, 128], "order": "F"}),
        (np.frombuffer(BIG, ml_dtypes.bfloat16), {"kind": "array", "dtype": "bfloat16", "shape": [32768], "order": "C"}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_large_buffers_are_parts_of_their_own(value: object, form: dict[str, object]) -> None:
    document, part = encode({"a": value, "b": [value]})
    assert (document.name, document.form) == ("state", {"kind": "document", "encoding": "msgpack"})
    assert len(document.data) < 40
    assert (part.name, part.form, len(part.data)) == ("state/0", form, 65536)
    assert msgpack.unpackb(msgpack.packb(part.form)) == form
    state: Any = decode({each.name: each for each in (document, part)})
    assert same(state["a"], value)
    assert state["a"] is state["b"][0]


def test_below_the_threshold_a_buffer_stays_in_the_document() -> None:
    assert len(encode([bytes(BUFFER_BYTES_MIN - 1), np.zeros(BUFFER_BYTES_MIN - 1, "u1")])) == 1
    assert len(encode_value(BIG)) > len(BIG)


def test_views_of_the_same_memory_are_stored_once_and_come_back_as_one() -> None:
    weights = np.arange(100_000.0)
    state = {"tied": [weights, weights[:], weights.view()], "other": weights[1:], "equal": weights.copy()}
    assert [part.name for part in encode(state)] == ["state", "state/0", "state/1", "state/2"]
    back = through(state)
    assert back["tied"][0] is back["tied"][1] is back["tied"][2]
    assert back["other"] is not back["equal"]


def test_an_array_is_a_view_where_its_memory_can_be_written_to() -> None:
    document, part = encode(np.arange(10_000.0))
    memory = bytearray(part.data)
    for data, shared in ((memoryview(memory), True), (bytes(memory), False), (memoryview(bytes(memory)), False)):
        back: Any = decode({"state": document, "state/0": Part("state/0", part.form, data)})
        back[0] = 7
        assert (memory[7] == 0x40) is shared
        memory[:8] = bytes(8)


def test_a_missing_part_is_asked_of_the_loader_once() -> None:
    parts = {part.name: part for part in encode([BIG, BIG])}
    asked = []

    def load(name: str) -> Part:
        asked.append(name)
        return parts[name]

    assert decode({}, loader=load) == [BIG, BIG]
    assert asked == ["state", "state/0"]


def test_a_dataclass_comes_back_without_its_constructor() -> None:
    model = Model([1])
    model.calls = 5
    back = through(model)
    assert (back.calls, back.hooks) == (5, [1])


FIELDS: list[list[Any]] = [
    [("name", str)],
    [("name", str), ("tries", int, 3), ("notes", list, dataclasses.field(default_factory=list))],
    [("name", str), ("must", int)],
]


def test_a_class_may_gain_fields_that_have_defaults() -> None:
    first, second, third = (dataclasses.make_dataclass("Job", fields) for fields in FIELDS)
    stored = encode_value(register_type(first)("a"))
    register_type(second)
    assert decode_value(stored) == second("a", 3, [])
    newer = encode_value(second("b"))
    register_type(third)
    with pytest.raises(ValueError, match="stored 'Job' has no field 'must'"):
        decode_value(stored)
    with pytest.raises(ValueError, match="has no field 'tries', which was stored; keep the field"):
        decode_value(newer)


def test_an_unregistered_name_gives_plain_data() -> None:
    state = [Point(1, [2]), Pair(1, 2), Colour.ODD, Level.HIGH]
    stored = encode_value(state)
    for name in (b"point", b"Pair", b"Colour", b"Level"):
        stored = stored.replace(name, name[::-1])
    assert same(decode_value(stored), [{"x": 1, "y": [2]}, (1, 2), (2, "two"), 9])


def test_pickle_only_when_asked_and_only_when_allowed() -> None:
    weights = np.arange(20_000.0)
    parts = encode({"f": print, "w": weights, "s": b"x"}, serializer="pickle")
    assert [part.name for part in parts] == ["state", "state/0"]
    by_name = {part.name: part for part in parts}
    with pytest.raises(ValueError, match="allow_pickle"):
        decode(by_name)
    by_name["state/0"] = Part("state/0", parts[1].form, bytes(parts[1].data))
    back: Any = decode(by_name, allow_pickle=True)
    assert back["f"] is print
    assert same(back["w"], weights)
    back["w"][0] = 1
    assert decode({"state": encode(5, serializer="pickle")[0]}, allow_pickle=True) == 5


def test_a_timestamp_of_another_language_is_a_time_in_utc() -> None:
    assert decode_value(msgpack.packb(msgpack.Timestamp(0, 5000))) == dt.datetime(1970, 1, 1, 0, 0, 0, 5, dt.UTC)


def test_nothing_is_imported_that_the_state_does_not_need() -> None:
    code = (
        "import sys, ckptclient.payload as p\n"
        "assert p.decode({x.name: x for x in p.encode({'a': (1, {2}), 'b': b'x' * 99999})}) == {'a': (1, {2}), 'b': b'x' * 99999}\n"
        "print([m for m in ('numpy', 'ml_dtypes', 'pickle', 'decimal', 'uuid', 'pathlib', 'zoneinfo') if m in sys.modules])"
    )
    # -S: site itself may import some of these for editable installs.
    found = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert found.stdout == "[]\n"
