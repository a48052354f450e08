"""Writing an export file as a stream: frame by frame, each hashed on its way; nothing is gone back to."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, Protocol

from ckptclient.errors import Damaged
from ckptd.store import encodings
from ckptd.store.export import layout
from ckptd.store.export.layout import FRAME_BYTES, Description, ExportedPart

LEVEL: Final = 3
"""Of zstd: exports go over slow wires, but most of them are waited for."""


class Sink(Protocol):
    """Where the file goes: anything that takes all of what it is given."""

    def write(self, data: bytes, /) -> object:
        """Take it."""


class _Hashed:
    """A sink whose bytes are counted and hashed."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self.digest = sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        self._out.write(data)
        self.digest.update(data)
        self.size_bytes += len(data)


def write_export(
    out: Sink,
    description: Description,
    parts: Iterable[tuple[ExportedPart, Iterable[bytes]]],
    level: int = LEVEL,
) -> bytes:
    """Write one checkpoint: what is said of it, and each part with its plain bytes in pieces of any size.

    The pieces are drawn one at a time, in order. Returns the SHA-256 that ends the file. Damaged where a part gives
    other than its `size_bytes`: what was written until then is no export file, and a reader says so.
    """
    listed = tuple(parts)
    target = _Hashed(out)
    target.write(layout.pack_head(description, tuple(part for part, _ in listed)))
    for ordinal, (part, pieces) in enumerate(listed):
        _write_part(target, ordinal, part, pieces, level)
    target.write(layout.pack_trailer(target.size_bytes + layout.TRAILER_BYTES))
    digest = target.digest.digest()
    out.write(digest)
    return digest


def _write_part(target: _Hashed, ordinal: int, part: ExportedPart, pieces: Iterable[bytes], level: int) -> None:
    digest, given = sha256(), 0
    for frame, plain in enumerate(_recut(pieces)):
        digest.update(plain)
        given += len(plain)
        found = encodings.encode(plain, encodings.Choice(level))
        assert found.number in (encodings.RAW, encodings.ZSTD), "a reader with zstandard alone reads this"
        target.write(layout.pack_frame(ordinal, frame, found.number, found.stored))
        target.write(found.stored)
    if given != part.size_bytes:
        raise Damaged(f"part {part.name!r} gave {given} bytes, and was announced with {part.size_bytes}")
    target.write(digest.digest())


def _recut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of a frame, the last one shorter."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= FRAME_BYTES:
            yield bytes(held[:FRAME_BYTES])
            del held[:FRAME_BYTES]
    if held:
        yield bytes(held)
