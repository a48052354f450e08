"""Reading an export file as a stream; every length is judged by what came before it, and no byte goes unchecked."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Protocol

from ckptclient.errors import Damaged
from ckptd.store import encodings
from ckptd.store.export import layout
from ckptd.store.export.layout import Description, ExportedPart

_PIECE_BYTES = 1 << 20


class Source(Protocol):
    """Where the file comes from: a read gives up to so many bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes:
        """Some bytes."""


class Taking:
    """A source that is asked for exact lengths; counted and hashed. Damaged where it ends before them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.digest = sha256()
        self.size_bytes = 0

    def take(self, size_bytes: int, *, or_less: bool = False) -> bytes:
        """So many bytes. Room is made for what comes, not for what is asked."""
        pieces: list[bytes] = []
        left = size_bytes
        while left and (piece := self._source.read(min(left, _PIECE_BYTES))):
            pieces.append(piece)
            left -= len(piece)
        self.size_bytes += size_bytes - left
        if left and not or_less:
            raise Damaged(f"the export is cut off: it ends at byte {self.size_bytes}")
        taken = b"".join(pieces)
        self.digest.update(taken)
        return taken


def read_head(taking: Taking) -> tuple[Description, tuple[ExportedPart, ...]]:
    """What stands before the first frame."""
    head = layout.parse_header(taking.take(layout.HEADER_BYTES, or_less=True))
    return layout.parse_head(head, taking.take(head.description_bytes + head.list_bytes))


def decode_frame(part: int, frame: int, plain_bytes: int, encoding: int, stored: bytes, check: bytes) -> bytes:
    """The plain bytes of a frame; Damaged where they aren't those that were written."""
    if not layout.is_intact(part, frame, encoding, stored, check):
        raise Damaged(f"the export is damaged: frame {frame} of part {part} doesn't have its check")
    if encoding not in (encodings.RAW, encodings.ZSTD):
        raise Damaged(
            f"frame {frame} of part {part} of the export has encoding {encoding}, which this release doesn't know"
        )
    return encodings.decode(encoding, stored, plain_bytes)


def parse_frame(raw: bytes, plain_bytes: int) -> tuple[int, int, bytes]:
    """A frame's encoding, stored bytes and check; Damaged where it announces more than its plain bytes."""
    encoding, stored_bytes, check = layout.parse_frame(raw)
    if stored_bytes > plain_bytes:
        raise Damaged(f"the export is damaged: a frame of {plain_bytes} bytes claims to be stored in {stored_bytes}")
    return encoding, stored_bytes, check


class Reading:
    """An export file that is being read, once and in its order."""

    def __init__(self, source: Source) -> None:
        self._taking = Taking(source)
        self.description, self.parts = read_head(self._taking)
        self.hashes: list[bytes] = []
        """SHA-256 of the plain bytes of each part that was read to its end."""
        self.digest = b""
        """SHA-256 that ends the file, once all of it was read."""

    def contents(self) -> Iterator[tuple[ExportedPart, Iterator[bytes]]]:
        """Each part with its plain bytes in pieces; what is left of them is read when the next part is asked for.

        Believe nothing of it before the end: Damaged may come with any piece, and when the last part was given.
        """
        for ordinal, part in enumerate(self.parts):
            pieces = self._pieces(ordinal, part)
            yield part, pieces
            for _ in pieces:
                pass
        self._end()

    def check(self) -> None:
        """Read all of it and drop it; Damaged where it isn't whole."""
        for _ in self.contents():
            pass

    def _pieces(self, ordinal: int, part: ExportedPart) -> Iterator[bytes]:
        digest = sha256()
        for frame in range(layout.frames_count(part.size_bytes)):
            plain_bytes = layout.frame_bytes(part.size_bytes, frame)
            encoding, stored_bytes, check = parse_frame(self._taking.take(layout.FRAME_HEADER_BYTES), plain_bytes)
            plain = decode_frame(ordinal, frame, plain_bytes, encoding, self._taking.take(stored_bytes), check)
            digest.update(plain)
            yield plain
        if self._taking.take(layout.HASH_BYTES) != digest.digest():
            raise Damaged(f"part {part.name!r} of the export doesn't have its hash")
        self.hashes.append(digest.digest())

    def _end(self) -> None:
        taking = self._taking
        trailer = taking.take(layout.TRAILER_BYTES - layout.HASH_BYTES)
        layout.check_trailer(trailer, taking.size_bytes + layout.HASH_BYTES)
        whole = taking.digest.digest()
        if taking.take(layout.HASH_BYTES) != whole:
            raise Damaged("the export as a whole doesn't have its hash")
        if taking.take(1, or_less=True):
            raise Damaged("the export goes on behind its end")
        self.digest = whole


def read_export(source: Source) -> Reading:
    """Begin to read an export file; its description and parts are known at once.

    BadRequest where it is no export file, VersionMismatch for a later format, Damaged for anything else that is wrong.
    """
    return Reading(source)
