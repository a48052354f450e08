"""ckptd as its users have it: a daemon with a configuration file, everything on, and the client library in each worker.

Saves that keep a history (W4) are checkpoints of many processes made by one program; the others are saves of the one
process that the worker holds, through its handle.
"""

import importlib
import importlib.util
import socket
import sys
from contextlib import ExitStack
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.peers.interface import Place
from benchmarks.server import Server
from benchmarks.states import State

NEEDED = ("ckptd.daemon", "ckptclient.manager", "apsw", "uvloop", "zstandard")
BRIEF_HOURS = 1 / 3600  # a state that is to be expired has ended by the time that its store is full
TASK = "bench"


def configuration(place: Place) -> str:
    """A user's configuration: where the socket and the store are; the rest is as it comes."""
    return f'socket = "{place.scratch}/ckptd.sock"\n[store]\npath = "{place.store}"\n'


class CkptdSession:
    """Typed loosely: the adapters drive the public API as a program without type hints would."""

    def __init__(self, place: Place) -> None:
        ckptclient: Any = importlib.import_module("ckptclient")
        self.place = place
        self.types: Any = ckptclient.CheckpointType
        self.manager: Any = ckptclient.CheckpointManager(
            socket_path=str(place.scratch / "ckptd.sock"), on_unavailable="raise"
        )
        self.held = ExitStack()
        self.processes: dict[str, Any] = {}

    def _process(self, key: str) -> Any:
        if key not in self.processes:
            self.processes[key] = self.held.enter_context(self.manager.process(key, task_id=TASK))
        return self.processes[key]

    def save(self, key: str, version: int, state: State, *, brief: bool = False) -> None:
        if not self.place.history:
            self._process(key).save(state).wait("disk")
            return
        self.manager.create_checkpoint(
            process_id=key,
            task_id=TASK,
            checkpoint_type=self.types.CUSTOM,
            data=state,
            description=str(version),
            ttl_hours=BRIEF_HOURS if brief else 24,
        )

    def load(self, key: str) -> State:
        state: State = self.manager.load_checkpoint(f"{key}@latest")[1]
        return state

    def latest(self, key: str) -> int:
        return int(self.manager.list_checkpoints(process_id=key, limit=1)[0].description)

    def latest_all(self) -> int:
        return len(self.manager.list_processes())

    def newest(self, count: int) -> int:
        return len(self.manager.list_checkpoints(limit=count))

    def expire(self, below: int) -> None:
        self.manager.storage.cleanup_expired_checkpoints()

    def compact(self) -> None:
        pass

    def close(self) -> None:
        self.held.close()
        self.manager.close()


class Ckptd:
    name: ClassVar[str] = "ckptd"
    terms: ClassVar[str] = "the daemon with its defaults, ckptclient in each client process, durability disk"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.server: Server | None = None

    @classmethod
    def missing(cls) -> str | None:
        absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        return f"{', '.join(absent)} can't be imported: pip install 'ckptd[daemon]'" if absent else None

    @classmethod
    def version(cls) -> str:
        return f"ckptd {installed_version('ckptd')}"

    def start(self) -> None:
        file = self.place.scratch / "ckptd.toml"
        file.write_text(configuration(self.place))
        self.server = Server(
            command=[sys.executable, "-m", "ckptd", "--config", file],
            log=self.place.scratch / "ckptd.log",
            ready=lambda: _connect(self.place.scratch / "ckptd.sock"),
            not_yet=(FileNotFoundError, ConnectionRefusedError),
        )
        self.server.start()

    def session(self) -> CkptdSession:
        return CkptdSession(self.place)


def _connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
