"""A disk that remembers: one file over FUSE, on which a loop device lies, whose every write and flush is logged in order.

    python -m tests.faults.recorder IMAGE LOG MOUNTPOINT      # needs root and /dev/fuse; ends when it is unmounted

What device-mapper's log-writes target does in kernels that have it. The protocol is fuse(4), spoken directly, as one
file needs twelve of its requests and no library. `blocks` makes crash states of the log.
"""

import ctypes
import errno
import os
import stat
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORD = struct.Struct("<cQIQ")
"""Kind, offset, bytes of data, microseconds UTC at which it came; then the data."""

WRITE, FLUSH = b"W", b"F"

_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_ATTR = struct.Struct("<QQQQQQIIIIIIIIII")

_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _WRITE, _STATFS, _RELEASE, _FSYNC = 1, 2, 3, 14, 15, 16, 17, 18, 20
_FLUSH, _INIT, _OPENDIR, _RELEASEDIR, _ACCESS, _INTERRUPT, _DESTROY, _BATCH_FORGET = 25, 26, 27, 29, 34, 36, 38, 42
_ROOT, _DISK = 1, 2
_NAME = b"disk\0"
_MAX_WRITE = 1 << 20
_DIRECT_IO = 1
_BIG_WRITES, _MAX_PAGES = 1 << 5, 1 << 22


@dataclass(frozen=True, slots=True)
class Op:
    """One thing that the disk was asked to do. `at` is seconds UTC."""

    kind: bytes
    offset: int
    data: bytes
    at: float


def read_log(path: Path) -> Iterator[Op]:
    """What a recorder wrote."""
    with path.open("rb") as file:
        while head := file.read(RECORD.size):
            kind, offset, size, at = RECORD.unpack(head)
            yield Op(kind, offset, file.read(size), at / 1e6)


class Recorder:
    """Answers the kernel for as long as the file is mounted."""

    def __init__(self, image: Path, log: Path) -> None:
        self._image = os.open(image, os.O_RDWR)
        self._log = log.open("wb")
        self._size = os.fstat(self._image).st_size
        self._device = os.open("/dev/fuse", os.O_RDWR)

    def mount(self, point: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        data = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if libc.mount(b"recorder", os.fsencode(point), b"fuse.recorder", 0, data):
            raise OSError(ctypes.get_errno(), "can't mount the recorder")

    def serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, _MAX_WRITE + (64 << 10))
            except OSError as error:
                if error.errno == errno.ENODEV:  # unmounted
                    break
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                raise
            _, code, unique, node, *_ = _IN.unpack_from(request)
            answer = self._answer(code, node, request[_IN.size :])
            if answer is not None:
                status, body = (answer, b"") if isinstance(answer, int) else (0, answer)
                os.write(self._device, _OUT.pack(_OUT.size + len(body), -status, unique) + body)
            if code == _DESTROY:
                break
        self._log.close()

    def _answer(self, code: int, node: int, body: bytes) -> bytes | int | None:
        """The body of the reply, an errno, or None where none is wanted."""
        if code in (_FORGET, _BATCH_FORGET, _INTERRUPT):
            return None
        if code == _INIT:
            return struct.pack(
                "<IIIIHHIIHHII6I", 7, 31, 0, _BIG_WRITES | _MAX_PAGES, 16, 12, _MAX_WRITE, 1, _MAX_WRITE // 4096, 0, 0, 0, *[0] * 6
            )  # fmt: skip
        if code == _LOOKUP:
            return struct.pack("<QQQQII", _DISK, 0, 0, 0, 0, 0) + self._attr(_DISK) if body == _NAME else errno.ENOENT
        if code == _GETATTR:
            return struct.pack("<QII", 0, 0, 0) + self._attr(node)
        if code in (_OPEN, _OPENDIR):
            return struct.pack("<QII", 0, _DIRECT_IO if node == _DISK else 0, 0)
        if code == _READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return os.pread(self._image, size, offset)
        if code == _WRITE:
            _, offset, size = struct.unpack_from("<QQI", body)
            self._record(WRITE, offset, body[40 : 40 + size])
            os.pwrite(self._image, body[40 : 40 + size], offset)
            return struct.pack("<II", size, 0)
        if code == _FSYNC:
            self._record(FLUSH, 0, b"")
            return b""
        if code == _STATFS:
            return bytes(80)
        return b"" if code in (_RELEASE, _RELEASEDIR, _FLUSH, _ACCESS, _DESTROY) else errno.ENOSYS

    def _record(self, kind: bytes, offset: int, data: bytes) -> None:
        self._log.write(RECORD.pack(kind, offset, len(data), time.time_ns() // 1000) + data)
        self._log.flush()

    def _attr(self, node: int) -> bytes:
        mode, links = (stat.S_IFREG | 0o600, 1) if node == _DISK else (stat.S_IFDIR | 0o755, 2)
        size = self._size if node == _DISK else 0
        return _ATTR.pack(node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0)


def main() -> None:
    image, log, point = (Path(one) for one in sys.argv[1:])
    recorder = Recorder(image, log)
    recorder.mount(point)
    recorder.serve()


if __name__ == "__main__":
    main()
