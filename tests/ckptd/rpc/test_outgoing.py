"""Frames leave whole and in order, however little the kernel takes."""

import os
import socket

from hypothesis import given, strategies as st

from ckptd.rpc.outgoing import Outgoing
from tests.ckptd.rpc.serving import open_descriptors


class Kernel:
    """A socket that takes as many bytes at a time as it is told; 0 is a full buffer."""

    def __init__(self, takes: list[int]) -> None:
        self.takes, self.taken = takes, b""

    def send(self, frame: bytes) -> int:
        if not (count := self.takes.pop(0) if self.takes else len(frame)):
            raise BlockingIOError
        self.taken += frame[:count]
        return min(count, len(frame))

    def sendmsg(self, frames: list[bytes]) -> int:
        return self.send(b"".join(frames))


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1), st.lists(st.integers(0, 25)))
def test_every_byte_leaves_once_and_in_order(frames: list[bytes], takes: list[int]) -> None:
    kernel, out, whole = Kernel(takes), Outgoing(), 0
    for frame in frames:
        out.add(frame)
    while out.size_bytes:
        whole += out.send(kernel)  # type: ignore[arg-type]
        assert out.size_bytes == sum(map(len, frames)) - len(kernel.taken)
        assert b"".join(frames[:whole]) == kernel.taken[: sum(map(len, frames[:whole]))]
    assert kernel.taken == b"".join(frames)
    assert whole == len(frames)


def test_descriptors_ride_with_their_own_frame_and_are_closed_behind_it() -> None:
    ours, theirs = socket.socketpair()
    before = open_descriptors()
    out = Outgoing()
    frames = [b"first", b"second", b"third", b"fourth"]
    for frame in frames:
        out.add(frame, [os.dup(ours.fileno()), os.dup(0)] if frame == b"third" else ())
    while out.size_bytes:
        out.send(ours)
    assert open_descriptors() == before
    data, came = b"", 0
    while len(data) < len(b"".join(frames)):
        piece, descriptors, _, _ = socket.recv_fds(theirs, 100, 16)
        # The kernel may hand over what stands before them in the same read, and nothing behind the frame.
        assert bool(descriptors) == (len(data) <= len(b"firstsecond") < len(data + piece))
        data, came = data + piece, came + len(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
    assert (data, came) == (b"".join(frames), 2)
    ours.close()
    theirs.close()


def test_descriptors_that_nobody_will_read_are_closed() -> None:
    before = open_descriptors()
    out = Outgoing()
    out.add(b"a", [os.dup(0)])
    out.clear()
    assert (open_descriptors(), out.size_bytes) == (before, 0)


def test_more_frames_than_one_call_takes() -> None:
    ours, theirs = socket.socketpair()
    out = Outgoing()
    for number in range(2000):
        out.add(number.to_bytes(2, "big"))
    with ours, theirs:
        while out.size_bytes:
            assert out.send(ours) <= 512
        assert theirs.recv(8000) == b"".join(number.to_bytes(2, "big") for number in range(2000))


def test_what_is_forgotten_leaves_no_more() -> None:
    out = Outgoing()
    out.add(b"frame")
    out.clear()
    assert out.size_bytes == 0
