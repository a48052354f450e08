"""Reading pieces of an export file in place: for an archived checkpoint that is read like any other.

Opening it reads the head and the header of each frame, 16 bytes for each MiB. A piece is verified by its frames' checks
alone; whoever wants the part's hash compared reads the whole part, or the whole file (`reading`).
"""

from collections.abc import Sequence
from typing import BinaryIO

from ckptclient.errors import BadRequest
from ckptd.store.export import layout
from ckptd.store.export.layout import FRAME_BYTES
from ckptd.store.export.reading import Taking, decode_frame, parse_frame, read_head


class Placed:
    """An open export file; the caller owns and closes it. For one thread at a time."""

    def __init__(self, file: BinaryIO) -> None:
        """BadRequest, VersionMismatch and Damaged as `read_export`."""
        self._file = file
        file.seek(0)
        self.description, self.parts = read_head(Taking(file))
        self._frames = [self._walk(part.size_bytes) for part in self.parts]

    def read(self, part: int, offset: int, size_bytes: int) -> bytes:
        """A range of a part's plain bytes; shorter where the part ends.

        BadRequest for a range outside of it; Damaged where it can't be read as it was written.
        """
        plain_bytes = self.parts[part].size_bytes
        if not 0 <= offset <= plain_bytes or size_bytes < 0:
            raise BadRequest(
                f"offset {offset} lies outside of part {self.parts[part].name!r}, which has {plain_bytes} bytes"
            )
        end = min(offset + size_bytes, plain_bytes)
        if offset == end:
            return b""
        first, last = offset // FRAME_BYTES, (end - 1) // FRAME_BYTES
        plain = b"".join(self._frame(part, frame) for frame in range(first, last + 1))
        return plain[offset - first * FRAME_BYTES : end - first * FRAME_BYTES]

    def _walk(self, plain_bytes: int) -> Sequence[int]:
        """Where each frame of the part in hand begins; leaves the file behind the part."""
        begins = []
        for frame in range(layout.frames_count(plain_bytes)):
            begins.append(self._file.tell())
            raw = Taking(self._file).take(layout.FRAME_HEADER_BYTES)
            _, stored_bytes, _ = parse_frame(raw, layout.frame_bytes(plain_bytes, frame))
            self._file.seek(stored_bytes, 1)
        Taking(self._file).take(layout.HASH_BYTES)
        return begins

    def _frame(self, part: int, frame: int) -> bytes:
        self._file.seek(self._frames[part][frame])
        taking = Taking(self._file)
        plain_bytes = layout.frame_bytes(self.parts[part].size_bytes, frame)
        encoding, stored_bytes, check = parse_frame(taking.take(layout.FRAME_HEADER_BYTES), plain_bytes)
        return decode_frame(part, frame, plain_bytes, encoding, taking.take(stored_bytes), check)
