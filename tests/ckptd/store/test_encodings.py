"""Encodings: what is chosen for which bytes, and that decoding believes nothing but the catalog."""

import contextlib
import struct
import sys
import threading

import pytest
import zstandard
from hypothesis import given, strategies as st

from ckptclient.errors import Damaged
from ckptd.store.encodings import (
    CHUNK_BYTES_MAX,
    DELTA,
    ENCODINGS,
    PLANES,
    RAW,
    UNKNOWN,
    XOR,
    ZSTD,
    Base,
    Choice,
    decode,
    encode,
    encode_tight,
    planes,
)
from tests.ckptd.store.saving import noise_source

noise = noise_source()
TEXT = b"the quick brown fox jumps over the lazy dog; " * 5000


@pytest.mark.parametrize(
    ("plain", "level", "expected"),
    [
        (TEXT, 3, ZSTD),
        (TEXT, 1, ZSTD),
        (TEXT, 0, RAW),
        (b"", 3, RAW),
        (b"x", 3, RAW),
        (noise(1000), 3, RAW),
        (noise(1 << 20), 3, RAW),
        (noise(1 << 18) + bytes(3 << 18), 3, ZSTD),
    ],
    ids=["text", "fast", "switched off", "empty", "tiny", "small noise", "noise", "a quarter noise"],
)
def test_what_is_worth_compressing(plain: bytes, level: int, expected: int) -> None:
    found = encode(plain, Choice(level))
    assert found.number == expected
    assert len(found.stored) <= len(plain)
    assert decode(found.number, found.stored, len(plain)) == plain


@given(st.binary(max_size=5000), st.sampled_from([0, 1, 3, 19]))
def test_every_chunk_comes_back(plain: bytes, level: int) -> None:
    for found in (encode(plain, Choice(level)), encode_tight(plain, Choice(level))):
        assert decode(found.number, found.stored, len(plain)) == plain


def test_numbers_are_for_ever() -> None:
    assert {number: row.name for number, row in ENCODINGS.items()} == {
        0: "raw",
        1: "zstd",
        2: "planes",
        3: "delta",
        4: "xor",
    }


def bomb(plain_bytes: int) -> bytes:
    """A frame that announces so much and holds nothing: descriptor with an 8-byte size, one empty last block."""
    return b"\x28\xb5\x2f\xfd\xe0" + plain_bytes.to_bytes(8, "little") + b"\x01\x00\x00"


@pytest.mark.parametrize(
    ("number", "stored", "plain_bytes"),
    [
        (RAW, b"12345", 4),
        (RAW, b"123", 4),
        (ZSTD, zstandard.compress(TEXT)[:-1], len(TEXT)),
        (ZSTD, zstandard.compress(TEXT) + b"more", len(TEXT)),
        (ZSTD, zstandard.compress(TEXT), len(TEXT) - 1),
        (ZSTD, zstandard.ZstdCompressor(write_content_size=False).compress(TEXT), len(TEXT)),
        (ZSTD, bomb(7 << 60), 1 << 20),
        (ZSTD, bomb(1 << 20), 1 << 20),
        (ZSTD, bomb(7 << 60), 7 << 60),
        (ZSTD, b"", 0),
        (ZSTD, b"garbage", 7),
        (RAW, b"", CHUNK_BYTES_MAX + 1),
        (77, b"", 0),
    ],
)
def test_stored_bytes_that_lie_are_damaged(number: int, stored: bytes, plain_bytes: int) -> None:
    with pytest.raises(Damaged):
        decode(number, stored, plain_bytes)


@given(
    st.binary(max_size=200), st.sampled_from([*ENCODINGS, 9]), st.integers(0, 300), st.none() | st.binary(max_size=300)
)
def test_any_bytes_decode_or_are_damaged(stored: bytes, number: int, plain_bytes: int, base: bytes | None) -> None:
    with contextlib.suppress(Damaged):
        assert len(decode(number, stored, plain_bytes, base)) == plain_bytes


# Differences


@given(
    st.binary(max_size=3000),
    st.binary(min_size=1, max_size=3000),
    st.sampled_from([UNKNOWN, 1, 2, 3, 4, 8, 16, 17]),
    st.sampled_from([0, 1, 3]),
)
def test_every_chunk_comes_back_on_its_base(plain: bytes, other: bytes, element_bytes: int, level: int) -> None:
    for base in (other, plain[:-1] + other[:1], plain):
        its = Base(b"b" * 32, base, 3)
        for found in (
            encode(plain, Choice(level), element_bytes, its),
            encode_tight(plain, Choice(level, tight_level=5), element_bytes, [Base(b"a" * 32, other), its]),
        ):
            on = None if found.base is None else found.base.plain
            assert decode(found.number, found.stored, len(plain), on) == plain
            assert found.depth == (0 if found.base is None else found.base.depth + 1)


def test_tight_takes_the_best_of_its_bases() -> None:
    plain = noise(50_000)
    near, far = Base(b"n" * 32, plain[:-10] + noise(10)), Base(b"f" * 32, noise(20_000) + plain[20_000:])
    found = encode_tight(plain, Choice(3), bases=[far, near, Base(b"o" * 32, noise(50_000))])
    assert found.base is near


