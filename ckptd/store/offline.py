"""A store that is read while no daemon has it: for tools, also on a read-only file system; owns the term *offline*.

A daemon can't begin with a store that is open here, and a store that a daemon has isn't opened: what it writes and
removes meanwhile would look like damage. Nothing is written beside it. Not for: which backend it is (`compose` says),
or asking a daemon that runs (`ctl`).
"""

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ckptclient.errors import Busy, Denied, NoStore
from ckptd.store.catalog.interface import Catalog, CatalogReader
from ckptd.store.chains import Chains
from ckptd.store.chunks.interface import ChunkStore
from ckptd.store.medium import CATALOG_NAME, LOCK_NAME
from ckptd.store.reader import PartReader

PACKS_NAME = "packs"


@dataclass(frozen=True, slots=True)
class Offline:
    """An open store. Whatever would write to `catalog` raises READ_ONLY; a context that gives everything back."""

    path: Path
    catalog: Catalog
    reader: CatalogReader
    chunks: ChunkStore
    chains: Chains
    parts: PartReader
    lock_fd: int

    def close(self) -> None:
        """Let a daemon have it again."""
        self.reader.close()
        self.chunks.close()
        self.catalog.close()
        os.close(self.lock_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def visit(path: Path) -> int:
    """Keep daemons away from the store at `path`: a descriptor that holds its lock, beside other visitors.

    NoStore where there is none, Denied where it belongs to somebody else, Busy where a daemon has it, by its pid.
    """
    try:
        if not (path / CATALOG_NAME).exists() and not (path / PACKS_NAME).is_dir():
            raise NoStore(f"there is no store at {path}", hint="name the directory that holds catalog.db and packs")
        fd = _open(path)
    except PermissionError as error:
        raise Denied(
            f"the store {path} can't be read: {error.strerror}", hint="read it as the user that its daemon runs as"
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno != errno.EWOULDBLOCK:
            raise
        raise Busy(
            f"a daemon{_pid(path)} has the store {path}",
            hint="ask it by its socket (leave --store out, or say --socket), or stop it first",
        ) from None
    return fd


def _open(path: Path) -> int:
    """A store that was copied from elsewhere may lack the file that a daemon locks: its directory is locked then."""
    try:
        return os.open(path / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _pid(path: Path) -> str:
    """The pid that a daemon left beside its lock, for a message."""
    try:
        said = (path / LOCK_NAME).read_text(encoding="ascii", errors="replace").strip()[:32]
    except OSError:
        return ""
    return f" (pid {said})" if said else ""
