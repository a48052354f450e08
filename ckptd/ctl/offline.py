"""A store without its daemon, asked as if it had one: what reads works on it, also on a read-only file system.

The services themselves answer, in this process, on a store that is only looked at; so every verb that reads shows the same
with the daemon down. A daemon can't begin meanwhile, and a store that one has isn't opened. Not for: writing anything.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgpack

from ckptclient.calls import VERSIONS, Call
from ckptclient.errors import Damaged, ReadOnly, VersionMismatch
from ckptclient.results import Welcome
from ckptclient.version import __version__
from ckptd.clock import SystemClock
from ckptd.compose import compose
from ckptd.config import load
from ckptd.core.ids import Holder
from ckptd.errors import StartRefused, StoreFailed
from ckptd.service.caller import Caller, Role
from ckptd.service.services import Services
from ckptd.store.offline import visit

T = TypeVar("T")

WHY: Final = "no daemon has the store, and without one it is only read"

_LIMITS: Final = {"frame_bytes_max": 1 << 20, "requests_max": 1}

Handler = Callable[[Caller, Any], "Mapping[str, object] | Awaitable[Mapping[str, object]]"]

READS: Final[Mapping[str, Callable[[Services], Handler]]] = {
    "process.show": lambda s: s.processes.show,
    "process.list": lambda s: s.processes.list_,
    "process.prove": lambda s: s.proving.prove,
    "journal.read": lambda s: s.journal.read,
    "checkpoint.get": lambda s: s.browsing.get,
    "checkpoint.read": lambda s: s.browsing.read,
    "checkpoint.list": lambda s: s.browsing.list_,
    "checkpoint.wait": lambda s: s.browsing.wait,
    "store.status": lambda s: s.maintenance.status,
    "store.stats": lambda s: s.maintenance.stats,
    "store.verify": lambda s: s.scrubbing.verify,
    "store.damage": lambda s: s.scrubbing.damage,
    "events.read": lambda s: s.events.read,
}
"""Methods that need nothing but the store."""


class _Nobody:
    """The workers of a store that nobody serves: who still lives can't be told, and nobody is waited for."""

    def alive(self, holder: Holder) -> bool | None:
        return None

    def watched(self, holder: Holder) -> bool:
        return False

    def watch(self, holder: Holder) -> bool | None:
        return None


class _Answer:
    """A question that is answered when somebody waits for it: there is one thread."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    def result(self, timeout: float | None = None) -> Any:
        return self._answer()


class OfflineStore:
    """What verbs ask of a daemon, answered from a store's files. Who can read them sees what all users have there."""

    connection = 0

    def __init__(self, path: Path) -> None:
        """NO_STORE, DENIED, BUSY where a daemon has it, DAMAGED where its catalog can't be read."""
        path = path.absolute()
        self._lock_fd = visit(path)
        self._loop = asyncio.new_event_loop()
        config = load(None, {}, {"store.path": str(path)}, mode="private")
        try:
            self._inside = compose(
                lambda: config,
                SystemClock(),
                self._loop,
                workers=_Nobody(),
                fatal=_failed,
                reload=lambda: ([], []),
                read_only=WHY,
            )
        except StartRefused as refused:
            self._let_go()
            if refused.exit_status == os.EX_TEMPFAIL:
                raise Damaged(
                    refused.message, hint="ckptctl backup restore, or make a new catalog: ckptctl rebuild-catalog"
                ) from refused
            raise VersionMismatch(refused.message, hint=refused.hint) from refused
        uid = os.geteuid()
        self._caller = Caller(uid, os.getegid(), os.getpid(), Role.OPERATOR, bytes(16), None, 0)
        self.welcome: Welcome | None = Welcome.read(
            {
                "version": VERSIONS[0],
                "server": f"ckptctl {__version__}",
                "lineage": self._inside.lineage,
                "role": "operator",
                "uid": uid,
                "limits": _LIMITS,
                "pid": os.getpid(),
            }
        )
        self._loop.run_until_complete(self._inside.space.look())

    def call(self, call: Call[T], timeout: float | None = None) -> T:
        """Ask and have the answer; READ_ONLY for whatever would change something, or needs who runs."""
        handler = READS.get(call.method)
        if handler is None:
            raise ReadOnly(
                f"{call.method} needs a daemon: {WHY}", hint="start the daemon of the store, and say it again"
            )
        return call.read(self._loop.run_until_complete(self._asked(handler, call)))

    async def _asked(self, handler: Callable[[Services], Handler], call: Call[Any]) -> object:
        answer = handler(self._inside.services)(self._caller, call.params)
        found = await answer if isawaitable(answer) else answer
        return msgpack.unpackb(msgpack.packb(found))  # as it would have crossed

    def submit(self, call: Call[T], timeout: float | None = None) -> _Answer:
        """Ask when the answer is wanted."""
        return _Answer(lambda: self.call(call))

    def close(self) -> None:
        """Let a daemon have the store again."""
        self._inside.close()
        self._let_go()

    def _let_go(self) -> None:
        self._loop.close()
        os.close(self._lock_fd)


def _failed(failed: StoreFailed) -> None:
    raise failed
