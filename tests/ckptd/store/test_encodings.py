"""Encodings: what is chosen for which bytes, and that decoding believes nothing but the catalog."""

import contextlib
import threading

import pytest
import zstandard
from hypothesis import given, strategies as st

from ckptclient.errors import Damaged
from ckptd.store.encodings import CHUNK_BYTES_MAX, ENCODINGS, RAW, ZSTD, Choice, decode, encode, encode_tight
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
    assert {number: row.name for number, row in ENCODINGS.items()} == {0: "raw", 1: "zstd", 3: "delta"}


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


@given(st.binary(max_size=200), st.sampled_from([RAW, ZSTD]), st.integers(0, 300))
def test_any_bytes_decode_or_are_damaged(stored: bytes, number: int, plain_bytes: int) -> None:
    with contextlib.suppress(Damaged):
        assert len(decode(number, stored, plain_bytes)) == plain_bytes


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
