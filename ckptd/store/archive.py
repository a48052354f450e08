"""Checkpoints as files at another place; owns the terms *archive* and *archived*.

Each is an export file of its own under a random name, written once, read back before it counts, and removed once. The
directory has a mark with the store's name, so that an unmounted disk, or another store's, isn't taken for an empty
archive: nothing is written, read or removed without it. Not for: which checkpoint lies where (the catalog), nor when
one moves (`service.archiving`).
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from ckptclient.errors import Damaged, Unavailable
from ckptd.core.change import ManifestPart
from ckptd.store import durable
from ckptd.store.catalog.interface import CatalogReader
from ckptd.store.elsewhere import elsewhere
from ckptd.store.export import Description, ExportedPart, Placed, read_export, write_export

MARK: Final = "ckptd-archive"
SUFFIX: Final = ".ckptx"
PIECE_BYTES: Final = 1 << 20

_OPEN_COUNT: Final = 4


class ArchiveFiles:
    """The files at `path` of the store with this key of chunk ids. Any thread may use it."""

    def __init__(self, path: Path, chunk_key: bytes) -> None:
        self.path = path
        self._store = sha256(b"ckptd archive of\0" + chunk_key).hexdigest()[:32]
        self._lock = threading.Lock()
        self._open: OrderedDict[str, tuple[BinaryIO, Placed]] = OrderedDict()

    def require(self) -> None:
        """Unavailable, with the path, unless our archive is there."""
        mark = self.path / MARK
        with elsewhere(self.path):
            try:
                found = mark.read_text(encoding="ascii", errors="replace").strip()
            except FileNotFoundError:
                raise Unavailable(
                    f"the archive {self.path} isn't there: it has no file {MARK}",
                    hint="mount it; what waits for it is done then",
                ) from None
        if found != self._store:
            raise Unavailable(f"{self.path} is the archive of another store", hint="see archive.path")

    def begin(self) -> None:
        """Make the directory an archive, where it is empty; for a store that has nothing archived yet."""
        with elsewhere(self.path):
            # The parent must be there: a path that is mounted would else be made on the disk under it.
            durable.make_directory(self.path)
            if not (self.path / MARK).exists():
                if any(self.path.iterdir()):
                    raise Unavailable(
                        f"{self.path} isn't empty and no archive", hint="set archive.path to one of its own"
                    )
                durable.publish(self.path / MARK, self._store.encode() + b"\n")
        self.require()

    def write(
        self, name: str, description: Description, parts: Sequence[tuple[ExportedPart, Iterable[bytes]]]
    ) -> tuple[int, bytes]:
        """Write a file and read it back from the medium: (its bytes, its SHA-256). It is on disk when this returns."""
        self.require()
        path = self._file(name)
        with elsewhere(self.path):
            durable.make_directory(path.parent)
            with durable.publishing(path) as file:
                digest = write_export(file, description, parts)
            with path.open("rb", buffering=0) as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                reading = read_export(file)
                reading.check()
                size_bytes = file.tell()
        if reading.digest != digest:
            raise Damaged(f"what was written to {path} is not what is read back", hint="don't trust that disk")
        return size_bytes, digest

    def read(self, name: str, part: ManifestPart, ordinal: int, offset: int, size_bytes: int) -> bytes:
        """A range of a part, verified frame by frame; shorter where the part ends."""
        with self._lock, elsewhere(self.path):
            placed = self._placed(name)
            theirs = placed.parts[ordinal] if ordinal < len(placed.parts) else None
            if theirs is None or (theirs.name, theirs.form, theirs.size_bytes) != (
                part.name,
                part.form,
                part.size_bytes,
            ):
                raise Damaged(f"{self._file(name)} isn't the file of this checkpoint")
            return placed.read(ordinal, offset, size_bytes)

    def remove(self, name: str) -> None:
        """Remove a file and what a crash left of its writing; durable when this returns. Gone is no error."""
        self.require()
        with self._lock:
            if name in self._open:
                self._open.pop(name)[0].close()
        path = self._file(name)
        with elsewhere(self.path), suppress(FileNotFoundError):
            path.with_name(f".{path.name}.draft").unlink(missing_ok=True)
            if path.parent.exists():
                durable.remove(path)

    def close(self) -> None:
        """Give descriptors back."""
        with self._lock:
            for file, _ in self._open.values():
                file.close()
            self._open.clear()

    def _placed(self, name: str) -> Placed:
        found = self._open.get(name)
        if found is None:
            try:
                file = self._file(name).open("rb")
            except FileNotFoundError:
                self.require()
                raise Damaged(f"the archive's file {self._file(name)} is gone") from None
            try:
                found = file, Placed(file)
            except BaseException:
                file.close()
                raise
            self._open[name] = found
            while len(self._open) > _OPEN_COUNT:
                self._open.popitem(last=False)[1][0].close()
        self._open.move_to_end(name)
        return found[1]

    def _file(self, name: str) -> Path:
        return self.path / name[:2] / f"{name}{SUFFIX}"


class _Within(Protocol):
    """Reads parts that lie in the store."""

    def read(self, catalog: CatalogReader, part: ManifestPart, offset: int, size_bytes: int) -> bytes:
        """A range."""

    def verify(self, catalog: CatalogReader, parts: Sequence[ManifestPart]) -> None:
        """All of them."""


class Reading:
    """Reads parts wherever they lie; `files` is None where no archive is configured."""

    def __init__(self, within: _Within, files: ArchiveFiles | None) -> None:
        self._within = within
        self.files = files

    def read(self, catalog: CatalogReader, part: ManifestPart, offset: int, size_bytes: int) -> bytes:
        """Plain bytes of a part; Damaged where they can't be had, Unavailable where the archive isn't there."""
        if part.archived is None:
            return self._within.read(catalog, part, offset, size_bytes)
        if self.files is None:
            raise Unavailable("the checkpoint is archived, and no archive is configured", hint="set archive.path")
        name, ordinal = part.archived
        return self.files.read(name, part, ordinal, offset, size_bytes)

    def close(self) -> None:
        """Give descriptors back."""
        if self.files is not None:
            self.files.close()

    def verify(self, catalog: CatalogReader, parts: Sequence[ManifestPart]) -> None:
        """Read all of them; Damaged names what is wrong."""
        self._within.verify(catalog, [part for part in parts if part.archived is None])
        for part in parts:
            if part.archived is not None:
                for offset in range(0, part.size_bytes, PIECE_BYTES):
                    self.read(catalog, part, offset, PIECE_BYTES)
