"""Runs a program as a user would, against a private daemon on a store of its own; owns nothing else."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ckptclient import CkptdError, Client, calls
from ckptclient.discovery import places

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 120


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with a store, and the environment that leads to it."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *argv: str, status: int = 0) -> str:
        """What a Python program printed; fails the test when it ends otherwise than it should."""
        return self._ends((sys.executable, *argv), status)

    def shell(self, script: str) -> str:
        """The same for a shell script, which finds `ckptctl` where the interpreter is."""
        return self._ends(("sh", script), 0)

    def socket(self) -> str:
        """Where the private daemon of this place listens."""
        return places(self.environment)[0].path

    def _ends(self, command: Sequence[str], status: int) -> str:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert ended.returncode == status, f"{command} ended with {ended.returncode}:\n{ended.stdout}"
        return ended.stdout


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """A place under a folder; the private daemon that a program started there is stopped at the end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CKPTD_", "CHECKPOINT_", "COV_"))}
    store = str(folder / "store")
    added = {
        "CHECKPOINT_STORAGE_PATH": store,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    try:
        yield Place(folder, kept | added)
    finally:
        with suppress(CkptdError), Client(storage_path=store, on_unavailable="raise") as client:
            os.kill(client.call(calls.status()).pid, signal.SIGTERM)
