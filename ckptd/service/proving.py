"""Proof that processes can be recovered: their newest checkpoints are read as a recovery would, before anybody needs it.

Owns the terms *drill* and *proven*. A drill takes the candidates of a process newest first, the newest one and the newest
with the application's state, and reads every byte of them past the page cache down to plain bytes that have their ids
and hashes. What is whole is proven, with a date; what isn't is told by name, and the next older one is tried: that is what
a recovery would give. Nothing is repaired or set aside here, and nobody's attempts are counted.
Not for: reading all of the store (the scrub), or when it is done (`loops.proving`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ckptclient.errors import Damaged, UnknownCheckpoint, UnknownProcess
from ckptclient.wire import params
from ckptd.core.change import Change, CheckpointRow, EventRow, ManifestPart, Place, ProcessRow
from ckptd.core.health import About, Figure
from ckptd.core.ids import CheckpointKey, ProcessKey
from ckptd.observe import log
from ckptd.service.caller import Caller
from ckptd.service.context import Context
from ckptd.service.restoring import Opened, Restoring
from ckptd.service.users import user_name
from ckptd.service.views import Map
from ckptd.store.catalog.interface import CatalogReader, Proof

LOG = log.get(__name__)

PAGE = 100
"""Processes asked for at a time."""

BROKEN_MAX = 100
"""So many are named in the health report."""

PIECE_BYTES = 1 << 20

_START = ProcessKey(0)


class Prover(Protocol):
    """Reads parts chunk by chunk from the medium."""

    def chunks_count(self, catalog: CatalogReader, part: ManifestPart) -> int:
        """Of how many chunks a part is; Damaged where the catalog's list of them doesn't match its manifest."""

    def prove(self, catalog: CatalogReader, part: ManifestPart, index: int) -> int:
        """Read one of them past every cache, verify it, and drop it; returns its plain bytes. Damaged names it."""


@dataclass(frozen=True, slots=True)
class Drilled:
    """One process's drill: what is whole, what was walked past (id, why), and what it took."""

    row: ProcessRow
    proof: Proof
    whole: CheckpointRow | None
    damaged: Sequence[tuple[str, str]]
    size_bytes: int
    seconds: float