def test_a_difference_that_hardly_differs_from_the_whole_is_not_made() -> None:
    half = noise(40_000)
    assert encode(half + noise(20_000), Choice(3), base=Base(b"h" * 32, half)).number == DELTA
    assert encode(half + noise(200_000), Choice(3), base=Base(b"h" * 32, half)).number == RAW


@pytest.mark.parametrize("megabytes", [1, 5, 17])
def test_a_delta_reaches_back_over_all_of_its_base(megabytes: int) -> None:
    base = noise(megabytes << 20)
    plain = base[:100] + noise(1000) + base[100:]
    found = encode(plain, Choice(3), base=Base(b"b" * 32, base))
    assert len(found.stored) < 20_000
    assert decode(DELTA, found.stored, len(plain), base) == plain


@pytest.mark.parametrize(
    ("number", "stored", "base", "plain_bytes"),
    [
        (DELTA, zstandard.compress(TEXT), None, len(TEXT)),
        (ZSTD, zstandard.compress(TEXT), b"base", len(TEXT)),
        (DELTA, bomb(7 << 60), b"base", 1 << 20),
        (DELTA, b"", b"base", 0),
        (XOR, planes.pack(bytes(100), 4), b"short", 100),
        (XOR, planes.pack(bytes(100), 4), None, 100),
        (PLANES, planes.pack(bytes(100), 4), None, 101),
        (PLANES, planes.pack(bytes(100), 4), None, 99),
        (PLANES, planes.pack(bytes(100), 4)[:-1], None, 100),
        (PLANES, planes.pack(bytes(100), 4) + b"x", None, 100),
        (PLANES, b"\x01" + bytes(4), None, 0),
        (PLANES, b"\x11" + bytes(68), None, 0),
        (PLANES, b"\x04\x00", None, 0),
        (PLANES, b"", None, 0),
    ],
)
def test_differences_and_planes_that_lie_are_damaged(
    number: int, stored: bytes, base: bytes | None, plain_bytes: int
) -> None:
    with pytest.raises(Damaged):
        decode(number, stored, plain_bytes, base)


# Arrays


def floats(count: int, form: str = "f") -> bytes:
    return struct.pack(f"<{count}{form}", *(1 + int.from_bytes(noise(4)) / 2**32 for _ in range(count)))


@pytest.mark.parametrize(
    ("plain", "element_bytes", "expected"),
    [
        (floats(20_000), 4, PLANES),
        (floats(20_000), 1, ZSTD),
        (floats(10_000, "d"), 8, PLANES),
        (noise(80_000), 4, RAW),
        (struct.pack("<20000I", *range(20_000)) + b"x", 4, PLANES),
        (b"", 4, RAW),
    ],
    ids=["numbers", "the same as bytes", "doubles", "noise", "counts and a rest", "empty"],
)
def test_arrays_are_encoded_by_planes_where_that_is_smaller(plain: bytes, element_bytes: int, expected: int) -> None:
    found = encode(plain, Choice(3), element_bytes)
    assert found.number == expected
    assert decode(found.number, found.stored, len(plain)) == plain


def test_who_has_the_bytes_alone_finds_the_size_of_the_elements() -> None:
    plain = floats(20_000)
    assert encode_tight(plain, Choice(3)) == encode_tight(plain, Choice(3), 4)
    assert encode_tight(plain, Choice(3)).number == PLANES


def test_numbers_that_moved_a_little_are_the_difference_to_what_they_were() -> None:
    before = [1 + int.from_bytes(noise(4)) / 2**32 for _ in range(20_000)]
    after = struct.pack("<20000f", *(one * 1.00001 for one in before))
    base = Base(b"b" * 32, struct.pack("<20000f", *before))
    found = encode(after, Choice(3), 4, base)
    assert (found.number, found.base) == (XOR, base)
    assert len(found.stored) < 0.75 * len(encode(after, Choice(3), 4).stored)
    assert encode(after[:-4], Choice(3), 4, base).number == PLANES, "of another length"


@given(st.binary(max_size=300))
def test_without_numpy_the_same_comes_out(plain: bytes) -> None:
    other = plain[::-1]
    with pytest.MonkeyPatch.context() as without:
        without.setitem(sys.modules, "numpy", None)
        slow = planes.xor(plain, other)
    assert slow == planes.xor(plain, other) == bytes(a ^ b for a, b in zip(plain, other, strict=True))


def test_a_long_difference_without_numpy_is_worked_on_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = noise(200_001), noise(200_001)
    fast = planes.xor(one, other)
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert planes.xor(one, other) == fast


def test_threads_do_not_share_a_compressor() -> None:
    """A compressor that two threads use at once gives garbage or crashes."""
    plains = [noise(64) * 4000 for _ in range(4)]
    failed: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            found = encode(plains[number], Choice(3))
            if decode(found.number, found.stored, len(plains[number])) != plains[number]:
                failed.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
