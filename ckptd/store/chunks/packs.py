"""Packs as files of one directory: the chunk store of a daemon on its own disk.

Shared packs are written through the page cache, because what is saved is often read again soon, and a batch is small.
Private ones go around it where the file system allows (O_DIRECT, allocated ahead, 8 MiB at a time): a large payload
then neither throws out what others read nor makes their syncs wait behind its dirty pages.
"""

import errno
import mmap
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from ckptclient.errors import Busy, CkptdError
from ckptd.store import durable
from ckptd.store.chunks.interface import PACK_BYTES_TARGET, Location
from ckptd.store.records import (
    NAME_BYTES,
    PACK_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    PackHeader,
    PackKind,
    Record,
    pack_header,
    parse_pack_header,
    record_header,
)

SUFFIX: Final = ".pack"

_WRITE_BYTES: Final = 8 << 20
_ALIGNMENT: Final = 4096
"""What O_DIRECT asks of memory, offsets and lengths: a multiple of every logical block size in use."""


class Packs:
    """The files of `directory`, which must exist. `random_bytes` gives the names; `lineage` stands in each header."""

    def __init__(
        self,
        directory: Path,
        lineage: bytes,
        random_bytes: Callable[[int], bytes],
        pack_bytes_target: int = PACK_BYTES_TARGET,
    ) -> None:
        self._directory = directory
        self._lineage = lineage
        self._random_bytes = random_bytes
        self._target = pack_bytes_target
        self._current: dict[int, _Shared] = {}
        """By lifetime class."""
        self._unsynced: list[_Shared] = []
        self._new_names = False

    def append(self, records: Sequence[Record], lifetime: int = 0) -> Sequence[Location]:
        begun: list[tuple[_Shared, int]] = []
        locations: list[Location] = []
        try:
            for record in records:
                pack = self._open_pack(lifetime)
                if not begun or begun[-1][0] is not pack:
                    begun.append((pack, pack.end))
                locations.append(Location(pack.file, pack.add(record)))
        except CkptdError:
            # What a later append would leave of a half-written record could pass for a record of its own.
            for pack, end in begun:
                pack.cut(end)
            raise
        return locations

    def _open_pack(self, lifetime: int) -> "_Shared":
        pack = self._current.get(lifetime)
        if pack is None or pack.end >= self._target:
            if pack is not None:
                self._end(lifetime)
            name, file = self._draw()
            header = PackHeader(self._lineage, name, PackKind.SHARED, lifetime)
            pack = self._current[lifetime] = _Shared(self._directory / file, header)
            self._new_names = True
        if pack not in self._unsynced:
            self._unsynced.append(pack)
        return pack

    def _end(self, lifetime: int) -> None:
        pack = self._current.pop(lifetime)
        if pack not in self._unsynced:
            pack.close()

    def seal(self, pack: str) -> None:
        for lifetime, current in list(self._current.items()):
            if current.file == pack:
                self._end(lifetime)

    def sync(self) -> None:
        while self._unsynced:
            pack = self._unsynced[0]
            pack.sync()
            # Only now: a sync that failed leaves it in the list, and nobody calls again.
            del self._unsynced[0]
            if pack not in self._current.values():
                pack.close()
        if self._new_names:
            durable.sync_directory(self._directory)
            self._new_names = False

    def private(self, expected_bytes: int, lifetime: int = 0) -> "_Private":
        def begin() -> tuple[str, PackHeader]:
            name, file = self._draw()
            return file, PackHeader(self._lineage, name, PackKind.PRIVATE, lifetime)

        return _Private(self._directory, begin, expected_bytes, self._target)

    def read(self, location: Location, stored_bytes: int, *, fresh: bool = False) -> bytes:
        return self._range(location.pack, location.offset + RECORD_HEADER_BYTES, stored_bytes, fresh=fresh)

    def image(self, pack: str, offset: int, size_bytes: int) -> bytes:
        return self._range(pack, offset, size_bytes, fresh=True)

    def _range(self, pack: str, begin: int, size_bytes: int, *, fresh: bool) -> bytes:
        try:
            fd = os.open(self._directory / pack, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return _unreadable(error)
        try:
            if fresh:
                # Whole pages go; one that is dirty stays, and was written by this daemon.
                os.posix_fadvise(fd, begin, size_bytes, os.POSIX_FADV_DONTNEED)
            return os.pread(fd, size_bytes, begin)
        except OSError as error:
            return _unreadable(error)
        finally:
            os.close(fd)

    def size_bytes(self, pack: str) -> int:
        try:
            return (self._directory / pack).stat().st_size
        except OSError:
            return 0

    def orphans(self, known: Collection[str]) -> Sequence[str]:
        """Packs of this lineage that the catalog doesn't know: their daemon was killed before it had named them.

        A pack of another lineage, or one whose header can't be read, may be what a restored catalog has lost: it stays.
        """
        return [name for name in self.names() if name not in known and self._is_ours(name)]

    def _is_ours(self, name: str) -> bool:
        with (self._directory / name).open("rb") as file:
            raw = file.read(PACK_HEADER_BYTES)
        if len(raw) < PACK_HEADER_BYTES or not any(raw):
            return True  # killed before its header was whole, of a private one allocated ahead: there is nothing in it
        try:
            return parse_pack_header(raw)[0].lineage == self._lineage
        except CkptdError:
            return False

    def names(self) -> Sequence[str]:
        return [entry.name for entry in os.scandir(self._directory) if entry.name.endswith(SUFFIX)]

    def unlink(self, pack: str) -> None:
        self.seal(pack)
        for unsynced in [one for one in self._unsynced if one.file == pack]:
            self._unsynced.remove(unsynced)
            unsynced.close()
        durable.remove(self._directory / pack)

    def close(self) -> None:
        for pack in {*self._current.values(), *self._unsynced}:
            pack.close()
        self._current, self._unsynced = {}, []

    def _draw(self) -> tuple[bytes, str]:
        name = self._random_bytes(NAME_BYTES)
        return name, name.hex() + SUFFIX


class _Shared:
    """The pack that the committer appends to."""

    def __init__(self, path: Path, header: PackHeader) -> None:
        self.file = path.name
        self._name = header.name
        self._fd = durable.create_exclusive(path)
        try:
            durable.write_all(self._fd, pack_header(header), 0)
        except CkptdError:
            os.close(self._fd)
            path.unlink()
            raise
        self.end = PACK_HEADER_BYTES

    def add(self, record: Record) -> int:
        offset = self.end
        durable.write_all(self._fd, record_header(record, self._name), offset)
        durable.write_all(self._fd, record.stored, offset + RECORD_HEADER_BYTES)
        self.end = offset + record.size_bytes
        return offset

    def cut(self, end: int) -> None:
        durable.truncate(self._fd, end)
        self.end = end

    def sync(self) -> None:
        durable.sync_data(self._fd)

    def close(self) -> None:
        os.close(self._fd)


class _Private:
    """Packs of one large payload. See `PrivatePacks`."""

    def __init__(
        self, directory: Path, begin: Callable[[], tuple[str, PackHeader]], expected_bytes: int, target: int
    ) -> None:
        self._directory = directory
        self._begin = begin
        self._left = expected_bytes
        self._target = target
        self._file: _DirectFile | None = None
        self._made: list[Path] = []
        self._name = b""

    def add(self, record: Record) -> Location:
        if self._file is None or self._file.end >= self._target:
            self._finish()
            self._file = self._next()
        offset = self._file.end
        self._file.write(record_header(record, self._name))
        self._file.write(record.stored)
        return Location(self._made[-1].name, offset)

    def _next(self) -> "_DirectFile":
        name, header = self._begin()
        path = self._directory / name
        file = _DirectFile(path, min(self._left, self._target))
        self._left = max(0, self._left - self._target)
        self._made.append(path)
        self._name = header.name
        file.write(pack_header(header))
        return file

    def close(self) -> None:
        self._finish()
        if self._made:
            # One sync for the names of all: nobody knows them yet.
            durable.sync_directory(self._directory)

    def _finish(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.finish()

    def abandon(self) -> None:
        if self._file is not None:
            self._file.discard()
            self._file = None
        for path in self._made:
            durable.remove(path)
        self._made = []


class _DirectFile:
    """A new file that is written once, from begin to end, around the page cache where that can be had."""

    def __init__(self, path: Path, expected_bytes: int) -> None:
        self._fd = durable.create_direct(path)
        self.end = 0
        self._flushed = 0
        # Anonymous memory begins at a page, as O_DIRECT wants it.
        self._buffer = mmap.mmap(-1, _WRITE_BYTES)
        try:
            durable.allocate(self._fd, expected_bytes)
        except CkptdError:
            self.discard()
            path.unlink()
            raise

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            begin = self.end - self._flushed
            taken = min(len(rest), _WRITE_BYTES - begin)
            self._buffer[begin : begin + taken] = rest[:taken]
            self.end += taken
            rest = rest[taken:]
            if self.end - self._flushed == _WRITE_BYTES:
                self._flush(_WRITE_BYTES)

    def _flush(self, size_bytes: int) -> None:
        durable.write_all(self._fd, memoryview(self._buffer)[:size_bytes], self._flushed)
        self._flushed += size_bytes

    def finish(self) -> None:
        try:
            end = self.end
            # The last piece is rounded up to what O_DIRECT can write, with whatever stands there, and then cut.
            self._flush(-(-(end - self._flushed) // _ALIGNMENT) * _ALIGNMENT)
            durable.truncate(self._fd, end)
            durable.sync_data(self._fd)
        finally:
            self.discard()

    def discard(self) -> None:
        # The buffer goes with the last view of it, which a traceback may still hold.
        os.close(self._fd)


def _unreadable(error: OSError) -> bytes:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        raise Busy("the daemon has no file descriptor left", hint="raise LimitNOFILE") from error
    return b""
