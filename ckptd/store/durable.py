"""The only place that makes files durable: it creates, writes, syncs, renames and removes them.

What a file holds and where it lies is its owner's business; this room knows the steps that survive a power cut, and
what each failure means:

* A write or a creation that finds the disk full is NoSpace, on a read-only file system ReadOnly, without a free
  descriptor Busy: a clean refusal, nothing refers to what was written.
* Any other failure of the medium is StoreFailed, and so is every failure of a sync, ENOSPC too: the kernel reports a
  lost page once and then says that all is well. So no descriptor is ever synced again after an error: StoreFailed
  ends the daemon, and a new one never appends to an old file.

The catalog's own file is SQLite's, which syncs it itself.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from ckptclient.errors import Busy, CkptdError, NoSpace, ReadOnly
from ckptd.errors import StoreFailed

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700

_REFUSALS: Final[Mapping[int, tuple[type[CkptdError], str, str]]] = {
    errno.ENOSPC: (NoSpace, "the store's file system is full", "free some space, or delete checkpoints"),
    errno.EDQUOT: (NoSpace, "the daemon's disk quota is used up", "raise the quota of the user that ckptd runs as"),
    errno.EROFS: (ReadOnly, "the store's file system is read-only", "see the kernel's log for why it was remounted"),
    errno.EMFILE: (Busy, "the daemon has no file descriptor left", "raise LimitNOFILE"),
    errno.ENFILE: (Busy, "the machine has no file descriptor left", "raise fs.file-max"),
}
"""What a failure before the sync means, by errno. What isn't here is the medium's, and ends the daemon."""


def _failure(error: OSError, what: str, path: object) -> CkptdError | StoreFailed:
    refusal = _REFUSALS.get(error.errno or 0)
    if refusal is None:
        return StoreFailed(f"can't {what} {path}: {error.strerror}")
    kind, message, hint = refusal
    return kind(message, hint=hint, details={"path": str(path)})


def create_exclusive(path: Path) -> int:
    """Make a file that must not exist and open it for reading and writing; the caller owns the descriptor.

    Durable only after `sync_data` on it and `sync_directory` on its parent.
    """
    try:
        # O_EXCL: no name is ever used twice, so a stale writer can never meet a new file under its old name.
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise _failure(error, "create", path) from error


def create_direct(path: Path) -> int:
    """The same, for writing around the page cache where the file system can; memory and offsets must be aligned."""
    fd = create_exclusive(path)
    # Set afterwards: an open(2) with O_DIRECT that is refused has made the file all the same.
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_DIRECT)
    return fd


def write_all(fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """Write every byte at `offset`, without moving the file's position."""
    rest = memoryview(data)
    while rest:
        try:
            # The kernel may take less than asked for, without an error: go on where it stopped.
            written = os.pwrite(fd, rest, offset)
        except OSError as error:
            raise _failure(error, "write", _name(fd)) from error
        rest, offset = rest[written:], offset + written


def allocate(fd: int, size_bytes: int) -> None:
    """Have the space for so many bytes before they come, so that a full disk is met here and not half-way."""
    if size_bytes:
        try:
            os.posix_fallocate(fd, 0, size_bytes)
        except OSError as error:
            raise _failure(error, "allocate", _name(fd)) from error


def truncate(fd: int, size_bytes: int) -> None:
    """Cut off what stands after `size_bytes`; durable with the next sync."""
    try:
        os.ftruncate(fd, size_bytes)
    except OSError as error:
        raise _failure(error, "truncate", _name(fd)) from error


def sync_data(fd: int) -> None:
    """Return when the file's bytes and its size are on disk; StoreFailed when that can't be known."""
    try:
        # fdatasync leaves out the times and keeps the size, which is all of the metadata that a reader needs.
        os.fdatasync(fd)
    except OSError as error:
        raise StoreFailed(f"can't sync {_name(fd)}: {error.strerror}") from error


def sync_directory(path: Path) -> None:
    """Return when the names in a directory are on disk as they are now; StoreFailed when that can't be known."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreFailed(f"can't open {path} to sync it: {error.strerror}") from error
    try:
        os.fsync(fd)
    except OSError as error:
        raise StoreFailed(f"can't sync {path}: {error.strerror}") from error
    finally:
        os.close(fd)


def make_directory(path: Path) -> None:
    """Make a directory, and its name durable; one that is there is left as it is. Its parent must exist."""
    try:
        path.mkdir(DIRECTORY_MODE, exist_ok=True)
    except OSError as error:
        raise _failure(error, "create", path) from error
    # Also where it was there: whoever made it may have died before this.
    sync_directory(path.parent)


def publish(path: Path, data: bytes) -> None:
    """Put a small file in place of whatever has its name; after a crash one of the two is there, whole."""
    draft = path.with_name(f".{path.name}.draft")
    # A draft is what a crash left of an earlier call; nothing refers to it.
    draft.unlink(missing_ok=True)
    fd = create_exclusive(draft)
    try:
        write_all(fd, data, 0)
        # The bytes first: a rename that reaches the disk before them gives an empty file after a power cut.
        sync_data(fd)
    except CkptdError:
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    try:
        # Observers see the old file or the new one, never none.
        os.replace(draft, path)
    except OSError as error:
        raise _failure(error, "rename", draft) from error
    # Until its directory is synced the new name may be forgotten.
    sync_directory(path.parent)


def adopt(source: Path, target: Path) -> None:
    """Give a file that never changes again a second name, or copy it where that can't be; `target` is new.

    Its bytes are on disk when this returns, its name once the directory is synced.
    """
    try:
        os.link(source, target)
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise _failure(error, "link", target) from error
    fd = create_exclusive(target)
    try:
        with source.open("rb") as file:
            offset = 0
            while piece := file.read(1 << 20):
                write_all(fd, piece, offset)
                offset += len(piece)
        sync_data(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[BinaryIO]:
    """A file of any size to be written, that takes the place of whatever is called `path` when the block ends well.

    For files that people name, outside of a store: an OSError stays one, the caller knows what to say of it. After a
    crash the old file or the new one is there, whole; a block that raises leaves the old one.
    """
    draft = path.with_name(f".{path.name}.draft")
    # What a crash left of an earlier call.
    draft.unlink(missing_ok=True)
    try:
        with draft.open("xb") as file:
            yield file
            file.flush()
            # The bytes before the name, as in `publish`.
            os.fdatasync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def place(draft: Path, path: Path) -> None:
    """Give a file that was written and synced under another name its own, in place of whatever has it."""
    try:
        os.replace(draft, path)
    except OSError as error:
        raise _failure(error, "rename", draft) from error
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file and make that durable; one that is gone is no error. Open descriptors go on reading it."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _failure(error, "remove", path) from error
    # Before the caller forgets the file: a name that came back would be a file that nobody knows.
    sync_directory(path.parent)


def reserve(path: Path, size_bytes: int) -> None:
    """Hold so many bytes of disk in a file that `remove` gives back when a full disk keeps deletes from happening.

    A file of that size is left as it is. NoSpace leaves none: the caller goes on without and tries again later.
    """
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_blocks * 512 >= size_bytes:
            return
        path.unlink()
    fd = create_exclusive(path)
    try:
        allocate(fd, size_bytes)
    except CkptdError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def _name(fd: int) -> str:
    """The path of an open file, for a message."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return f"descriptor {fd}"
