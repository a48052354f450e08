"""One file from here to there, verified: what was written is read back from the medium, and hashed again.

Written in pieces with a sync after every few, so that the saves of the store, whose disk it may be, don't wait behind
a gigabyte of dirty pages. Not for: what the file means.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from ckptclient.errors import Damaged
from ckptd.core.ids import PackKey
from ckptd.store import durable
from ckptd.store.backup.layout import PackCopy
from ckptd.store.catalog.interface import CatalogReader
from ckptd.store.records import RECORD_HEADER_BYTES, record_in

PIECE_BYTES: Final = 1 << 20
_SYNC_BYTES: Final = 8 << 20
_PAGE: Final = 10_000

Told = Callable[[int], None]
"""Hears of bytes that are done."""


def extend(source: Path, target: Path, begin: int, end: int, told: Told) -> bytes:
    """Write the source's bytes from `begin` to `end` into the target at the same place; their SHA-256.

    The target is synced when this returns. What can't be read of the source is zeros in the target: who knows what lies
    there finds it damaged, and the rest is saved. FileNotFoundError where there is no source.
    """
    digest = sha256()
    inward = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        outward = os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, durable.FILE_MODE)
        try:
            at, unsynced = begin, 0
            for piece in _pieces(inward, begin, end):
                durable.write_all(outward, piece, at)
                digest.update(piece)
                at, unsynced = at + len(piece), unsynced + len(piece)
                if unsynced >= _SYNC_BYTES:
                    durable.sync_data(outward)
                    unsynced = 0
                told(len(piece))
            # Behind the end lies what an earlier attempt left.
            durable.truncate(outward, at)
            durable.sync_data(outward)
            # What is read back must come from the medium.
            os.posix_fadvise(outward, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(outward)
    finally:
        os.close(inward)
    return digest.digest()


def _pieces(fd: int, begin: int, end: int) -> Iterator[bytes]:
    end = min(end, os.fstat(fd).st_size)
    for at in range(begin, end, PIECE_BYTES):
        wanted = min(PIECE_BYTES, end - at)
        try:
            piece = os.pread(fd, wanted, at)
        except OSError:
            piece = b""
        yield piece + bytes(wanted - len(piece))


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What a file was found to hold: SHA-256 of the bytes before a place, of those from there on, and of all."""

    before: bytes
    behind: bytes
    whole: bytes


def read_back(path: Path, place: int, end: int, told: Told = lambda done: None) -> ReadBack:
    """Hash the first `end` bytes of a file; Damaged where it has fewer."""
    whole, behind, before = sha256(), sha256(), b""
    with path.open("rb", buffering=0) as file:
        at = 0
        while at < end:
            if at == place:
                before = whole.digest()
            piece = file.read(min(PIECE_BYTES, (place if at < place else end) - at))
            if not piece:
                raise Damaged(f"{path} has {at} of {end} bytes")
            whole.update(piece)
            if at >= place:
                behind.update(piece)
            at += len(piece)
            told(len(piece))
    return ReadBack(before or whole.digest(), behind.digest(), whole.digest())


@dataclass(frozen=True, slots=True)
class Lying:
    """A record that the catalog names: its offset in the pack, how much is stored, and the chunk's id; a note has none."""

    offset: int
    stored_bytes: int
    id: bytes | None

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + RECORD_HEADER_BYTES + self.stored_bytes


def lying(catalog: CatalogReader, pack: PackKey) -> Sequence[Lying]:
    """Every record of a pack that the catalog names."""
    found: list[Lying] = []
    begin = 0
    while chunks := catalog.placed(pack, begin, _PAGE):
        found += [Lying(one.row.offset, one.row.stored_bytes, one.row.id) for one in chunks]
        begin = chunks[-1].row.offset + 1
    begin = 0
    while notes := catalog.notes(pack, begin, _PAGE):
        found += [Lying(one.offset, one.stored_bytes, None) for one in notes]
        begin = notes[-1].offset + 1
    return found


def bad_records(path: Path, copy: PackCopy, records: Sequence[Lying]) -> Sequence[int]:
    """The offsets of those records that aren't whole in a copy of their pack."""
    pack = bytes.fromhex(copy.name.partition(".")[0])
    bad: list[int] = []
    with path.open("rb") as file:
        for one in records:
            file.seek(one.offset)
            found = record_in(file.read(RECORD_HEADER_BYTES + one.stored_bytes), one.offset, pack)
            whole = found is not None and found.intact and found.end == one.end <= copy.bytes
            if not whole or (found is not None and one.id is not None and found.record.id != one.id):
                bad.append(one.offset)
    return sorted(bad)
