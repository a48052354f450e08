"""Tokens: fixed bytes that read back, and holders that can't be confused."""

import pytest
from hypothesis import given, strategies as st

from ckptclient.errors import BadRequest
from ckptd.core.ids import Epoch, Holder, ProcessKey, Token

U63 = st.integers(0, 2**63 - 1)
BIN16 = st.binary(min_size=16, max_size=16)
# 16 zero bytes are a member like any other.
TOKENS = st.builds(Token, BIN16, U63.map(ProcessKey), U63.map(Epoch), st.none() | BIN16)


@given(TOKENS)
def test_reads_back(token: Token) -> None:
    raw = token.pack()
    assert len(raw) == (48 if token.member is None else 64)
    assert Token.unpack(raw) == token


def test_byte_for_byte() -> None:
    token = Token(b"L" * 16, ProcessKey(0x0102), Epoch(0x0304), b"M" * 16)
    assert token.pack() == b"L" * 16 + bytes(6) + b"\x01\x02" + bytes(6) + b"\x03\x04" + bytes(16) + b"M" * 16


@pytest.mark.parametrize("length", [0, 1, 47, 49, 63, 65, 1000])
def test_wrong_length_is_the_callers_mistake(length: int) -> None:
    with pytest.raises(BadRequest, match="token"):
        Token.unpack(bytes(length))


BASE = Holder(b"boot", 10, 500, b"session")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Holder(b"boot", 10, 500, b"another session"), True),
        (Holder(b"boot", 10, 501, b"session"), False),  # the pid was given out again
        (Holder(b"boot", 11, 500, b"session"), False),
        (Holder(b"later boot", 10, 500, b"session"), False),
    ],
)
def test_same_worker(other: Holder, same: bool) -> None:
    assert BASE.same_worker(other) is same
    assert other.same_worker(BASE) is same
