"""Bytes to bodies and back; owns the term *frame*: a 4-byte big-endian length and that many bytes.

The length is judged as soon as its four bytes are there, so a bogus one costs no memory. What is held between two
reads is one unfinished frame at most. Not for: what a body means; that is `messages`.
"""

from collections.abc import Iterable, Iterator

from ckptclient.errors import ProtocolError
from ckptclient.wire import limits

_HEADER = limits.frame_header_bytes


class Decoder:
    """Cuts a byte stream into bodies, however the reads fall."""

    __slots__ = ("_held", "_length", "frame_bytes_max")

    def __init__(self, frame_bytes_max: int = limits.frame_bytes_max) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._held = bytearray()
        # The body's length once the header is complete; until then the size of a header alone is awaited.
        self._length: int | None = None

    @property
    def bytes_held(self) -> int:
        """Bytes of the unfinished frame, header included: never more than `frame_bytes_max` and a header."""
        return len(self._held)

    def feed(self, data: bytes) -> Iterable[bytes]:
        """The bodies that `data` completes, in order; iterate to the end before feeding more.

        Raises `ProtocolError` at a length of 0 or over the limit, after the bodies before it. The decoder is of no
        use then: where the next frame begins can't be known.
        """
        end = len(data)
        if not self._held and end > _HEADER and int.from_bytes(data[:_HEADER], "big") == end - _HEADER:
            self._judged(data[:_HEADER])
            return (data[_HEADER:],)  # as nearly every read is: one whole frame
        return self._cut(data)

    def _cut(self, data: bytes) -> Iterator[bytes]:
        start, end = 0, len(data)
        if self._held:
            start = self._top_up(data)
            if self._length is None or len(self._held) < _HEADER + self._length:
                return
            body = bytes(memoryview(self._held)[_HEADER:])
            self._held, self._length = bytearray(), None
            yield body
        # From here on frames begin inside `data`: a whole one is cut out of it and never held.
        while end - start >= _HEADER:
            first = start + _HEADER
            length = self._judged(data[start:first])
            if end - first < length:
                self._length = length
                break
            start = first + length
            yield data[first:start]
        self._held += data[start:]

    def _top_up(self, data: bytes) -> int:
        """Complete the held frame as far as `data` goes; answers where in `data` the next frame begins."""
        start = 0
        if self._length is None:
            start = _HEADER - len(self._held)
            self._held += data[:start]
            if len(self._held) < _HEADER:
                return len(data)
            self._length = self._judged(self._held)
        stop = start + _HEADER + self._length - len(self._held)
        self._held += data[start:stop]
        return stop

    def _judged(self, header: bytes | bytearray) -> int:
        length = int.from_bytes(header, "big")
        if 0 < length <= self.frame_bytes_max:
            return length
        raise ProtocolError(
            f"a frame announces {length} bytes",
            hint=f"accepted: 1 to {self.frame_bytes_max} bytes",
            details={"length": length, "frame_bytes_max": self.frame_bytes_max},
        )


def encode(body: bytes) -> bytes:
    """A body as a frame. The caller has seen to it that the body is within the peer's limit."""
    return len(body).to_bytes(_HEADER, "big") + body
