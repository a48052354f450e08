"""Starts the daemon and the workers, and starts again whatever was killed, as a service manager would."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from examples.demo.worker import PROTECTED, Task

ROOT = Path(__file__).resolve().parents[2]
DAEMON_LOG = "ckptd.log"


class Failed(Exception):
    """Something ended by itself that should not have; the message has what it said last."""


class Crew:
    """The processes of one run: workers and, where it is the protected one, the daemon on a store of its own."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._tally = task.tally()
        self._shares = [len(task.files(worker)) for worker in range(task.workers)]
        self._socket = task.folder / "ckptd.sock"
        self._daemon: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes] | None] = [None] * task.workers
        self.lives = [0] * task.workers
        """How often each worker was started."""
        self.daemon_lives = 0

    def __enter__(self) -> Self:
        if self._task.name == PROTECTED:
            self._start_daemon()
        for worker in range(self._task.workers):
            self._start_worker(worker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for one in (*self._workers, self._daemon):
            if one is not None:
                one.terminate() if one is self._daemon and error is None else one.kill()
        for one in (*self._workers, self._daemon):
            if one is not None:
                one.wait()

    @property
    def socket(self) -> str:
        """Where the daemon of this run listens."""
        return str(self._socket)

    def at_work(self) -> list[int]:
        """The workers that have files left."""
        left = (share - row.position for share, row in zip(self._shares, self._tally, strict=True))
        return [worker for worker, (one, files) in enumerate(zip(self._workers, left, strict=True)) if one and files]

    def done(self) -> bool:
        """Whether every worker has ended well."""
        return not any(self._workers)

    def kill_worker(self, worker: int) -> None:
        """SIGKILL, and wait until it is gone."""
        _kill(self._workers[worker])

    def kill_daemon(self) -> None:
        """SIGKILL, and wait until it is gone."""
        _kill(self._daemon)

    def tend(self) -> None:
        """Start again what was killed. Raises `Failed` where anything ended otherwise."""
        if self._daemon is not None and self._daemon.poll() is not None:
            self._expect(self._daemon, "the daemon", self._task.folder / DAEMON_LOG)
            self._start_daemon()
        for worker, one in enumerate(self._workers):
            if one is None or one.poll() is None:
                continue
            if one.returncode == 0:
                self._workers[worker] = None
            else:
                self._expect(one, f"worker {worker + 1}", self._log(worker))
                self._start_worker(worker)

    def _start_daemon(self) -> None:
        self.daemon_lives += 1
        store = str(self._task.folder / "store")
        command = [sys.executable, "-m", "ckptd", "--private", "--store", store, "--socket", self.socket]
        self._daemon = _start(command, self._task.folder / DAEMON_LOG, {})

    def _start_worker(self, worker: int) -> None:
        self.lives[worker] += 1
        command = self._task.argv(worker, self.lives[worker])
        self._workers[worker] = _start(command, self._log(worker), {"CKPTD_SOCKET": self.socket})

    def _log(self, worker: int) -> Path:
        return self._task.folder / f"{self._task.name}-{worker}.log"

    def _expect(self, one: subprocess.Popen[bytes], name: str, log: Path) -> None:
        if one.returncode != -signal.SIGKILL:
            said = log.read_text(errors="replace").strip() or "it said nothing"
            raise Failed(f"{name} ended with {one.returncode}:\n{said[-2000:]}")


def _start(command: Sequence[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as said:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=ROOT, env={**os.environ, **environment}
        )


def _kill(one: subprocess.Popen[bytes] | None) -> None:
    if one is not None:
        one.kill()
        one.wait()
