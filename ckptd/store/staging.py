"""Shared memory in which large parts cross; owns the terms *staging buffer* and *pool*.

A staging buffer is a memfd that this daemon made, sealed against shrinking and growing, so that reading it can't fail
under us whatever the worker does. It belongs to one connection and goes back to the kernel with it: no buffer is ever
seen by a second one, and so none has to be zeroed. A connection's buffers stay for its next saves, because memory
that is mapped and touched takes a fraction of what fresh memory costs. Not for: what is in them, or when a save is done
(the service's uploads).
"""

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ckptclient.errors import NoSpace

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_CLASS_BYTES_MIN: Final = 1 << 20


def class_bytes(size_bytes: int) -> int:
    """The size of the buffer for so many bytes: at most an eighth more, so that a state that grows stays in it."""
    step = max(_CLASS_BYTES_MIN, 1 << max(0, size_bytes.bit_length() - 4))
    return -(-max(1, size_bytes) // step) * step


@dataclass(slots=True, eq=False)
class Buffer:
    """One buffer. `number` names it to its connection; `busy` while a save reads it or is about to fill it."""

    number: int
    fd: int
    size_bytes: int
    uid: int
    connection: int
    busy: bool = True


@dataclass(frozen=True, slots=True)
class Taken:
    """A buffer for a save; `fresh` where its connection doesn't know it yet, `dropped` are those that are gone."""

    buffer: Buffer
    fresh: bool
    dropped: tuple[int, ...]


class Pool:
    """All staging buffers of one daemon, on the loop's thread. The limits are asked each time, in bytes."""

    def __init__(self, node_bytes_max: Callable[[], int], user_bytes_max: Callable[[], int]) -> None:
        self._node_bytes_max = node_bytes_max
        self._user_bytes_max = user_bytes_max
        self._buffers: dict[int, Buffer] = {}
        self._next = 1

    @property
    def size_bytes(self) -> int:
        """Bytes of all buffers."""
        return sum(buffer.size_bytes for buffer in self._buffers.values())

    def take(self, connection: int, uid: int, size_bytes: int) -> Taken:
        """A buffer of at least so many bytes: a warm one where there is one. NoSpace where the limits are reached."""
        idle = [buffer for buffer in self._buffers.values() if buffer.connection == connection and not buffer.busy]
        fitting = [buffer for buffer in idle if buffer.size_bytes >= size_bytes]
        if fitting:
            warm = min(fitting, key=lambda buffer: buffer.size_bytes)
            warm.busy = True
            return Taken(warm, False, ())
        # What is too small now was outgrown.
        for buffer in idle:
            self._close(buffer)
        return Taken(self._make(connection, uid, class_bytes(size_bytes)), True, tuple(one.number for one in idle))

    def _make(self, connection: int, uid: int, size_bytes: int) -> Buffer:
        node, user = self._node_bytes_max(), self._user_bytes_max()
        of_user = sum(buffer.size_bytes for buffer in self._buffers.values() if buffer.uid == uid)
        for used, limit, whose in ((self.size_bytes, node, "node's"), (of_user, user, "user's")):
            if used + size_bytes > limit:
                raise NoSpace(
                    f"the {whose} staging buffers have {used} of {limit} bytes, and {size_bytes} more are asked for",
                    hint="send the parts in pieces (part.write), or raise staging.share",
                )
        fd = os.memfd_create("ckptd-staging", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size_bytes)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        except OSError:
            os.close(fd)
            raise
        buffer = Buffer(self._next, fd, size_bytes, uid, connection)
        self._next += 1
        self._buffers[buffer.number] = buffer
        return buffer

    def give_back(self, buffer: Buffer) -> None:
        """A save has done with it; it stays for the next, or goes where its connection has."""
        buffer.busy = False
        if buffer.connection < 0:
            self._close(buffer)

    def release(self, connection: int, number: int) -> bool:
        """Close an idle buffer that its connection no longer wants; False where it has no such one."""
        buffer = self._buffers.get(number)
        if buffer is None or buffer.connection != connection or buffer.busy:
            return False
        self._close(buffer)
        return True

    def drop(self, connection: int) -> None:
        """A connection ended: its buffers go, those that a save still reads when that is done."""
        for buffer in [one for one in self._buffers.values() if one.connection == connection]:
            if buffer.busy:
                buffer.connection = -1
            else:
                self._close(buffer)

    def close(self) -> None:
        """Give everything back."""
        for buffer in tuple(self._buffers.values()):
            self._close(buffer)

    def _close(self, buffer: Buffer) -> None:
        del self._buffers[buffer.number]
        os.close(buffer.fd)
