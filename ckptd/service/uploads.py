"""Payloads that come in pieces; owns the term *upload*.

An upload is a file without a name in the store's own file system: its pieces may come in any order, its size is
bounded by what was announced, and nothing is left of it when its connection, the daemon or the machine ends. Or it is
a staging buffer that the worker fills by itself, and saves once it has.
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Final

from ckptclient.errors import BadRequest, Busy, NoSpace, NotFound
from ckptclient.wire import layout, params
from ckptd.service.caller import Caller
from ckptd.store.staging import Pool, Taken

UPLOADS_MAX = 64
"""Open uploads of one connection."""


@dataclass(slots=True)
class Upload:
    """Parts that are coming: part n begins at `begins[n]` of the file. Closing it is the owner's."""

    fd: int
    parts: Sequence[params.PartPlan]
    begins: Sequence[int]
    size_bytes: int
    written: list[tuple[int, int]] = field(default_factory=list)
    """What has come, as ranges of the file that don't touch, in order."""
    give_back: Callable[[], None] | None = None
    """For a staging buffer: its end. Whether it was filled is the worker's word."""

    def cover(self, begin: int, end: int) -> None:
        """Note that a range has come."""
        at = bisect_left(self.written, (begin, begin))
        first = at - 1 if at and self.written[at - 1][1] >= begin else at
        last = first
        while last < len(self.written) and self.written[last][0] <= end:
            begin, end = min(begin, self.written[last][0]), max(end, self.written[last][1])
            last += 1
        self.written[first:last] = [(begin, end)]

    def check_whole(self) -> None:
        """Refuse to save what has holes: they would read as zeros."""
        if self.give_back is None and self.size_bytes and self.written != [(0, self.size_bytes)]:
            came = sum(end - begin for begin, end in self.written)
            raise BadRequest(
                f"only {came} of the upload's {self.size_bytes} bytes were written",
                hint="write every byte of every part before the save",
            )

    def close(self) -> None:
        """Give the space back."""
        if self.fd < 0:
            return
        if self.give_back is not None:
            self.give_back()
        else:
            os.close(self.fd)
        self.fd = -1


class Uploads:
    """Uploads by connection; blocking calls, made in a reader's thread where they carry bytes."""

    def __init__(self, directory: Path, staging: Pool) -> None:
        self._directory = directory
        self.staging: Final = staging
        self._open: dict[int, dict[int, Upload]] = {}
        self._next = 1

    def open(self, caller: Caller, plan: Sequence[params.PartPlan]) -> int:
        """Begin one; its number is for this connection alone."""
        mine = self._room(caller)
        begins = list(accumulate((part.size_bytes for part in plan), initial=0))
        fd = os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        return self._enter(mine, Upload(fd, tuple(plan), begins[:-1], begins[-1]))

    def stage(self, caller: Caller, plan: Sequence[params.PartPlan]) -> tuple[int, Taken]:
        """Begin one in a staging buffer, where each part has the place that `wire.layout` gives it. NoSpace."""
        mine = self._room(caller)
        begins, size_bytes = layout.begins(part.size_bytes for part in plan)
        taken = self.staging.take(caller.connection, caller.uid, size_bytes)
        buffer = taken.buffer
        upload = Upload(buffer.fd, tuple(plan), begins, size_bytes, give_back=lambda: self.staging.give_back(buffer))
        return self._enter(mine, upload), taken

    def _room(self, caller: Caller) -> dict[int, Upload]:
        mine = self._open.setdefault(caller.connection, {})
        if len(mine) >= UPLOADS_MAX:
            raise Busy(f"this connection has {UPLOADS_MAX} uploads open", hint="save or close one of them first")
        return mine

    def _enter(self, mine: dict[int, Upload], upload: Upload) -> int:
        number, self._next = self._next, self._next + 1
        mine[number] = upload
        return number

    def find(self, caller: Caller, number: int) -> Upload:
        """One of this connection's."""
        upload = self._open.get(caller.connection, {}).get(number)
        if upload is None:
            raise NotFound(
                f"this connection has no upload {number}",
                hint="an upload ends with its connection: open a new one and write its parts again",
                details={"what": "upload"},
            )
        return upload

    def write(self, upload: Upload, piece: params.WritePart) -> None:
        """Put a piece in its place. NoSpace leaves the rest of the upload as it was."""
        if upload.give_back is not None:
            raise BadRequest("the upload lies in a staging buffer", hint="put the bytes there, and save it")
        if piece.part >= len(upload.parts):
            raise BadRequest(f"the upload has {len(upload.parts)} parts", hint="accepted: part 0 and up")
        size = upload.parts[piece.part].size_bytes
        if piece.offset + len(piece.data) > size:
            raise BadRequest(
                f"the piece ends at {piece.offset + len(piece.data)}, behind the part's {size} bytes",
                hint="announce the part's whole size in upload.open",
            )
        view, at = memoryview(piece.data), upload.begins[piece.part] + piece.offset
        try:
            while view:
                written = os.pwrite(upload.fd, view, at)
                view, at = view[written:], at + written
        except OSError as error:
            raise NoSpace(
                f"an upload can't be kept: {error.strerror}", hint="make room on the store's file system"
            ) from error
        begin = upload.begins[piece.part] + piece.offset
        upload.cover(begin, begin + len(piece.data))

    def take(self, caller: Caller, number: int) -> Upload:
        """Take one out, to be saved and closed by who took it."""
        upload = self.find(caller, number)
        del self._open[caller.connection][number]
        return upload

    def drop(self, connection: int) -> None:
        """A connection ended, and its uploads with it."""
        for upload in self._open.pop(connection, {}).values():
            upload.close()
        self.staging.drop(connection)

    def close(self) -> None:
        """Forget all."""
        for connection in tuple(self._open):
            self.drop(connection)
        self.staging.close()
