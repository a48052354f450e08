"""The daemon under test as a process: started, killed, started again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from ckptclient import calls
from ckptclient.errors import CkptdError
from ckptclient.sync import Client
from tests.waiting import wait_until


class Daemon:
    """One store's daemon. `module` is what is run: the real one, or a broken one."""

    def __init__(self, store: Path, socket: Path, log: Path, module: str = "ckptd") -> None:
        self.socket = socket
        self._command = [sys.executable, "-m", module, "--private", "--store", str(store), "--socket", str(socket)]
        self._command += ["--set", "idle_exit=0", "--set", "store.limit=0"]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "CKPTD_AUTOSTART": "0"},
            )
        wait_until(self._answers, 30)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the daemon ended with {self._process.returncode}; see {self._log}"
        try:
            with Client(str(self.socket), on_unavailable="raise") as client:
                client.call(calls.ping())
        except CkptdError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)
