"""The daemon's side of the service manager's protocol, against a manager that is a datagram socket."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ckptd import sd


class Manager:
    """Takes what is said, and the descriptors with it."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(10)
        self.socket.bind(address)

    def heard(self) -> tuple[list[str], list[int]]:
        message, fds, _, _ = socket.recv_fds(self.socket, 4096, 16)
        return message.decode().split("\n"), list(fds)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    one = Manager(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with one.socket:
        yield one


def open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


SAID = [
    (("READY=1", "STATUS=serving 3 workers"), ["READY=1", "STATUS=serving 3 workers"]),
    (("WATCHDOG=1",), ["WATCHDOG=1"]),
    (("STOPPING=1",), ["STOPPING=1"]),
    (("STATUS=a\nSTOPPING=1",), ["STATUS=a STOPPING=1"]),
    (("STATUS=größer",), ["STATUS=größer"]),
]


@pytest.mark.parametrize(("assignments", "heard"), SAID)
def test_what_is_said_is_heard(manager: Manager, assignments: tuple[str, ...], heard: list[str]) -> None:
    assert sd.notify(*assignments)
    assert manager.heard() == (heard, [])


def test_a_reload_states_the_time_of_the_monotonic_clock(manager: Manager) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert sd.reloading()
    (reloading, stated), _ = manager.heard()
    assert reloading == "RELOADING=1"
    assert before <= int(stated.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_descriptors_are_left_and_taken_back(manager: Manager) -> None:
    reader, writer = os.pipe()
    try:
        assert sd.store("worker-7", [writer])
        said, fds = manager.heard()
        assert said == ["FDSTORE=1", "FDNAME=worker-7", "FDPOLL=0"]
        os.write(fds[0], b"the same pipe")
        os.close(fds[0])
        assert os.read(reader, 100) == b"the same pipe"
    finally:
        os.close(reader)
        os.close(writer)
    assert sd.unstore("worker-7")
    assert manager.heard() == (["FDSTOREREMOVE=1", "FDNAME=worker-7"], [])


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "ä", "x" * 256])
def test_a_name_that_the_manager_would_drop_is_refused(manager: Manager, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        sd.store(name, [])


def test_more_descriptors_than_a_message_takes_are_refused(manager: Manager) -> None:
    with pytest.raises(ValueError, match="253"):
        sd.notify("FDSTORE=1", fds=range(254))


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "/nonexistent/notify", "@nobody-listens-here"])
def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    before = open_fds()
    assert not sd.notify("READY=1")
    assert not sd.barrier(0.0)
    assert open_fds() == before


def test_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"ckptd-test-{os.getpid()}"
    manager = Manager(f"\0{name}")
    with manager.socket:
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert sd.notify("READY=1")
        assert manager.heard() == (["READY=1"], [])


def test_a_barrier_lasts_until_the_manager_comes_to_it(manager: Manager) -> None:
    def work_off() -> None:
        said, fds = manager.heard()
        assert said == ["BARRIER=1"]
        os.close(fds[0])

    thread = threading.Thread(target=work_off)
    thread.start()
    assert sd.barrier(10.0)
    thread.join()


def test_a_barrier_gives_up(manager: Manager) -> None:
    before = open_fds()
    assert not sd.barrier(0.001)
    assert open_fds() == before
    _, fds = manager.heard()  # it was told, and holds our end open
    os.close(fds[0])


PASSED = """
import os
from ckptd import sd
os.environ["LISTEN_PID"] = str(os.getpid())
found = sd.listen_fds()
print(found, [os.get_inheritable(fd) for fds in found.values() for fd in fds], sd.listen_fds(), "LISTEN_FDS" in os.environ)
"""


def test_descriptors_that_were_passed_are_found_by_name() -> None:
    """In a process of its own, because the protocol starts at descriptor 3 and means this very process."""
    reader, writer = os.pipe()
    program = f"exec {sys.executable} -c '{PASSED}' 3<&{reader} 4<&{reader} 5<&{reader}"
    try:
        said = subprocess.run(
            ["bash", "-c", program],
            env={**os.environ, "LISTEN_FDS": "3", "LISTEN_FDNAMES": "ckptd.socket:worker:worker"},
            pass_fds=[reader],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
    finally:
        os.close(reader)
        os.close(writer)
    assert said.strip() == "{'ckptd.socket': [3], 'worker': [4, 5]} [False, False, False] {} False"


NOT_PASSED = [
    {},
    {"LISTEN_FDS": "1"},
    {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
    {"LISTEN_FDS": "many", "LISTEN_PID": str(os.getpid())},
    {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())},
]


@pytest.mark.parametrize("environ", NOT_PASSED)
def test_descriptors_of_another_process_are_not_taken(environ: dict[str, str]) -> None:
    left = dict(environ)
    assert sd.listen_fds(left) == {}
    assert not left


WATCHDOG = [
    ({}, None),
    ({"WATCHDOG_USEC": "20000000"}, 20_000_000),
    ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 20_000_000),
    ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
    ({"WATCHDOG_USEC": "0"}, None),
    ({"WATCHDOG_USEC": "soon"}, None),
]


@pytest.mark.parametrize(("environ", "usec"), WATCHDOG)
def test_watchdog(environ: dict[str, str], usec: int | None) -> None:
    assert sd.watchdog_usec(environ) == usec


def test_a_full_queue_is_not_waited_for_beyond_the_limit(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sd, "NOTIFY_SECONDS_MAX", 0.001)
    assert not all(sd.notify("WATCHDOG=1") for _ in range(100_000))
