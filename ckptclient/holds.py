"""The processes and members that a manager has given out: kept over reconnects, replaced, ended, and left at a fork.

Not for: how a process comes to be held (`manager`), or what it does (`process`).
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakSet

from ckptclient import calls
from ckptclient.callbacks import Callbacks
from ckptclient.calls import Call
from ckptclient.config import CheckpointMetadata, CheckpointType, ProcessingState, moment
from ckptclient.errors import Fenced, UnknownProcess
from ckptclient.process import Hold, Job, Member, Told
from ckptclient.results import SavedInfo
from ckptclient.wire import params

AHold = TypeVar("AHold", bound=Hold)


class Holds:
    """What one manager holds, by process id."""

    def __init__(self, callbacks: Callbacks) -> None:
        self.states: dict[str, ProcessingState] = {}
        """The live state of each process that is held."""
        self.members: WeakSet[Member] = WeakSet()
        self.told = Told(saved=self._saved, ended=self._ended, warned=warn)
        self._by_id: dict[str, Hold] = {}
        self._callbacks = callbacks
        _all.add(self)

    def all(self) -> tuple[Hold | Member, ...]:
        """Everything that writes."""
        return (*self._by_id.values(), *self.members)

    def get(self, process_id: str) -> Hold | None:
        """The hold of a process, where there is one."""
        return self._by_id.get(process_id)

    def find(self, process_id: str) -> Hold:
        """The hold of a process; raises `UnknownProcess`."""
        hold = self._by_id.get(process_id)
        if hold is None:
            raise UnknownProcess(
                f"process {process_id} is not held by this manager",
                hint="register_process or recover_process takes it",
                details={"what": "process", "process_id": process_id},
            )
        return hold

    def add(self, hold: AHold) -> AHold:
        """Keep a hold, which fences the one of the same process before it."""
        before = self._by_id.get(hold.process_id)
        if before is not None:
            before.cut_off(
                Fenced(f"process {hold.process_id} was taken again by this program", hint="go on with the newer handle")
            )
        self._by_id[hold.process_id] = hold
        self.states[hold.process_id] = hold.state
        return hold

    def reattach(self, call: Callable[[Call[Any]], Any]) -> None:
        """On a new connection: say that the processes are still held, and hear which are not any more."""
        for one in self.all():
            try:
                one.hear(call(calls.attach(one.token)).due)
            except Fenced as error:
                one.cut_off(error)

    def forked(self) -> None:
        """In a forked child: what is held is the parent's; the manager itself is the child's own from here on."""
        for one in self.all():
            one.forked()
        self._by_id.clear()
        self.states.clear()
        self._callbacks.forked()

    def created(
        self, event: str, process_id: str, request: params.Save, info: SavedInfo, size_bytes: int, task_id: str = ""
    ) -> None:
        """A checkpoint was made: whoever wants to know hears of it."""
        if not self._callbacks.wants(event):
            return
        lives = None if info.expires_at is None else (info.expires_at - info.created_at) / 3.6e9
        metadata = CheckpointMetadata(
            checkpoint_id=info.checkpoint_id,
            checkpoint_type=CheckpointType(request.type),
            created_at=moment(info.created_at),
            process_id=process_id,
            task_id=request.task_id or task_id,
            description=request.description,
            tags=list(request.tags),
            dependencies=list(request.depends),
            size_bytes=size_bytes,
            ttl_hours=lives,
        )
        self._callbacks.happened(info.checkpoint_id, event, metadata)

    def _saved(self, hold: Hold, job: Job, info: SavedInfo) -> None:
        self.created("created", hold.process_id, job.request, info, job.size_bytes, hold.state.task_id)
        if job.request.ends == "completed":
            self.created("completed", hold.process_id, job.request, info, job.size_bytes, hold.state.task_id)

    def _ended(self, hold: Hold, _state: str) -> None:
        if self._by_id.get(hold.process_id) is hold:
            del self._by_id[hold.process_id]
            del self.states[hold.process_id]


def warn(words: str) -> None:
    """Say something that nobody asked for, where the application's log is."""
    import logging  # 5 ms that most workers never need

    logging.getLogger("ckptclient").warning(words)


_all: WeakSet[Holds] = WeakSet()


def _after_fork() -> None:
    for holds in list(_all):
        holds.forked()


os.register_at_fork(after_in_child=_after_fork)
