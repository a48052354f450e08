"""ckptd as its users have it: a daemon with a configuration file, everything on, and the client library in each worker.

Saves that keep a history (W4, the 100 KB states) are checkpoints of many processes made by one program; the others (W2
too, by `begin`) are saves of the one process that the worker holds, through its handle.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import ClassVar

from benchmarks.peers.interface import Place
from benchmarks.server import Server
from benchmarks.states import State
from ckptclient import calls
from ckptclient.errors import Unreachable
from ckptclient.manager import CheckpointManager
from ckptclient.process import Process
from ckptclient.results import CheckpointInfo, ProcessInfo
from ckptclient.sync import Client
from ckptclient.wire import params

NEEDED = ("apsw", "blake3", "structlog", "uvloop", "zstandard")
BRIEF_HOURS = 1 / 3600  # a state that is to be expired has ended by the time that its store is full
HOURS = 24.0
TASK = "bench"
PAGE = 500


def socket_of(place: Place) -> Path:
    """Where the daemon of a place listens."""
    return place.scratch / "ckptd.sock"


def configuration(place: Place) -> str:
    """A user's configuration: where the socket and the store are; the rest is as it comes."""
    return f'socket = "{socket_of(place)}"\n[store]\npath = "{place.store}"\n'


class CkptdSession:
    def __init__(self, place: Place) -> None:
        self.place = place
        self.manager = CheckpointManager(socket_path=socket_of(place))
        self.processes: dict[str, Process] = {}
        self.saved: dict[tuple[str, int], str] = {}

    def _process(self, key: str) -> Process:
        if key not in self.processes:
            self.processes[key] = self.manager.process(key, task_id=TASK)
        return self.processes[key]

    def save(self, key: str, version: int, state: State, *, brief: bool = False) -> None:
        if not self.place.history:
            saved = self._process(key).save(state, wait=True)
            if saved.level != "disk":
                raise RuntimeError(f"the save returned at {saved.level}")
            return
        hours = BRIEF_HOURS if brief else HOURS
        self.manager.create_checkpoint(key, TASK, "custom", state, description=str(version), ttl_hours=hours)

    def begin(self, key: str, version: int, state: State) -> Callable[[], object]:
        saved = self._process(key).save(state)

        def wait() -> None:
            self.saved[key, version] = saved.wait()

        return wait

    def load(self, key: str, version: int | None = None) -> State:
        name = f"{key}@latest" if version is None else self.saved[key, version]
        state: State = self.manager.load_checkpoint(name)[1]
        return state

    def latest(self, key: str) -> int:
        return int(self._newest(params.ListCheckpoints(process_id=key, limit=1))[0].description)

    def latest_all(self) -> int:
        return len({one.process_id: one.last_checkpoint for one in self._processes()})

    def newest(self, count: int) -> int:
        return len(self._newest(params.ListCheckpoints(limit=count)))

    def expire(self, below: int) -> int:
        return self.manager.storage.cleanup_expired_checkpoints()

    def compact(self) -> None:
        pass

    def close(self) -> None:
        # Without leaving the processes: as when a worker ends in the middle, its newest checkpoint is what it saved.
        self.manager.close()

    def _newest(self, asked: params.ListCheckpoints) -> tuple[CheckpointInfo, ...]:
        return self.manager.client.call(calls.checkpoints(asked)).checkpoints

    def _processes(self) -> Iterator[ProcessInfo]:
        after: int | None = None
        while True:
            page = self.manager.client.call(calls.processes(limit=PAGE, after=after))
            yield from page.processes
            if page.next is None:
                return
            after = page.next


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
        self.server = daemon(self.place)
        self.server.start()

    def session(self) -> CkptdSession:
        return CkptdSession(self.place)


def daemon(place: Place, program: tuple[str, ...] = ("ckptd",)) -> Server:
    """The daemon of a place, not started; `program` is the module that runs it, with arguments of its own."""
    file = place.scratch / "ckptd.toml"
    file.write_text(configuration(place))
    return Server(
        command=[sys.executable, "-m", *program, "--config", file],
        log=place.scratch / "ckptd.log",
        ready=lambda: _ask(socket_of(place)),
        not_yet=(Unreachable,),
        directory=ROOT,
    )


ROOT = Path(__file__).resolve().parents[2]


def _ask(path: Path) -> None:
    with Client(path, on_unavailable="raise") as client:
        client.call(calls.ping())