class Proving:
    """`process.prove`, and the slow round through all processes."""

    def __init__(
        self,
        context: Context,
        restoring: Restoring,
        prover: Prover,
        report: Callable[[Damaged], Awaitable[bool]],
    ) -> None:
        """`report` is told of damage, and answers whether it has a place in a pack, so that it is told and kept there."""
        self._context = context
        self._report = report
        self._restoring = restoring
        self._prover = prover
        self._told: set[CheckpointKey] = set()

    # Asked for

    async def prove(self, caller: Caller, p: params.NamedProcess) -> Map:
        """Drill one process now, as fast as its bytes come."""
        uid, process_id = self._context.whose(caller, p.process_id)
        row = await self._context.backend.read(lambda reader: reader.process(uid, process_id))
        if row is None:
            raise UnknownProcess(
                f"no process {p.process_id}", hint="ckptctl ps lists them", details={"what": "process"}
            )
        caller.require(row.uid)
        found = await self._drill(row, None)
        return {
            "process_id": row.process_id,
            "user": user_name(row.uid),
            "checkpoint_id": found.whole.checkpoint_id if found.whole is not None else None,
            "seq": found.proof.seq,
            "proven_at": found.proof.proven_at,
            "size_bytes": found.size_bytes,
            "seconds": found.seconds,
            "damaged": [list(one) for one in found.damaged],
        }

    # By itself

    async def round(self) -> int:
        """Drill whoever's last drill is longer ago than `proof.interval`, at `proof.rate`; how many there were."""
        context, count = self._context, 0
        async for key in self._due():
            row = await context.backend.read(lambda reader, key=key: reader.process_by_key(key))  # type: ignore[misc]
            if row is not None:
                await self._drill(row, context.config().proof.rate_bytes)
                count += 1
        return count

    async def _due(self) -> AsyncIterator[ProcessKey]:
        context = self._context
        before = context.clock.now() - round(context.config().proof.interval_seconds * 1e6)
        keys: Sequence[ProcessKey] = [_START]
        while keys:
            after = keys[-1]
            keys = await context.backend.read(lambda reader, after=after: reader.unproven(before, after, PAGE))  # type: ignore[misc]
            for key in keys:
                yield key

    async def figures(self) -> dict[str, Figure]:
        """For the health: processes that would lose work, because what a recovery would ask for first is damaged."""
        rows = await self._context.backend.read(lambda reader: reader.broken(BROKEN_MAX))
        self._context.metrics.gauge("damaged_state_processes", len(rows))
        about = tuple(About(row.uid, row.process_id) for row in rows)
        return {"damaged_state": Figure(float(len(rows)), about=about)}

    # A drill

    async def _drill(self, row: ProcessRow, rate: int | None) -> Drilled:
        context = self._context
        begun, at = context.clock.monotonic(), context.clock.now()
        damaged: dict[CheckpointKey, tuple[str, Damaged]] = {}
        newest, size_bytes = await self._first(row, False, rate, damaged)
        whole = newest
        if newest is None or not newest.has_state:
            stateful, more = await self._first(row, True, rate, damaged)
            whole, size_bytes = stateful or newest, size_bytes + more
        proof = Proof(
            row.key,
            at,
            at if whole is not None else None,
            whole.key if whole is not None else None,
            whole.seq if whole is not None else None,
            len(damaged),
        )
        if context.read_only is None:
            await context.backend.tend(lambda catalog: catalog.prove([proof]))
        context.metrics.count("proofs_total")
        context.metrics.count("proven_bytes_total", size_bytes)
        if whole is not None:
            context.metrics.gauge("proven_at_seconds", at / 1e6)
        past = tuple((name, damage.message) for name, damage in damaged.values())
        found = Drilled(row, proof, whole, past, size_bytes, context.clock.monotonic() - begun)
        await self._tell(row, damaged)
        return found

    async def _first(
        self, row: ProcessRow, with_state: bool, rate: int | None, damaged: dict[CheckpointKey, tuple[str, Damaged]]
    ) -> tuple[CheckpointRow | None, int]:
        """The newest candidate that is whole, and the bytes that were read for it."""
        for key in await self._context.backend.read(lambda reader: reader.candidates(row.key, with_state)):
            if key in damaged:
                continue
            checkpoint = await self._restoring.row(key)
            if checkpoint is None:  # dropped meanwhile
                continue
            try:
                return checkpoint, await self._read(checkpoint, rate)
            except UnknownCheckpoint:  # dropped while it was read
                continue
            except Damaged as damage:
                if (await self._restoring.row(key)) is not None:
                    damaged[key] = checkpoint.checkpoint_id, damage
        return None, 0

    async def _read(self, checkpoint: CheckpointRow, rate: int | None) -> int:
        found = await self._restoring.open(checkpoint)
        if found.inline is not None:
            return len(found.inline)
        total = 0
        async for size_bytes in self._elsewhere(found) if checkpoint.place is Place.ARCHIVED else self._chunks(found):
            total += size_bytes
            if rate:
                await self._context.clock.sleep(size_bytes / rate)
        return total

    async def _chunks(self, found: Opened) -> AsyncIterator[int]:
        """Each chunk of what lies in packs, from the medium; its plain bytes."""
        read, prover = self._context.backend.read, self._prover
        for part in found.parts:
            for index in range(await read(lambda reader, part=part: prover.chunks_count(reader, part))):  # type: ignore[misc]
                yield await read(lambda reader, part=part, index=index: prover.prove(reader, part, index))  # type: ignore[misc]

    async def _elsewhere(self, found: Opened) -> AsyncIterator[int]:
        """What has no chunks here, piece by piece as a worker would be given it."""
        for index, part in enumerate(found.parts):
            for offset in range(0, part.size_bytes, PIECE_BYTES):
                yield len(await self._restoring.read(found, index, offset, PIECE_BYTES))

    async def _tell(self, row: ProcessRow, damaged: Mapping[CheckpointKey, tuple[str, Damaged]]) -> None:
        """Name what is damaged, once in a daemon's life: a place in a pack with all that it hits, else the checkpoint."""
        new = {key: one for key, one in damaged.items() if key not in self._told}
        self._told.update(new)
        events: list[EventRow] = []
        for name, damage in new.values():
            self._context.metrics.count("proofs_damaged_total")
            if self._context.read_only is None and await self._report(damage):
                continue
            why = damage.message
            LOG.error("a checkpoint is damaged", process=row.process_id, uid=row.uid, checkpoint=name, why=why)
            events.append(
                EventRow("damaged", row.uid, row.key, row.process_id, (("checkpoint_id", name), ("why", why)))
            )
        if events and self._context.read_only is None:
            await self._context.backend.commit(Change(self._context.clock.now(), row.uid, events=tuple(events)))
            self._context.events.happened()
