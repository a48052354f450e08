"""Peers that mean harm: the daemon lives, what it holds for them is bounded, and who is beside them doesn't notice."""

import contextlib
import os
import resource
import select
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest

from tests.ckptd.running import PlainClient, RunningDaemon, frame, running
from tests.waiting import wait_until

MIB = 1 << 20

GROWTH_BYTES_MAX = 48 * MIB
"""What all of them together may cost: far below what any one of them announces or sends."""


@pytest.fixture(scope="module", autouse=True)
def _descriptors() -> Iterator[None]:
    """More connections than the usual soft limit allows this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    limits = ("--set", "limits.write_deadline=200 ms", "--set", "limits.connection_bytes_max=4 MiB")
    with running(tmp_path_factory.mktemp("hostile"), *limits) as started:
        yield started


def nested(depth: int) -> bytes:
    body = bytes([0x94, 0, 9]) + msgpack.packb("ping") + b"\x91" * depth + b"\xc0"
    return struct.pack(">I", len(body)) + body


def huge_length(peer: PlainClient) -> None:
    peer.socket.sendall(b"\xff\xff\xff\xff" + bytes(1000))
    assert peer.ended()


def length_of_zero(peer: PlainClient) -> None:
    peer.socket.sendall(bytes(4))
    assert peer.ended()


def half_a_frame(peer: PlainClient) -> None:
    peer.socket.sendall(struct.pack(">I", MIB) + bytes(MIB // 2))


def garbage(peer: PlainClient) -> None:
    peer.socket.sendall(struct.pack(">I", 5) + b"\xc1garb")
    assert peer.ended()


def many_elements_announced(peer: PlainClient) -> None:
    peer.socket.sendall(struct.pack(">I", 5) + b"\xdd\xff\xff\xff\xff")
    assert peer.ended()


def deep_nesting(peer: PlainClient) -> None:
    peer.socket.sendall(nested(5000))
    assert peer.ended()


def a_reply(peer: PlainClient) -> None:
    peer.socket.sendall(frame([1, 1, None, {}]))
    assert peer.ended()


def hello_twice(peer: PlainClient) -> None:
    peer.socket.sendall(frame([0, 5, "hello", {"versions": [1], "client": "x", "session": bytes(16)}]))
    assert peer.ended()


def one_id_twice(peer: PlainClient) -> None:
    wait = frame([0, 5, "events.read", {"since": 1 << 40, "wait_seconds": 60.0}])
    peer.socket.sendall(wait + wait)
    assert peer.ended()


def unknown_methods(peer: PlainClient) -> None:
    for number in range(200):
        assert peer.call(f"no.such.{number}")["code"] == "USAGE"
    assert peer.call("__class__")["code"] == "USAGE"


def one_byte_at_a_time(peer: PlainClient) -> None:
    for byte in frame([0, 5, "ping", {}]):
        peer.socket.sendall(bytes([byte]))
    assert peer.receive() is not None


def uninvited_descriptors(peer: PlainClient) -> None:
    ours = [os.open("/dev/null", os.O_RDONLY) for _ in range(100)]
    try:
        socket.send_fds(peer.socket, [frame([0, 5, "ping", {}])], ours)
        assert peer.ended()
    finally:
        for fd in ours:
            os.close(fd)


def never_reading(peer: PlainClient) -> None:
    # Each answer is small and so is each request, but nobody takes the answers: reading stops, then the end.
    peer.socket.settimeout(0.1)
    asked = b"".join(frame([0, 10 + number, "no.such.method", {}]) for number in range(500_000))
    with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
        peer.socket.sendall(asked)
        pytest.fail("the daemon took all of it")
    hung_up = select.poll()
    hung_up.register(peer.socket, select.POLLHUP)
    wait_until(lambda: hung_up.poll(0))


def uploads_that_never_end(peer: PlainClient) -> None:
    upload = peer.call("upload.open", parts=[["state", b"", 64 * MIB]])["upload"]
    for offset in range(0, 16 * MIB, MIB // 2):
        assert peer.call("part.write", upload=upload, part=0, offset=offset, data=bytes(MIB // 2)) == {}


ATTACKS: list[Callable[[PlainClient], None]] = [
    huge_length, length_of_zero, half_a_frame, garbage, many_elements_announced, deep_nesting, a_reply, hello_twice,
    one_id_twice, unknown_methods, one_byte_at_a_time, uninvited_descriptors, never_reading, uploads_that_never_end,
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_costs_nobody_else_anything(daemon: RunningDaemon, attack: Callable[[PlainClient], None]) -> None:
    beside = daemon.client()
    held = beside.mutate("process.register", process_id=attack.__name__)["token"]
    before = daemon.descriptor_count()
    resident = daemon.resident_bytes()
    for _ in range(5):
        peer = daemon.client()
        attack(peer)
        assert beside.mutate("checkpoint.save", token=held, parts=[["state", b"", b"good"]])["level"] == "disk"
        peer.close()
    # This test's own process is one worker, so that its pidfd is there already: exactly what came has gone.
    wait_until(lambda: daemon.descriptor_count() == before)
    assert daemon.resident_bytes() - resident < GROWTH_BYTES_MAX
    beside.close()


FIRST = {
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "another request": frame([0, 1, "ping", {}]),
    "a notification": frame([2, "hello", {}]),
    "an empty hello": frame([0, 1, "hello", {}]),
    "deep nesting": nested(60),
}


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST.keys())
def test_who_doesnt_begin_with_a_right_hello_is_let_go(daemon: RunningDaemon, first: bytes) -> None:
    peer = daemon.client(hello=False)
    peer.socket.sendall(first)
    assert peer.ended()
    peer.close()


def test_a_thousand_idle_and_two_hundred_active_connections_are_served(daemon: RunningDaemon) -> None:
    idle = [daemon.client() for _ in range(1000)]
    active = [daemon.client() for _ in range(200)]
    for turn in range(5):
        asked = frame([0, 1000 + turn, "ping", {}])
        for one in active:
            one.socket.sendall(asked)
        for one in active:
            answer = one.receive()
            assert answer is not None
            assert answer[:3] == [1, 1000 + turn, None]
    assert idle[-1].call("store.status")["connections"] == 1200
    for one in (*idle, *active):
        one.close()
    last = daemon.client()
    wait_until(lambda: last.call("store.status")["connections"] == 1)
    last.close()


def test_more_than_there_may_be_are_told_so(tmp_path: Path) -> None:
    few = ("--set", "limits.connections_max=4", "--set", "limits.operator_slots=1")
    with running(tmp_path, *few) as daemon:
        inside = [daemon.client()]
        wait_until(lambda: inside[0].call("store.status")["connections"] == 1)
        inside += [daemon.client() for _ in range(3)]
        assert all("server" in one.welcome for one in inside)
        beyond = daemon.client()
        assert (beyond.welcome["code"], beyond.welcome["retryable"]) == ("BUSY", True)
        assert beyond.ended()
        inside[0].close()

        def gets_in() -> bool:
            another = daemon.client()
            another.close()
            return "server" in another.welcome

        wait_until(gets_in)
        for one in (beyond, *inside):
            one.close()
