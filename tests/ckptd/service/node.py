"""A daemon's inside without its door: what the tests of the services drive."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack

from ckptclient.wire import params as p
from ckptd.compose import Assembled, compose
from ckptd.config import load
from ckptd.core.attempts import Death
from ckptd.core.ids import Holder
from ckptd.service.caller import Caller, Role
from tests.fakes import FakeClock

if TYPE_CHECKING:
    from ckptd.errors import StoreFailed
    from ckptd.settings.tree import Config

SETTINGS = {"store.reserve": "0", "store.limit": "1 GB", "checkpoint.interval": "0", "cleanup.rate": "0"}


class FakeWorkers:
    """OS processes as a test says they are; unknown ones live and are watched."""

    def __init__(self) -> None:
        self.dead: set[int] = set()
        self.untold: set[int] = set()

    def alive(self, holder: Holder) -> bool | None:
        if holder.pid in self.untold:
            return None
        return holder.pid not in self.dead

    def watched(self, holder: Holder) -> bool:
        return holder.pid not in self.untold

    def watch(self, holder: Holder) -> bool | None:
        return self.alive(holder)


class Worker:
    """A caller with a session of its own, whose requests are numbered."""

    def __init__(self, node: "Node", pid: int, uid: int = 1000, role: Role = Role.WORKER) -> None:
        session = pid.to_bytes(16, "big")
        self.holder = Holder(b"boot" * 4, pid, 7, session)
        self.caller = Caller(uid, uid, pid, role, session, self.holder, connection=pid)
        self.number = 0
        self.buffers: dict[object, int] = {}
        """Staging buffers that it was given, by number."""
        self._node = node

    def next(self) -> int:
        self.number += 1
        return self.number

    async def register(self, process_id: str = "p", **wishes: Any) -> Mapping[str, Any]:
        request = p.Register(request=self.next(), process_id=process_id, **wishes)
        return await self._node.inside.services.registration.register(self.caller, request)

    async def save(self, token: bytes | None, data: bytes = b"state", **more: Any) -> Mapping[str, Any]:
        parts = (p.PartData(name="state", form=msgpack.packb({"kind": "document"}), data=data),)
        request = p.Save(request=more.pop("request", None) or self.next(), token=token, parts=parts, **more)
        return await self._node.inside.services.saving.save(self.caller, request)

    async def record(self, token: bytes, *ordinals: int, kind: int = 0, **more: Any) -> Mapping[str, Any]:
        records = tuple(p.Record(kind=kind, ordinal=n, item=b"item %d" % n, result=None) for n in ordinals)
        request = p.AppendRecords(
            request=more.pop("request", None) or self.next(), token=token, records=records, **more
        )
        return await self._node.inside.services.journal.append(self.caller, request)

    async def restore(self, token: bytes) -> Mapping[str, Any]:
        return await self._node.inside.services.browsing.restore(
            self.caller, p.Restore(request=self.next(), token=token)
        )

    async def advance(self, token: bytes, **progress: Any) -> Mapping[str, Any]:
        said = p.Advance(token=token, progress=p.Progress(**progress))
        return await self._node.inside.services.processes.progress(self.caller, said)

    async def end(self, token: bytes, state: str = "completed", request: int = 0) -> Mapping[str, Any]:
        ending = p.End(request=request or self.next(), token=token, state=state)
        return await self._node.inside.services.processes.end(self.caller, ending)

    async def show(self, process_id: str = "p") -> Mapping[str, Any]:
        return await self._node.inside.services.processes.show(self.caller, p.NamedProcess(process_id=process_id))

    async def done(self, token: bytes) -> list[int]:
        """The ordinals that are recorded."""
        asked = p.DoneOrdinals(token=token, count=64)
        found: Any = await self._node.inside.services.journal.ordinals(self.caller, asked)
        bits = [int.from_bytes(found[name], "little") for name in ("done", "failed")]
        return [n for n in range(64) if (bits[0] | bits[1]) >> n & 1]

    async def list(self, **wanted: Any) -> list[Mapping[str, Any]]:
        found: Any = await self._node.inside.services.browsing.list_(self.caller, p.ListCheckpoints(**wanted))
        return list(found["checkpoints"])

    async def dies(self, signal: int | None = None) -> None:
        """The kernel says so."""
        self._node.workers.dead.add(self.holder.pid)
        await self._node.inside.services.processes.died(self.holder, Death(self.holder.pid, signal=signal))


class Node:
    """A store and the daemon that serves it; `restart` is another daemon on the same store."""

    def __init__(self, path: Path, settings: Mapping[str, str] | None = None) -> None:
        flags = {"store.path": str(path), **SETTINGS, **(settings or {})}
        self.path = path
        self.config: Config = load(None, {}, flags, mode="private")
        self.clock = FakeClock()
        self.workers = FakeWorkers()
        self.failures: list[StoreFailed] = []
        self.read_only: str | None = None
        self.inside: Assembled
        self._operator: Worker | None = None

    async def start(self) -> "Node":
        self.path.mkdir(exist_ok=True)
        loop = asyncio.get_running_loop()
        self.inside = compose(
            lambda: self.config,
            self.clock,
            loop,
            workers=self.workers,
            fatal=self.failures.append,
            reload=lambda: ([], []),
            read_only=self.read_only,
        )
        await self.inside.begin()
        return self

    async def delete(self, checkpoint_id: str) -> None:
        """To the trash, by an operator."""
        self._operator = self._operator or self.worker(pid=2, uid=0, role=Role.OPERATOR)
        asked = p.MutateCheckpoint(request=self._operator.next(), checkpoint_id=checkpoint_id)
        await self.inside.services.browsing.delete(self._operator.caller, asked)

    async def empty(self) -> None:
        """A cleanup that finds everything in the trash long enough there."""
        self.clock.tick(25 * 3600)
        await self.inside.services.maintenance.clean()

    async def stop(self) -> None:
        await self.inside.end()
        await asyncio.to_thread(self.inside.close)

    async def crash(self) -> None:
        """As after SIGKILL: nothing that was only in memory is written."""
        await asyncio.to_thread(self.inside.close)

    async def restart(self) -> None:
        await self.crash()
        await self.start()

    def worker(self, pid: int = 100, **who: Any) -> Worker:
        return Worker(self, pid, **who)

    async def tend(self, seconds: float = 1.0) -> None:
        self.clock.tick(seconds)
        await self.inside.services.processes.tend(seconds)
