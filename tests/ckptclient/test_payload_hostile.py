"""Bytes that aren't a state raise `Encoding` and nothing else, in bounded memory."""

import contextlib
import struct
import tracemalloc

import msgpack
import numpy as np
import pytest
from hypothesis import given, strategies as st

from ckptclient.errors import Encoding
from ckptclient.payload import Part, decode, decode_value, encode, encode_value
from ckptclient.payload.tags import HEADS

from .payload_values import values

DOCUMENT = {"kind": "document", "encoding": "msgpack"}

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9) | st.binary(max_size=9)
    | st.sampled_from(["Colour", "point", "Pair", "Mode", "C", "U", "<f8", "M8[s]", "<V3", "bfloat16", "B1", "<q8", "UTC", "2024-01-01"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    | st.builds(lambda head, items: [head, *items], st.sampled_from(HEADS), st.lists(inner, max_size=6)),
    max_leaves=20,
)  # fmt: skip


@given(st.binary(max_size=200))
def test_arbitrary_bytes(data: bytes) -> None:
    with contextlib.suppress(Encoding):
        decode_value(data)


@given(anything)
def test_any_tag_with_any_arguments(value: object) -> None:
    with contextlib.suppress(Encoding):
        decode_value(msgpack.packb(value))


@given(values, st.data())
def test_a_state_with_some_bytes_changed(value: object, data: st.DataObject) -> None:
    packed = bytearray(encode_value(value))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Encoding):
        decode_value(bytes(packed[: data.draw(st.integers(0, len(packed)))] if data.draw(st.booleans()) else packed))


forms = st.dictionaries(
    st.sampled_from(["kind", "type", "layout", "shape", "readonly", "dtype", "order"]),
    st.sampled_from(["array", "bytes", "bytearray", "memoryview", "<q8", "<B1", "<f8", "C", "F", True, None, 3,
                     [2], [0], [-1], [2**62, 4], ["x"], {"size": 8, "fields": [["a", "<i4", [2], 0]]}, {"size": 8}]),
)  # fmt: skip


@given(forms, st.binary(max_size=16))
def test_any_form_of_a_part(form: dict[str, object], data: bytes) -> None:
    document = Part("state", DOCUMENT, encode([bytes(70_000)])[0].data)
    with contextlib.suppress(Encoding):
        decode({"state": document, "state/0": Part("state/0", form, data)})


def tagged(number: int, *args: object) -> bytes:
    return msgpack.packb([HEADS[number], *args])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "incomplete|No more|empty"),
        (b"\xc1", "these bytes are no state"),
        (b"\x01\x02", "extra data|ExtraData"),
        (b"\x91" * 3000, "these bytes are no state"),
        (b"\xdd\x7f\xff\xff\xff", "these bytes are no state"),
        (b"\x81\x90\x01", "unhashable"),
        (b"\xa1\xff", "decode"),
        (b"\xd4\x01\x03", "heads no array"),
        (b"\x92\x01\xd4\x01\x03", "heads no array"),
        (b"\x92\xd4\x01\x03\xd4\x01\x03", "heads no array"),
        (b"\xd4\x02\x03", "unknown extension type 2"),
        (b"\xc7\x02\x01\x03\x03", "unknown extension type 1 of 2 bytes"),
        (tagged(63), "tag 63 is not known"),
        (tagged(1, 0), "reference to a part"),
        (tagged(2, 1), "these bytes are no state"),
        (tagged(10, 2**40), "these bytes are no state"),
        (tagged(12, "<u4", b"1234"), "no layout"),
        (tagged(12, ">q8", b"12345678"), "this host has"),
        (tagged(12, "<q8", b"1234"), "these bytes are no state"),
        (tagged(16, "yesterday", 0, None), "isoformat"),
        (tagged(21, "../../etc/passwd"), "no name of a time zone"),
        (tagged(21, "Europe"), "doesn't know the time zone"),
        (tagged(21, "Nowhere/City"), "doesn't know the time zone"),
        (tagged(24, "os.system", "ls"), "no flavour of a path"),
        (tagged(26, "eval", {}), "these bytes are no state"),
        (tagged(32, "Colour", "GREEN", 3), "has no member 'GREEN'"),
        (tagged(32, "point", "x", 3), "another kind"),
        (tagged(48, "O", [1], "C", b"12345678"), "no element type"),
        (tagged(48, "f8,(1000,1000)f8", [1], "C", b""), "no element type"),
        (tagged(48, "<V0", [10**12], "C", b""), "no size"),
        (tagged(48, "<f8", [2**40], "C", b""), "can't be an array"),
        (tagged(48, "<f8", [-1, -1], "C", b"12345678"), "no shape"),
        (tagged(48, "<f8", [1], "Z", b"12345678"), "no shape"),
        (tagged(48, {"size": 4, "fields": [["a", "O", [], 0]]}, [1], "C", b"1234"), "no element type"),
        (tagged(49, "os.system", b"x"), "no element type"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_each_lie_is_named(data: bytes, message: str) -> None:
    with pytest.raises(Encoding, match=message):
        decode_value(data)


@pytest.mark.parametrize(
    "announced", [struct.pack(">BI", 0xDD, 60_000), struct.pack(">BI", 0xDF, 30_000)], ids=["arrays", "maps"]
)
def test_announced_lengths_take_no_memory(announced: bytes) -> None:
    data = announced * 900 + bytes(70_000)
    tracemalloc.start()
    try:
        with pytest.raises(Encoding):
            decode_value(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data)
    finally:
        tracemalloc.stop()


def test_a_part_that_is_missing_or_no_document_is_named() -> None:
    document, _ = encode(bytes(70_000))
    with pytest.raises(Encoding, match="part 'state/0' is missing"):
        decode({"state": document})
    with pytest.raises(Encoding, match="part 'state' is missing"):
        decode({})
    with pytest.raises(Encoding, match="no document in MessagePack"):
        decode({"state": Part("state", {"kind": "document", "encoding": "cbor"}, document.data)})
    with pytest.raises(Encoding, match="is no buffer"):
        decode({"state": document, "state/0": Part("state/0", DOCUMENT, b"")})


def test_a_pickle_that_fails_is_our_error_too() -> None:
    form = {"kind": "document", "encoding": "pickle"}
    for wrong in ({**form, "buffers": 0}, {**form, "buffers": -1}, form):
        with pytest.raises(Encoding, match="pickle"):
            decode({"state": Part("state", wrong, b"cos\nnothing_there\n.")}, allow_pickle=True)


def test_the_loaders_own_error_passes() -> None:
    def load(name: str) -> Part:
        raise TimeoutError(name)

    with pytest.raises(TimeoutError):
        decode({"state": encode(np.zeros(10_000))[0]}, loader=load)
