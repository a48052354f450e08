"""Frames on their way to a peer: what waits, and what the kernel takes of it in one call.

Descriptors ride with the first byte of the frame that announces them, so such a frame begins a call of its own. They
belong to the queue from `add` on, and are closed once they have left or nobody will read them.
"""

import array
import os
import socket
from collections.abc import Sequence
from typing import Final

_FRAMES_ONE_CALL_MAX: Final = 512
"""Below IOV_MAX."""


class Outgoing:
    """The frames that wait, in order; the first may have left in part."""

    __slots__ = ("_frames", "_gone", "_passing", "size_bytes")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._gone = 0
        self._passing: dict[int, Sequence[int]] = {}  # the number of a frame, counted from the first: its descriptors
        self.size_bytes = 0

    def add(self, frame: bytes, descriptors: Sequence[int] = ()) -> None:
        """Put a frame behind the others."""
        if descriptors:
            self._passing[self._gone + len(self._frames)] = descriptors
        self._frames.append(frame)
        self.size_bytes += len(frame)

    def send(self, sock: socket.socket) -> int:
        """Give the kernel what it takes now; answers how many frames have left whole. Raises OSError at a broken one."""
        frames = self._frames
        try:
            if self._passing:
                sent = self._pass(sock)
            else:
                sent = sock.send(frames[0]) if len(frames) == 1 else sock.sendmsg(frames[:_FRAMES_ONE_CALL_MAX])
        except (BlockingIOError, InterruptedError):
            return 0
        self.size_bytes -= sent
        whole = 0
        for frame in frames:
            if sent < len(frame):
                break
            sent -= len(frame)
            whole += 1
        del frames[:whole]
        self._gone += whole
        if sent:
            frames[0] = frames[0][sent:]
        return whole

    def _pass(self, sock: socket.socket) -> int:
        """Send up to the next frame with descriptors, or that one with them."""
        number = min(self._passing)
        before = number - self._gone
        if before:
            return sock.sendmsg(self._frames[: min(before, _FRAMES_ONE_CALL_MAX)])
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", self._passing[number]))
        sent = sock.sendmsg(self._frames[:1], [rights])
        _close(self._passing.pop(number))
        return sent

    def clear(self) -> None:
        """Forget them: nobody will read them."""
        self._gone += len(self._frames)
        self._frames.clear()
        self.size_bytes = 0
        for descriptors in self._passing.values():
            _close(descriptors)
        self._passing.clear()


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
