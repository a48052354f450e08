"""A worker that does random things to a few processes, and keeps a log of what it asked and what was answered.

Run as a program: `python -m ckptd.ctl.selftest.work SOCKET LOG SEED ACTS PROCESS...`. It ends at SIGTERM after the act
in hand, or after so many acts where ACTS isn't 0. The same seed makes the same acts.
"""

import hashlib
import json
import os
import random
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ckptclient import calls
from ckptclient.errors import CkptdError, Conflict, Fenced, Held, NoSpace, NotFound
from ckptclient.sync import Client
from ckptclient.wire import params as p
from ckptd.clock import SystemClock

SIZES = (0, 60, 1_300, 5_000, 70_000, 700_000)
WEIGHTS = (1, 5, 6, 5, 3, 1)
DOCUMENT_FORM = b"\x81\xa4kind\xa8document"
ARRAY_FORM = b"\x83\xa4kind\xa5array\xa5dtype\xa3<f8\xa5shape\x91\xcd\x07\xd0"


class Log:
    """Lines of JSON, each on disk before anything goes on."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._clock = SystemClock()

    def write(self, what: str, **facts: Any) -> None:
        """Note something; `at` is monotonic seconds, `wall` microseconds UTC."""
        line = json.dumps({"what": what, "at": self._clock.monotonic(), "wall": self._clock.now(), **facts}) + "\n"
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
        self._version = 0
        self.acts = 0
        self.stopped = False

    def run(self, acts: int) -> None:
        """Act until stopped, or so often and then clean up; 0 is without an end."""
        while not self.stopped and (self.acts < acts or not acts):
            self.acts += 1
            process = self._random.choice(self._processes)
            try:
                if process not in self._held:
                    self._register(process)
                else:
                    self._act(process)
            except Fenced:
                self._held.pop(process, None)
            except (Held, Conflict, NotFound, NoSpace):
                pass  # another worker's process, a checkpoint that another deleted, a refusal that harms nothing
        if acts and not self.stopped:
            for process, held in self._held.items():
                with suppress(NoSpace):
                    self._clean(process, held)

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
        acts = (self._save, self._document, self._array, self._record, self._delete, self._clean, self._end)
        act = self._random.choices(acts, (34, 10, 8, 30, 10, 5, 2))[0]
        act(process, held)

    def _save(self, process: str, held: Holding) -> None:
        size = self._random.choices(SIZES, WEIGHTS)[0]
        self._save_bytes(process, held, b"\x80", self._random.randbytes(size))

    def _document(self, process: str, held: Holding) -> None:
        """A next version of something that changes little, which is stored as the difference."""
        self._version += 1
        lines = (
            b"line %d of a document, version %d\n" % (n, self._version if n == self._version % 200 else 0)
            for n in range(200)
        )
        self._save_bytes(process, held, DOCUMENT_FORM, b"".join(lines))

    def _array(self, process: str, held: Holding) -> None:
        """The same for numbers, whose first bytes compress and whose last ones don't."""
        self._version += 1
        numbers = (struct.pack("<d", n + self._version / 1000) for n in range(2000))
        self._save_bytes(process, held, ARRAY_FORM, b"".join(numbers))

    def _save_bytes(self, process: str, held: Holding, form: bytes, rest: bytes) -> None:
        data = f"{self._seed}/{self._serial + 1}|".encode() + rest
        parts = (p.PartData(name="state", form=form, data=data),)
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
        found = self._newest(process, 5)
        if found:
            self._delete_one(process, self._random.choice(found))

    def _newest(self, process: str, limit: int) -> list[str]:
        page = self._client.call(calls.checkpoints(p.ListCheckpoints(process_id=process, limit=limit)))
        return [one.checkpoint_id for one in page.checkpoints]

    def _delete_one(self, process: str, name: str) -> None:
        _, facts = self._ask(calls.delete(name), "delete", process=process, checkpoint=name)
        self._log.write("delete", **facts)

    def _clean(self, process: str, held: Holding) -> None:
        """Delete all that a process has but one, and give the space back: whole packs go."""
        for name in self._newest(process, 100)[1:]:
            with suppress(NotFound, NoSpace):  # another worker deleted it
                self._delete_one(process, name)
        _, facts = self._ask(calls.cleanup(), "clean")
        self._log.write("clean", **facts)

    def _end(self, process: str, held: Holding) -> None:
        state = self._random.choice(("paused", "completed", "interrupted"))
        _, facts = self._ask(
            calls.end(held.token, state), "end", process=process, epoch=held.epoch, incarnation=held.incarnation
        )
        self._log.write("end", state=state, **facts)
        del self._held[process]


def main() -> None:
    """The program."""
    socket, log, seed, acts, *processes = sys.argv[1:]
    worker = Worker(socket, Log(Path(log)), seed, processes)

    def stop(*_: object) -> None:
        worker.stopped = True

    signal.signal(signal.SIGTERM, stop)
    worker.run(int(acts))


if __name__ == "__main__":
    main()
