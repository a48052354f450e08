"""A node with states in it, and what is done to its backups."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ckptclient.wire import params as p
from ckptd.compose import backup_copies, open_offline
from ckptd.service.caller import Role
from ckptd.service.restoring import opened
from ckptd.store import backup
from ckptd.store.backup import Destination, Made, Manifest
from ckptd.store.backup.drill import Drilled
from ckptd.store.backup.verifying import Verified
from ckptd.store.catalog.interface import Filter
from tests.ckptd.service.node import Node

COPIES = backup_copies()
AT = 1_764_074_096_000_000
LINEAGE = b"another lineage "


class Backing:
    """A node, its worker, and a destination."""

    def __init__(self, node: Node, path: Path) -> None:
        self.node = node
        self.worker = node.worker()
        self.operator = node.worker(pid=1, uid=0, role=Role.OPERATOR)
        self.target = Destination(path)
        self.states: dict[str, bytes] = {}
        self._made = 0

    async def save(self, process_id: str, size_bytes: int = 60_000) -> None:
        """Another state of a process, which doesn't compress."""
        self.states[process_id] = os.urandom(size_bytes)
        await self.worker.save(None, self.states[process_id], process_id=process_id)

    async def begin(self) -> int:
        begun: Mapping[str, Any] = await self.node.inside.services.backing_up.begin(
            self.operator.caller, p.Mutate(request=self.operator.next())
        )
        return int(begun["backup"])

    async def end(self, number: int, made: Made | None = None) -> bool:
        checksum = bytes.fromhex(made.manifest.checksum) if made is not None else None
        ended = p.EndBackup(request=self.operator.next(), backup=number, checksum=checksum, name="b", path="/b")
        return bool((await self.node.inside.services.backing_up.end(self.operator.caller, ended))["held"])

    def copy(self, keep: int = 9, **how: Any) -> Made:
        """The files of a store that a daemon has."""
        return self._run(backup.Source(self.node.path, live=True, **how), keep)

    def copy_closed(self, keep: int = 9) -> Made:
        """Those of a store that nobody has."""
        return self._run(backup.Source(self.node.path, live=False), keep)

    def _run(self, source: backup.Source, keep: int, told: Callable[[int, int], None] | None = None) -> Made:
        self._made += 1
        at = AT + 1_000_000 * self._made
        with self.target.occupied():
            return backup.run(
                source,
                self.target,
                COPIES,
                at=at,
                random=os.urandom(4),
                keep=keep,
                told=told or (lambda done, total: None),
            )

    async def back_up(self, keep: int = 9) -> Made:
        number = await self.begin()
        made = self.copy(keep)
        assert await self.end(number, made)
        return made

    def verify(self, manifest: Manifest, *, deep: bool = True) -> Verified:
        return backup.verify(self.target, manifest, COPIES, deep=deep)

    def drill(self, manifest: Manifest, scratch: Path) -> Drilled:
        return backup.drill(self.target, manifest, COPIES, open_offline, lineage=LINEAGE, at=AT, scratch=scratch)

    def restore(self, manifest: Manifest, store: Path, lineage: bytes = LINEAGE) -> Mapping[str, bytes]:
        """What each process's newest state is in the store that is made."""
        backup.restore(self.target, manifest, store, COPIES, lineage=lineage, at=AT)
        return states(store)


def states(store: Path) -> dict[str, bytes]:
    """The newest state of each process of a store that nobody has."""
    found: dict[str, bytes] = {}
    with open_offline(store) as its:
        for row in reversed(its.reader.checkpoints(Filter(limit=1000))):
            one = opened(row, its.reader.content(row.key))
            data = (
                one.inline_part(0) if one.inline is not None else b"".join(its.parts.pieces(its.reader, one.parts[0]))
            )
            found[row.process_id] = data
    return found


def flip(path: Path, offset: int) -> None:
    """Change one byte of a file where it lies."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))
