"""A daemon that answers at once, remembers what it was asked, and fails as a test tells it to."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import msgpack

from ckptclient.calls import Call
from ckptclient.errors import CkptdError
from ckptclient.payload import Part, decode
from ckptclient.process import Process, Terms, Told
from ckptclient.results import Registered
from ckptclient.staging import Staging

T = TypeVar("T")

TOKEN = b"t" * 48
TICK: dict[str, object] = {"due": False, "reason": None, "stop": False, "stop_reason": None}
DUE: dict[str, object] = {**TICK, "due": True, "reason": "progress"}
STOP: dict[str, object] = {**TICK, "stop": True, "stop_reason": "drained"}
PROGRESS: dict[str, object] = {
    "total": None,
    "completed": 0,
    "step": "initialized",
    "batch": None,
    "metadata": b"",
    "done": 0,
    "failed": 0,
    "percent": None,
    "updated_at": 0,
    "eta": None,
    "per_second": None,
}


def registered(**changes: object) -> Registered:
    """What a registration answers, but for the changes."""
    raw: dict[str, object] = {
        "token": TOKEN,
        "process_id": "p",
        "epoch": 1,
        "incarnation": b"i" * 16,
        "resumed": False,
        "mode": "unknown",
        "state": "running",
        "progress": PROGRESS,
        "checkpoint": None,
        "state_checkpoint": None,
        "skipped": [],
        "warnings": [],
        "journal": {"position": 0, "done": 0, "failed": 0},
        "sequence": None,
        "careful": False,
        "set_aside": [],
        "lease_seconds": 60.0,
        "policy": {},
        "registered_at": 0,
        "schema_version": 0,
        "changed": False,
    }
    return Registered.read(raw | changes)


class Answered:
    """A call that was submitted and has its answer."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def result(self, timeout: float | None = None) -> Any:
        return self._make()


class ScriptedDaemon:
    """In place of a client. `asked` has every call in order; `failures` what the next calls of a method raise."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.failures: dict[str, deque[CkptdError]] = {}
        self.answers: dict[str, Callable[[dict[str, Any]], object]] = {}
        self.ticks: deque[dict[str, object]] = deque()
        self.connection = 0
        self.staging = Staging(self)
        self.position = 0
        self.saved = 0
        self._number = 0
        self._lock = threading.Lock()

    def call(self, call: Call[T], timeout: float | None = None) -> T:
        with self._lock:
            packed = call.packed()
            self.asked.append((call.method, packed))
            failures = self.failures.get(call.method)
            if failures:
                raise failures.popleft()
            answer = self.answers.get(call.method)
            return call.read(answer(packed) if answer is not None else self._usual(call.method, packed))

    def submit(self, call: Call[T], timeout: float | None = None) -> Answered:
        return Answered(lambda: self.call(call))

    def next_request(self) -> int:
        self._number += 1
        return self._number

    def on_reconnect(self, hook: object) -> None:
        raise AssertionError("the manager's business")

    def fail(self, method: str, *errors: CkptdError) -> None:
        """The next calls of a method fail with these, one after the other."""
        self.failures.setdefault(method, deque()).extend(errors)

    def methods(self, *wanted: str) -> list[str]:
        """The methods that were called, of those that are wanted."""
        return [method for method, _ in self.asked if not wanted or method in wanted]

    def of(self, method: str) -> list[dict[str, Any]]:
        """The parameters of all calls of a method."""
        return [packed for name, packed in self.asked if name == method]

    def rows(self) -> list[list[Any]]:
        """All records that were appended, in order."""
        return [row for packed in self.of("journal.append") for row in packed["records"]]

    def _tick(self) -> dict[str, object]:
        return self.ticks.popleft() if self.ticks else TICK

    def _usual(self, method: str, packed: dict[str, Any]) -> object:
        if method == "journal.append":
            self.position += len(packed["records"])
            return {"position": self.position, "due": self._tick()}
        if method == "process.progress":
            return self._tick()
        if method == "checkpoint.save":
            self.saved += 1
            return {
                "checkpoint_id": f"p_{packed.get('type', 'processing_state')}_{self.saved}",
                "seq": self.saved,
                "created_at": 0,
                "expires_at": None,
                "level": "disk",
                "due": self._tick(),
            }
        if method == "process.end":
            return {"state": packed["state"]}
        if method == "process.member":
            return {"token": b"m" * 64}
        if method == "journal.sequence":
            return {"changed": "no", "mode": "unknown"}
        if method in ("journal.ordinals", "journal.digests"):
            return {"first": 0, "done": b"", "failed": b"", "digests": b"", "next": None}
        if method == "upload.open":
            return {"upload": 1, "buffer": None, "dropped": []}
        if method == "checkpoint.restore":
            journal = {"position": 0, "done": 0, "failed": 0}
            return {
                "found": False,
                "checkpoint": None,
                "parts": [],
                "skipped": [],
                "journal": journal,
                "progress": PROGRESS,
            }
        return {}


made: list[Process] = []
"""Processes whose threads somebody must end."""


class Heard:
    """A manager that remembers what its processes tell it."""

    def __init__(self) -> None:
        self.saved: list[str] = []
        self.ended: list[str] = []
        self.warned: list[str] = []

    def told(self) -> Told:
        return Told(
            saved=lambda _hold, _job, info: self.saved.append(info.checkpoint_id),
            ended=lambda _hold, state: self.ended.append(state),
            warned=self.warned.append,
        )


def process_of(
    daemon: ScriptedDaemon, heard: Heard | None = None, terms: Terms | None = None, **changes: object
) -> Process:
    """A handle over the scripted daemon."""
    process = Process(
        daemon,
        registered(**changes),
        terms or Terms(),
        (heard or Heard()).told(),
        again=lambda: registered(epoch=1, token=b"u" * 48),
    )
    made.append(process)
    return process


def state_in(saved: dict[str, Any]) -> Any:
    """The state that a save had in its frame."""
    return decode({name: Part(name, msgpack.unpackb(form), data) for name, form, data in saved["parts"]})
