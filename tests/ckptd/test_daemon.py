"""The daemon's life, as a process of its own."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest

from ckptd import daemon as daemons
from tests.ckptd.running import PlainClient, RunningDaemon, running
from tests.fakes import FakeClock, settle
from tests.waiting import wait_until


class Manager:
    """Hears what the daemon says to its service manager."""

    def __init__(self, path: Path) -> None:
        self.environ = {"NOTIFY_SOCKET": str(path)}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(30)

    def hears(self) -> list[str]:
        return self.socket.recv(1 << 16).decode().splitlines()

    def hears_of(self, word: str) -> list[str]:
        """The next message that has this word."""
        while True:
            message = self.hears()
            if word in message:
                return message


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


def stop_while_saving(daemon: RunningDaemon, clients: int) -> list[list[str]]:
    """Clients save as fast as they can until the daemon, told to stop in the middle of it, hangs up: what it acknowledged."""
    acknowledged: list[list[str]] = [[] for _ in range(clients)]

    def save(number: int) -> None:
        client = daemon.client()
        token = client.mutate("process.register", process_id=f"p{number}")["token"]
        with contextlib.suppress(OSError, AssertionError):
            while "code" not in (
                saved := client.mutate("checkpoint.save", token=token, parts=[["state", b"", b"x" * 999]])
            ):
                acknowledged[number].append(saved["checkpoint_id"])
        client.close()

    threads = [threading.Thread(target=save, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(len(one) > 20 for one in acknowledged))
    assert daemon.stop() == 0
    for thread in threads:
        thread.join()
    return acknowledged


def checkpoints(client: PlainClient, process_id: str) -> set[str]:
    found: set[str] = set()
    page = client.call("checkpoint.list", process_id=process_id, limit=1000)
    while True:
        found |= {one["checkpoint_id"] for one in page["checkpoints"]}
        if page["next"] is None:
            return found
        page = client.call("checkpoint.list", process_id=process_id, limit=1000, after=page["next"])


def test_a_stop_in_the_middle_of_saves_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        acknowledged = stop_while_saving(daemon, 4)
        assert not daemon.socket_path.exists()
    with running(tmp_path) as daemon:
        client = daemon.client()
        for number, ids in enumerate(acknowledged):
            kept = checkpoints(client, f"p{number}")
            assert set(ids) <= kept
            assert len(kept) <= len(ids) + 1  # at most the one whose answer was on its way
        client.close()


def test_a_stop_ends_long_waits_with_a_word(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        client = daemon.client()
        client.socket.sendall(b"")
        told: Future[Any] = Future()

        def wait() -> None:
            told.set_result(client.call("events.read", since=1 << 40, wait_seconds=60.0))

        waiting = threading.Thread(target=wait)
        waiting.start()
        other = daemon.client()
        assert other.call("store.status")["connections"] == 2
        assert daemon.stop() == 0
        waiting.join()
        assert (told.result()["code"], told.result()["retryable"]) == ("DRAINING", True)
        client.close()
        other.close()


def test_a_second_daemon_on_the_same_store_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        second = RunningDaemon(tmp_path, "--set", f"socket={tmp_path}/other.sock")
        assert second.process.wait(30) == 75
        assert f"another daemon (pid {first.process.pid}) has the store" in second.said()
        assert "Traceback" not in second.said()
        assert first.answers()


def test_one_of_many_that_start_at_once_serves(tmp_path: Path) -> None:
    daemons = [RunningDaemon(tmp_path) for _ in range(6)]
    try:
        daemons[0].wait_answer()
        wait_until(lambda: sum(one.process.poll() is None for one in daemons) == 1)
        assert sorted(one.process.poll() or 0 for one in daemons) == [0, 75, 75, 75, 75, 75]
        assert daemons[0].answers()
    finally:
        for one in daemons:
            one.stop(signal.SIGKILL)


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        assert daemon.stop() == 0
    catalog = apsw.Connection(str(tmp_path / "store" / "catalog.db"))
    catalog.execute("UPDATE store SET v=999 WHERE k='format'")
    catalog.close()
    newer = RunningDaemon(tmp_path)
    assert newer.process.wait(30) == 78
    assert "format 999" in newer.said()
    assert "Traceback" not in newer.said()


def test_a_killed_daemon_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        daemon.stop(signal.SIGKILL)
        assert daemon.socket_path.exists()
    with running(tmp_path) as daemon:
        assert daemon.answers()


def test_a_dead_worker_is_noticed_and_its_process_interrupted(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.ckptd.running import PlainClient\n"
        "client = PlainClient(Path(sys.argv[1])); client.mutate('process.register', process_id='p')\n"
        "print('holds it', flush=True); sys.stdin.read()\n"
    )
    with running(tmp_path) as daemon:
        worker = subprocess.Popen(
            [sys.executable, "-c", script, str(daemon.socket_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"holds it\n"
            client = daemon.client()
            assert client.call("process.show", process_id="p")["state"] == "running"
            worker.kill()
        wait_until(lambda: client.call("process.show", process_id="p")["state"] == "interrupted")
        client.close()


def test_a_private_daemon_ends_when_nobody_is_left(tmp_path: Path) -> None:
    with running(tmp_path, "--set", "idle_exit=1 s") as daemon:
        client = daemon.client()
        assert client.call("ping")
        client.close()
        assert daemon.process.wait(30) == 0
        assert "nobody is connected" in daemon.said()


def test_a_private_daemon_ends_with_its_store(tmp_path: Path) -> None:
    with running(tmp_path, "--set", "idle_exit=0") as daemon:
        client = daemon.client()
        shutil.rmtree(daemon.store_path)
        assert daemon.process.wait(30) == 0
        assert "the store's directory is gone" in daemon.said()
        client.close()


def test_a_reload_takes_what_it_can_and_names_what_waits(tmp_path: Path, manager: Manager) -> None:
    file = tmp_path / "ckptd.toml"
    file.write_text('[cleanup]\ninterval = "1 h"\n')
    with running(tmp_path, "--config", str(file), environ=manager.environ) as daemon:
        manager.hears_of("READY=1")
        client = daemon.client()

        def interval() -> str:
            shown: dict[str, str] = {key: text for key, text, _ in client.call("config.show")["settings"]}
            return shown["cleanup.interval"]

        before = interval()
        file.write_text('[cleanup]\ninterval = "2 h"\n[limits]\nrequests_max = 7\n')
        daemon.process.send_signal(signal.SIGHUP)
        assert manager.hears_of("RELOADING=1")
        manager.hears_of("READY=1")
        assert interval() != before
        assert '"changed":["cleanup.interval"],"needs_restart":["limits.requests_max"]' in daemon.said()
        file.write_text("[cleanup]\ninterval = 'soon'\n")
        daemon.process.send_signal(signal.SIGHUP)
        manager.hears_of("READY=1")
        assert "the configuration was not reloaded" in daemon.said()
        assert client.call("ping")
        client.close()


def test_the_manager_hears_of_readiness_and_of_the_end(tmp_path: Path, manager: Manager) -> None:
    with running(tmp_path, environ=manager.environ) as daemon:
        assert manager.hears() == ["READY=1", f"STATUS=serving {daemon.store_path} at {daemon.socket_path}"]
        assert daemon.stop() == 0
        assert "STOPPING=1" in manager.hears_of("STOPPING=1")


def test_the_watchdog_is_fed(tmp_path: Path, manager: Manager) -> None:
    with running(tmp_path, environ={**manager.environ, "WATCHDOG_USEC": "100000"}):
        for _ in range(3):
            assert manager.hears_of("WATCHDOG=1")


ACTIVATED = """
import os, sys
descriptor, *command = sys.argv[1:]
os.dup2(int(descriptor), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="ckptd.socket")
os.execv(sys.executable, [sys.executable, "-m", "ckptd", *command])
"""


def test_a_socket_that_systemd_passes_is_taken_and_left(tmp_path: Path) -> None:
    path = tmp_path / "activated.sock"
    with socket.socket(socket.AF_UNIX) as systemds:
        systemds.bind(str(path))
        systemds.listen()
        early = PlainClient(path, hello=False)  # waits in the backlog before there is a daemon
        command = [sys.executable, "-c", ACTIVATED, str(systemds.fileno()), "--private"]
        command += ["--store", str(tmp_path / "store"), "--socket", str(tmp_path / "unused.sock")]
        process = subprocess.Popen(command, pass_fds=[systemds.fileno()], stderr=subprocess.DEVNULL)
        try:
            assert early.call("hello", versions=[1], client="early", session=bytes(16))["version"] == 1
            assert not (tmp_path / "unused.sock").exists()
        finally:
            early.close()
            process.terminate()
            assert process.wait(30) == 0
        assert path.exists()


def test_a_failed_store_ends_the_process_at_once() -> None:
    script = (
        "from ckptd.daemon import fatal\nfrom ckptd.errors import StoreFailed\n"
        "try:\n    fatal(StoreFailed('a sync failed'))\nfinally:\n    print('not said')\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (74, b"")


@pytest.mark.parametrize("answers", [True, False])
async def test_the_watchdog_starves_when_the_committer_does(monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:
    fed: list[str] = []
    monkeypatch.setattr("ckptd.sd.watchdog_usec", lambda: 10_000_000)
    monkeypatch.setattr("ckptd.sd.notify", lambda *words: fed.extend(words))

    def run(_work: object) -> "Future[None]":
        future: Future[None] = Future()
        if answers:
            future.set_result(None)
        return future

    clock = FakeClock()
    store: Any = SimpleNamespace(committer=SimpleNamespace(run=run))
    unused: Any = None
    daemon = daemons.Daemon(unused, unused, clock, unused, private=True)
    feeding = asyncio.get_running_loop().create_task(daemon._feed_watchdog(store))
    await settle()
    await clock.advance(20.0)
    assert fed == ["WATCHDOG=1"] * (5 if answers else 0)
    feeding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await feeding


def test_the_lock_is_not_handed_to_children(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        flags, seen = Path(f"/proc/{daemon.process.pid}/fdinfo"), 0
        for fd in os.listdir(flags):
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                if int(fd) > 2:
                    line = next(line for line in (flags / fd).read_text().splitlines() if line.startswith("flags:"))
                    assert int(line.split()[1], 8) & os.O_CLOEXEC, os.readlink(f"/proc/{daemon.process.pid}/fd/{fd}")
                    seen += 1
        assert seen, "the lock is one of them"


async def test_the_manager_hears_of_a_new_level(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("ckptd.sd.notify", lambda *words: told.extend(words))
    unused: Any = None
    medium: Any = SimpleNamespace(path="/store")
    daemon = daemons.Daemon(unused, unused, FakeClock(), medium, private=True)
    daemon._heard_of_health("warning 76: space -24")
    assert told == ["STATUS=warning 76: space -24; serving /store at "]
