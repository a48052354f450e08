"""A worker that does random things to a few processes, and keeps a log of what it asked and what was answered.

Run as a program: `python -m tests.crash.worker SOCKET LOG SEED PROCESS...`. It ends at SIGTERM after the act in hand.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ckptclient import calls
from ckptclient.errors import CkptdError, Conflict, Fenced, Held, NotFound
from ckptclient.sync import Client
from ckptclient.wire import params as p

SIZES = (0, 60, 1_300, 5_000, 70_000, 700_000)
WEIGHTS = (1, 6, 8, 4, 2, 1)


class Log:
    """Lines of JSON, each on disk before anything goes on."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, what: str, **facts: Any) -> None:
        line = json.dumps({"what": what, "at": time.monotonic(), **facts}) + "\n"
        os.write(self._fd, line.encode())
        os.fsync(self._fd)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a registration gave."""

    token: bytes
    epoch: int
    incarnation: str


class Worker:
    """One session that takes turns at its processes."""

    def __init__(self, socket: str, log: Log, seed: str, processes: list[str]) -> None:
        self._client = Client(socket)
        self._log = log
        self._random = random.Random(seed)
        self._seed = seed
        self._processes = processes
        self._held: dict[str, Holding] = {}
        self._serial = 0
        self.stopped = False

    def run(self) -> None:
        """Act until stopped."""
        while not self.stopped:
            process = self._random.choice(self._processes)
            try:
                if process not in self._held:
                    self._register(process)
                else:
                    self._act(process)
            except Fenced:
                self._held.pop(process, None)
            except (Held, Conflict, NotFound):
                pass  # another worker's process, or a checkpoint that another deleted

    def _ask(self, call: "calls.Call[Any]", what: str, **facts: Any) -> Any:
        """Write down what is asked, ask, and write down that it was answered."""
        self._serial += 1
        facts |= {"id": f"{self._seed}/{self._serial}"}
        self._log.write(f"{what}?", **facts)
        try:
            answer = self._client.call(call, timeout=30.0)
        except CkptdError as refusal:
            self._log.write(f"{what}!", code=refusal.code, **facts)
            raise
        return answer, facts

    def _register(self, process: str) -> None:
        takeover = self._random.random() < 0.3
        found, facts = self._ask(calls.register(process, takeover=takeover), "register", process=process)
        incarnation = found.incarnation.hex()
        self._log.write("register", epoch=found.epoch, incarnation=incarnation, **facts)
        self._held[process] = Holding(found.token, found.epoch, incarnation)

    def _act(self, process: str) -> None:
        held = self._held[process]
        act = self._random.choices((self._save, self._record, self._delete, self._end), (50, 35, 5, 2))[0]
        act(process, held)

    def _save(self, process: str, held: Holding) -> None:
        size = self._random.choices(SIZES, WEIGHTS)[0]
        mark = f"{self._seed}/{self._serial + 1}".encode()
        data = mark + b"|" + self._random.randbytes(size)
        parts = (p.PartData(name="state", form=b"\x80", data=data),)
        call = calls.save(p.Save(request=calls.UNNUMBERED, token=held.token, parts=parts, has_state=False))
        digest = hashlib.sha256(data).hexdigest()
        saved, facts = self._ask(
            call, "save", process=process, sha256=digest, epoch=held.epoch, incarnation=held.incarnation
        )
        self._log.write("save", checkpoint=saved.checkpoint_id, **facts)

    def _record(self, process: str, held: Holding) -> None:
        items = [f"{self._seed}/{self._serial + 1}/{n}" for n in range(self._random.randint(1, 20))]
        records = tuple(p.Record(kind=0, ordinal=-1, item=item.encode(), result=b"done") for item in items)
        call = calls.append(held.token, records)
        _, facts = self._ask(
            call, "record", process=process, items=items, epoch=held.epoch, incarnation=held.incarnation
        )
        self._log.write("record", **facts)

    def _delete(self, process: str, held: Holding) -> None:
        page = self._client.call(calls.checkpoints(p.ListCheckpoints(process_id=process, limit=5)))
        if not page.checkpoints:
            return
        name = self._random.choice(page.checkpoints).checkpoint_id
        _, facts = self._ask(calls.delete(name), "delete", process=process, checkpoint=name)
        self._log.write("delete", **facts)

    def _end(self, process: str, held: Holding) -> None:
        state = self._random.choice(("paused", "completed", "interrupted"))
        _, facts = self._ask(
            calls.end(held.token, state), "end", process=process, epoch=held.epoch, incarnation=held.incarnation
        )
        self._log.write("end", state=state, **facts)
        del self._held[process]


def main() -> None:
    """The program."""
    socket, log, seed, *processes = sys.argv[1:]
    worker = Worker(socket, Log(Path(log)), seed, processes)

    def stop(*_: object) -> None:
        worker.stopped = True

    signal.signal(signal.SIGTERM, stop)
    worker.run()


if __name__ == "__main__":
    main()
