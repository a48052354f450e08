"""A manifest has one form; nothing else reads as one."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import assume, given, strategies as st

from ckptclient.errors import Damaged
from ckptd.core import manifest
from ckptd.core.change import ManifestPart
from ckptd.core.ids import BodyKey

PARTS = st.lists(
    st.builds(
        ManifestPart,
        name=st.text(max_size=40),
        form=st.binary(max_size=60),
        size_bytes=st.integers(0, 2**64 - 1),
        hash=st.binary(min_size=32, max_size=32),
    ),
    max_size=6,
)
PART = ManifestPart("weights", b"\x81", 1 << 30, b"h" * 32)


def test_byte_for_byte() -> None:
    raw = manifest.pack([PART])
    assert raw == (
        b"\x01"  # version
        b"\x00\x00\x00\x01"  # one part
        b"\x00\x07"  # length of the name
        b"\x00\x01"  # length of the form
        b"\x00\x00\x00\x00\x40\x00\x00\x00" + b"h" * 32 + b"weights" + b"\x81"  # 1 GiB
    )
    assert manifest.checksum(raw) == hashlib.sha256(raw).digest()


@given(PARTS)
def test_reads_back_and_has_one_form(parts: list[ManifestPart]) -> None:
    raw = manifest.pack(parts)
    assert manifest.unpack(raw) == tuple(parts)
    assert manifest.pack(manifest.unpack(raw)) == raw


@given(PARTS, st.data())
def test_a_flipped_byte_is_damage_or_another_manifest(parts: list[ManifestPart], data: st.DataObject) -> None:
    raw = bytearray(manifest.pack(parts))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    _damaged_or_canonical(bytes(raw))
    assert manifest.checksum(bytes(raw)) != manifest.checksum(manifest.pack(parts))


@given(PARTS, st.data())
def test_every_other_length_is_damage(parts: list[ManifestPart], data: st.DataObject) -> None:
    raw = manifest.pack(parts)
    with pytest.raises(Damaged):
        manifest.unpack(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(Damaged):
        manifest.unpack(raw + data.draw(st.binary(min_size=1, max_size=100)))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: b"\x01\x00\x00\x00\x02" + tail))
def test_garbage(raw: bytes) -> None:
    _damaged_or_canonical(raw)


def _damaged_or_canonical(raw: bytes) -> None:
    try:
        parts = manifest.unpack(raw)
    except Damaged:
        return
    assert manifest.pack(parts) == raw


@pytest.mark.parametrize("count", [2, 1000, 2**32 - 1])
def test_a_count_that_lies_costs_nothing(count: int) -> None:
    raw = bytearray(manifest.pack([PART]))
    raw[1:5] = count.to_bytes(4, "big")
    with pytest.raises(Damaged, match="cut off"):
        manifest.unpack(bytes(raw))


def test_a_later_version_is_named() -> None:
    with pytest.raises(Damaged, match="version 2"):
        manifest.unpack(b"\x02" + manifest.pack([])[1:])


def test_a_name_that_is_no_text() -> None:
    raw = manifest.pack([replace(PART, name="ab")]).replace(b"ab", b"\xff\xfe")
    with pytest.raises(Damaged):
        manifest.unpack(raw)


def test_row_numbers_stay_out() -> None:
    here, elsewhere = replace(PART, bodies=(BodyKey(1), BodyKey(2))), replace(PART, bodies=(BodyKey(9),))
    assert manifest.pack([here]) == manifest.pack([elsewhere])


@given(PARTS, PARTS)
def test_other_parts_have_another_form(left: list[ManifestPart], right: list[ManifestPart]) -> None:
    assume(left != right)
    assert manifest.pack(left) != manifest.pack(right)


def test_hashes_of_content() -> None:
    one, two = b"1" * 32, b"2" * 32
    assert manifest.inline_hash(b"plain") == hashlib.sha256(b"plain").digest()
    assert manifest.bodies_hash([one, two]) == hashlib.sha256(one + two).digest()
    assert manifest.body_hash(iter([two, one])) == hashlib.sha256(two + one).digest()
