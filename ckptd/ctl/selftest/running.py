"""The daemon under test as a process: started, killed, started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ckptclient import calls
from ckptclient.errors import CkptdError, TimedOut
from ckptclient.sync import Client

POLL_SECONDS = 0.005
START_SECONDS = 30.0

SETTINGS: Mapping[str, str] = {"idle_exit": "0", "store.limit": "0", "store.reserve": "0", "log.level": "warning"}
"""It must not end by itself, and not be kept from writing by anything but what is tested."""


class NotSo(TimedOut):
    """The self-test itself can't go on: what it waited for did not happen."""


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Return once `condition()` is true; NotSo after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise NotSo(f"{what}: not so after {seconds:g} s")
        time.sleep(POLL_SECONDS)


class Daemon:
    """One store's daemon. `program` is what is run: `-m ckptd`, or a broken one; `under` a program that runs it."""

    def __init__(
        self,
        store: Path,
        socket: Path,
        log: Path,
        program: Sequence[str] = ("-m", "ckptd"),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.store = store
        self.socket = socket
        self._log = log
        self._command = [sys.executable, *program, "--private", "--store", str(store), "--socket", str(socket)]
        for key, value in {**SETTINGS, **(settings or {})}.items():
            self._command += ["--set", f"{key}={value}"]
        self._process: subprocess.Popen[bytes] | None = None
        self._is_child = True

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """What was started last."""
        if self._process is None:
            raise NotSo("the daemon was never started")
        return self._process

    @property
    def pid(self) -> int:
        """The daemon's own, also under another program: it leaves it beside its lock."""
        return int((self.store / "lock").read_text(encoding="ascii"))

    def begin(self, under: Sequence[str] = ()) -> None:
        """Start it; `under` is the beginning of a command that runs the rest of it as a child."""
        self._is_child = not under
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*under, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "CKPTD_AUTOSTART": "0"},
            )

    def start(self, under: Sequence[str] = ()) -> None:
        """Start it and wait until it answers."""
        self.begin(under)
        wait_until(self._has_begun, START_SECONDS, "the daemon answers")

    def _has_begun(self) -> bool:
        if self.process.poll() is not None:
            raise NotSo(f"the daemon ended with {self.process.returncode}: {self.said()[-2000:]}")
        return self.answers()

    def answers(self) -> bool:
        """Whether somebody serves its socket."""
        try:
            with Client(str(self.socket), on_unavailable="raise") as client:
                client.call(calls.ping())
        except CkptdError:
            return False
        return True

    @property
    def ended(self) -> int | None:
        """Its exit status, None while it runs."""
        return self.process.poll()

    def said(self) -> str:
        """All that it wrote to its log."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Start it, and kill it at the end of the block, however that ends; it may have ended or been stopped before."""
        try:
            self.start()
            yield
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self._send(signal.SIGKILL)
        self.process.wait(START_SECONDS)

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        self._send(signal.SIGTERM)
        return self.process.wait(START_SECONDS)

    def _send(self, number: signal.Signals) -> None:
        if self._is_child:
            self.process.send_signal(number)  # which knows whether it has ended
        elif self.process.poll() is None:
            os.kill(self.pid, number)
