"""Frames on their way to a peer: what waits, and what the kernel takes of it in one call."""

import socket
from typing import Final

_FRAMES_ONE_CALL_MAX: Final = 512
"""Below IOV_MAX."""


class Outgoing:
    """The frames that wait, in order; the first may have left in part."""

    __slots__ = ("_frames", "size_bytes")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self.size_bytes = 0

    def add(self, frame: bytes) -> None:
        """Put a frame behind the others."""
        self._frames.append(frame)
        self.size_bytes += len(frame)

    def send(self, sock: socket.socket) -> int:
        """Give the kernel what it takes now; answers how many frames have left whole. Raises OSError at a broken one."""
        frames = self._frames
        try:
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
        if sent:
            frames[0] = frames[0][sent:]
        return whole

    def clear(self) -> None:
        """Forget them: nobody will read them."""
        self._frames.clear()
        self.size_bytes = 0
