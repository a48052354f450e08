"""Rounds of work and killing; the same seed makes the same plan."""

import hashlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ckptclient import calls
from ckptclient.sync import Client
from ckptclient.wire import limits, params as p
from ckptd.ctl.selftest.running import Daemon
from ckptd.ctl.selftest.truth import Found, faults, read_logs
from tests.waiting import wait_until

WORKERS = 4
PROCESSES = ("alpha", "beta", "gamma")
VICTIMS = ("daemon", "worker", "both")


@dataclass(frozen=True, slots=True)
class Plan:
    """One round: who is killed, after how long, and how long the survivors go on."""

    seed: str
    victim: str
    before_seconds: float
    after_seconds: float


def plans(rounds: int, seed: int) -> Iterator[Plan]:
    """The plan of a whole run."""
    drawn = random.Random(seed)
    for number in range(rounds):
        yield Plan(f"{seed}-{number}", drawn.choice(VICTIMS), drawn.uniform(0.02, 0.5), drawn.uniform(0.05, 0.3))


class Run:
    """A store, its daemon and its workers' logs, over many rounds."""

    def __init__(self, directory: Path, module: str = "ckptd") -> None:
        self._logs = directory / "logs"
        self._logs.mkdir(parents=True)
        self.daemon = Daemon(directory / "store", directory / "s.sock", directory / "daemon.log", ("-m", module))
        self.acknowledged = 0

    def round(self, plan: Plan) -> list[str]:
        """One round; what is wrong after it."""
        drawn = random.Random(plan.seed)
        self.daemon.start()
        with self._workers(plan.seed) as workers:
            wait_until(lambda: all(self._log(plan.seed, n).exists() for n in range(WORKERS)))
            time.sleep(plan.before_seconds)
            if plan.victim in ("worker", "both"):
                drawn.choice(workers).kill()
            if plan.victim in ("daemon", "both"):
                self.daemon.kill()
                self.daemon.start()
            time.sleep(plan.after_seconds)
        found = self._look()
        self.daemon.stop()
        asked = read_logs(sorted(self._logs.iterdir()))
        self.acknowledged = len(asked.acknowledged)
        return faults(asked, found)

    @contextmanager
    def _workers(self, seed: str) -> Iterator[list["subprocess.Popen[bytes]"]]:
        workers = [self._worker(seed, n) for n in range(WORKERS)]
        try:
            yield workers
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait(60)

    def _log(self, seed: str, number: int) -> Path:
        return self._logs / f"{seed}-{number}.jsonl"

    def _worker(self, seed: str, number: int) -> "subprocess.Popen[bytes]":
        log = self._log(seed, number)
        arguments = [str(self.daemon.socket), str(log), f"{seed}-{number}", "0", *PROCESSES]
        return subprocess.Popen([sys.executable, "-m", "ckptd.ctl.selftest.work", *arguments], stdin=subprocess.DEVNULL)

    def _look(self) -> Found:
        """Everything that the store shows, over the socket."""
        checkpoints: dict[str, tuple[str, str | None, bool]] = {}
        records: dict[str, list[str]] = {}
        incarnations: dict[str, str] = {}
        with Client(str(self.daemon.socket)) as client:
            for name, process, trash in _listed(client):
                checkpoints[name] = (process, None if trash else _digest(client, name), trash)
            for one in client.call(calls.processes()).processes:
                records[one.process_id] = _recorded(client, one.process_id)
            for process_id in records:
                # The only way to learn a life's name is to take it; the next round begins with that anyway.
                found = client.call(calls.register(process_id, takeover=True))
                if found.resumed:
                    incarnations[process_id] = found.incarnation.hex()
        return Found(checkpoints, records, incarnations)


def _listed(client: Client) -> Iterator[tuple[str, str, bool]]:
    for trash in (False, True):
        after: int | None = None
        while True:
            page = client.call(calls.checkpoints(p.ListCheckpoints(limit=1000, trash=trash, after=after)))
            for one in page.checkpoints:
                yield one.checkpoint_id, one.process_id, trash
            after = page.next
            if after is None:
                break


def _digest(client: Client, name: str) -> str:
    found = client.call(calls.get(name))
    part = found.parts[0]
    data = part.data
    if data is None:
        data = b""
        while len(data) < part.size_bytes:
            data += client.call(calls.read_part(name, 0, offset=len(data), length=limits.piece_bytes_max))
    return hashlib.sha256(data).hexdigest()


def _recorded(client: Client, process_id: str) -> list[str]:
    items: list[str] = []
    after = -1
    while True:
        page = client.call(calls.records(process_id, after=after))
        items += [record.item.decode() for record in page.records]
        if page.next is None:
            return items
        after = page.next
