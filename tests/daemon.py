"""A real daemon for a test: its own process, its own store, killed and started again as the test wants.

`from tests.daemon import daemon  # noqa: F401` makes the fixture known to a module.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from ckptclient import calls
from ckptclient.errors import CkptdError
from ckptclient.manager import CheckpointManager
from ckptclient.sync import Client
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 20.0


class RunningDaemon:
    """`python -m ckptd` over one store; what clients it gave out are closed with it."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self.store = directory / "store"
        self.socket = directory / "ckptd.sock"
        self.log = directory / "log"
        self.settings = dict(settings)
        self._given: list[Client | CheckpointManager] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self._process is not None, "it is not running"
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "ckptd", "--store", str(self.store), "--socket", str(self.socket)]
        for key, value in self.settings.items():
            command += ["--set", f"{key}={value}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, START_SECONDS)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    @contextmanager
    def beside(self, store: Path) -> "Iterator[RunningDaemon]":
        """Another one over a store that is there, while the block runs."""
        with tempfile.TemporaryDirectory(prefix="ckptd-test-") as directory:
            one = RunningDaemon(Path(directory), self.settings)
            one.store = store
            try:
                one.start()
                yield one
            finally:
                one.close()

    def client(self, **terms: object) -> Client:
        """A client of it."""
        client = Client(self.socket, **terms)  # type: ignore[arg-type]
        self._given.append(client)
        return client

    def manager(self, **terms: object) -> CheckpointManager:
        """A manager of it."""
        manager = CheckpointManager(socket_path=self.socket, **terms)  # type: ignore[arg-type]
        self._given.append(manager)
        return manager

    def close(self) -> None:
        """End everything that it gave out, and itself."""
        for one in self._given:
            for client in one.clients if isinstance(one, CheckpointManager) else (one,):
                client.close()
        if self._process is not None:
            self.stop()

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None, "it is not running"
        self._process.send_signal(number)
        status = self._process.wait(START_SECONDS)
        self._process = None
        return status

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the daemon ended:\n{self.log.read_text()}"
        with Client(self.socket, on_unavailable="raise") as client:
            try:
                client.call(calls.ping())
            except CkptdError:
                return False
        return True


@contextmanager
def running() -> Iterator[RunningDaemon]:
    """A running daemon with an empty store."""
    # Not under tmp_path, whose length leaves no room for a socket's name.
    with tempfile.TemporaryDirectory(prefix="ckptd-test-") as directory:
        one = RunningDaemon(Path(directory), {"log.level": "warning", "store.reserve": "0"})
        try:
            one.start()
            yield one
        finally:
            one.close()


@pytest.fixture
def daemon() -> Iterator[RunningDaemon]:
    """A daemon of the test's own."""
    with running() as one:
        yield one


@pytest.fixture(scope="module")
def shared_daemon() -> Iterator[RunningDaemon]:
    """One for all tests of a module, which keep to process ids of their own and don't kill it."""
    with running() as one:
        yield one


def environment(daemon: RunningDaemon) -> dict[str, str]:
    """The environment for a program that works with a daemon."""
    return {**os.environ, "CKPTD_SOCKET": str(daemon.socket), "PYTHONPATH": str(ROOT)}
