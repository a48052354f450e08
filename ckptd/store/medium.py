"""What a store lies on: the directory that is ours alone, the file system under it, the space that is left.

A store has one daemon: a lock in its directory says so, held by the kernel for as long as the process lives, however
it ends. The promise of a store is that of its file system: ext4 and xfs keep it; on network and FUSE file systems
neither locks nor syncs mean what they say, so these are refused; others are used with a warning that names what is
not promised. Not for: writing anything else (`durable`), nor for quotas.
"""

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ckptclient.errors import CkptdError
from ckptd.errors import StartRefused, StoreFailed
from ckptd.store import durable

EX_TEMPFAIL: Final = 75

LOCK_NAME: Final = "lock"

CATALOG_NAME: Final = "catalog.db"

WRITTEN: Final = ("", "packs", "spool", CATALOG_NAME, f"{CATALOG_NAME}-wal")
"""What of a store a daemon must be able to write."""

SUPPORTED: Final = frozenset(("ext4", "xfs"))

REFUSED: Final = frozenset(
    (
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
        "ocfs2", "orangefs", "smb3", "smbfs", "virtiofs",
    )
)  # fmt: skip
"""By the names of /proc/filesystems; and every `fuse` beside these."""

WARNED: Final[Mapping[str, str]] = {
    "tmpfs": "it is memory: nothing survives a reboot or a power cut",
    "ramfs": "it is memory: nothing survives a reboot or a power cut",
    "overlay": "it lies in a container: what it holds goes with the container, unless its upper layer is kept",
    "btrfs": "syncs of small files are slow on it, and power cuts were not tried",
    "zfs": "power cuts were not tried",
}
_WARNED_ELSE: Final = "power cuts were not tried on it"


@dataclass(frozen=True, slots=True)
class Medium:
    """A store's directory, ours until the process ends. `warning` is None where the file system is supported."""

    path: Path
    file_system: str
    warning: str | None
    lock_fd: int
    identity: tuple[int, int]
    unwritable: str | None = None
    """Why nothing can be written, None where it can: then the store is only read."""

    def vanished(self) -> bool:
        """Whether the directory is no longer there, or is another one now."""
        try:
            found = self.path.stat()
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self.identity

    def release(self) -> None:
        """Let another daemon have the store; for who opens it and goes on living."""
        os.close(self.lock_fd)


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of a file system: all that it has, and what is free for us."""

    total_bytes: int
    free_bytes: int


def occupy(path: Path) -> Medium:
    """Make the store's directory where it is missing, judge what it lies on, and lock it.

    A store that is there and can't be written is taken as it is. Raises StartRefused: another daemon has it (exit
    status 75), or it can't be used (78).
    """
    _make(path)
    kind = file_system(path, Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))
    warning = judge(path, kind)
    why = unwritable(path)
    if why is not None and not os.access(path / CATALOG_NAME, os.R_OK, effective_ids=True):
        raise _unusable(path, why)
    lock_fd = _lock(path) if why is None else _lock_as_it_is(path)
    found = path.stat()
    return Medium(path, kind, warning, lock_fd, (found.st_dev, found.st_ino), why)


def unwritable(path: Path) -> str | None:
    """Why a store can't be written, by what the kernel says of its file system and its modes; None where it can."""
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"the file system of {path} is mounted read-only"
    for name in WRITTEN:
        one = path / name
        if one.exists() and not os.access(one, os.W_OK | (os.X_OK if one.is_dir() else 0), effective_ids=True):
            return f"the user {os.geteuid()}, as whom ckptd runs, may not write to {one}"
    return None


def judge(path: Path, kind: str) -> str | None:
    """What isn't promised on a kind of file system, None where everything is; StartRefused where nothing would be."""
    if kind in REFUSED or kind == "fuse" or kind.startswith(("fuse.", "fuseblk")):
        raise StartRefused(
            f"the store {path} lies on {kind}, where locks and syncs don't mean what they say",
            hint="put it on a local disk with ext4 or xfs (--store, or store.path in the configuration)",
        )
    return None if kind in SUPPORTED else f"{kind}: {WARNED.get(kind, _WARNED_ELSE)}"


def file_system(path: Path, mountinfo: str) -> str:
    """The kind of file system on which a path lies, by /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    target = os.path.realpath(path)
    kind, longest = "unknown", -1
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        point = _unescaped(mount.split(" ")[4])
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        # Of two mounts on one point the later one hides the earlier.
        if inside and len(point) >= longest:
            kind, longest = source.split(" ")[0], len(point)
    return kind


def space(path: Path) -> Space:
    """What the file system under a path has and what is free of it; raises OSError."""
    found = os.statvfs(path)
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


def _unescaped(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point)


def _make(path: Path) -> None:
    missing: list[Path] = []
    at = path
    try:
        while not at.exists():
            missing.append(at)
            at = at.parent
        for directory in reversed(missing):
            durable.make_directory(directory)
        if not path.is_dir():
            raise StartRefused(f"the store {path} is no directory", hint="choose another --store")
    except OSError as error:
        raise _unusable(path, error.strerror or "") from error
    except (CkptdError, StoreFailed) as error:
        if isinstance(error, StartRefused):
            raise
        raise _unusable(path, str(error)) from error


def _lock(path: Path) -> int:
    try:
        fd = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, durable.FILE_MODE)
    except OSError as error:
        raise _unusable(path, error.strerror or "") from error
    _claim(fd, path)
    # For people and for the message below; the lock itself is the kernel's, and a full disk is no reason not to start.
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _lock_as_it_is(path: Path) -> int:
    """The same without writing; where there is no file to lock, the directory keeps other readers out."""
    try:
        fd = os.open(path / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    _claim(fd, path)
    return fd


def _claim(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = _holder(path)
        os.close(fd)
        if error.errno != errno.EWOULDBLOCK:
            raise _unusable(path, f"it can't be locked: {error.strerror}") from error
        raise StartRefused(
            f"another daemon{f' (pid {holder})' if holder else ''} has the store {path}",
            hint="use that one, stop it first, or choose another --store",
            sysexit=EX_TEMPFAIL,
        ) from None


def _holder(path: Path) -> str:
    """The pid that its holder left, for a message."""
    try:
        return (path / LOCK_NAME).read_text(encoding="ascii", errors="replace").strip()[:32]
    except OSError:
        return ""


def _unusable(path: Path, why: str) -> StartRefused:
    return StartRefused(
        f"the store {path} can't be used: {why}",
        hint="give the directory to the daemon's user, or choose another (--store)",
    )
