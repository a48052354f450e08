"""Any cut of a stream gives the same bodies, and no stream makes the decoder hold more than its limit."""

import pytest
from hypothesis import given

from ckptclient.errors import ProtocolError
from ckptclient.wire import limits
from ckptclient.wire.frames import Decoder, encode
from tests.ckptclient.wire.streams import FRAME_BYTES_MAX, cut, streams


def decoded(pieces: list[bytes], frame_bytes_max: int = FRAME_BYTES_MAX) -> tuple[list[bytes], str | None, int]:
    """The bodies, how it ended, and the most that was held between two reads."""
    decoder = Decoder(frame_bytes_max)
    bodies: list[bytes] = []
    most = 0
    for piece in pieces:
        try:
            # One by one: what came before a refusal counts.
            for body in decoder.feed(piece):
                bodies.append(body)  # noqa: PERF402
        except ProtocolError as error:
            return bodies, str(error), most
        most = max(most, decoder.bytes_held)
    return bodies, None, most


@given(cut(streams))
def test_any_cut_gives_the_same_bodies_and_the_same_end(stream_and_pieces: tuple[bytes, list[bytes]]) -> None:
    stream, pieces = stream_and_pieces
    whole = decoded([stream])
    assert decoded(pieces)[:2] == whole[:2]
    assert decoded([bytes([byte]) for byte in stream])[:2] == whole[:2]


@given(cut(streams))
def test_no_stream_makes_it_hold_more_than_a_frame(stream_and_pieces: tuple[bytes, list[bytes]]) -> None:
    stream, pieces = stream_and_pieces
    for reads in (pieces, [stream], [bytes([byte]) for byte in stream]):
        assert decoded(reads)[2] <= FRAME_BYTES_MAX + limits.frame_header_bytes


@pytest.mark.parametrize(
    ("length", "accepted"),
    [(0, False), (1, True), (FRAME_BYTES_MAX, True), (FRAME_BYTES_MAX + 1, False), ((1 << 32) - 1, False)],
)
def test_a_length_is_judged_from_its_four_bytes(length: int, accepted: bool) -> None:
    decoder = Decoder(FRAME_BYTES_MAX)
    header = length.to_bytes(4, "big")
    assert list(decoder.feed(header[:3])) == []
    if accepted:
        assert list(decoder.feed(header[3:])) == []
        assert list(decoder.feed(b"x" * length)) == [b"x" * length]
    else:
        with pytest.raises(ProtocolError) as refusal:
            list(decoder.feed(header[3:]))
        assert refusal.value.details == {"length": length, "frame_bytes_max": FRAME_BYTES_MAX}
        assert decoder.bytes_held <= limits.frame_header_bytes


def test_a_refused_length_comes_after_the_bodies_before_it() -> None:
    bodies = iter(Decoder(FRAME_BYTES_MAX).feed(encode(b"one") + encode(b"two") + b"\xff\xff\xff\xff"))
    assert next(bodies) == b"one"
    assert next(bodies) == b"two"
    with pytest.raises(ProtocolError, match="announces 4294967295 bytes"):
        next(bodies)


def test_a_large_frame_in_many_reads_is_given_once_and_let_go() -> None:
    decoder = Decoder()
    body = bytes(range(256)) * 4096
    frame = encode(body)
    got = [one for at in range(0, len(frame), 65_521) for one in decoder.feed(frame[at : at + 65_521])]
    assert got == [body]
    assert decoder.bytes_held == 0
