"""The scrub: everything that is stored is read again and compared, at a bounded rate, before somebody needs it.

Owns the term *scrub*. A turn reads one slice of the pack that was looked at longest ago; once a pack is through, that is
kept, so that a restart loses no more than the pack in hand. Between the packs the catalog's own lists are gone through:
what lies inline against its hashes, and everything that is counted ahead against a recount; counts of references that
are too low are raised, because a chunk that dies too early is lost, and one that stays too long is not.

What is damaged is quarantined, never removed: it is named with the checkpoints that it hits, told once, and repaired by
whoever brings the same bytes again. `verify` is the same look, asked for and as fast as it comes.
Not for: how a slice is looked at (`store.verify`), or when (`loops.scrub`).
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from ckptclient.errors import BadRequest, Damaged
from ckptclient.wire import params
from ckptd.core.change import Change, CheckpointRow, EventRow
from ckptd.core.health import About, Figure
from ckptd.core.ids import CheckpointKey, PackKey
from ckptd.observe import log
from ckptd.service.caller import Caller
from ckptd.service.context import Context
from ckptd.service.users import user_name
from ckptd.service.views import Map
from ckptd.store.catalog.interface import CatalogReader, Damage, PackRow
from ckptd.store.records import RECORD_HEADER_BYTES
from ckptd.store.verify import FROM_START, STAGES, Cursor, Finding, Hit, Mending, PackCheck, Step, Verifier, hit, mend

LOG = log.get(__name__)

IDLE_SECONDS: Final = 60.0
"""How often it is looked for something that is due."""

GIVE_WAY: Final = 4
"""While others save, the scrub takes this share of its rate."""

NAMED_MAX: Final = 200
"""Checkpoints and places that one answer names."""

DAMAGE_MAX: Final = 10_000

_LISTED_AT, _PAUSED, _FAULTS = "scrub_listed_at", "scrub_paused", "scrub_faults"
"""Rows of the store's own table: when the lists were last gone through, whether to go on, how many faults they have."""


class Sizes(Protocol):
    """What the answers need of the packs."""

    def size_bytes(self, pack: str) -> int:
        """How long one is."""


@dataclass(slots=True)
class _Hand:
    """The pack in hand: where the next slice begins, and which places were found damaged so far."""

    pack: PackRow
    next: int = 0
    found: set[int] = field(default_factory=set)


class Scrubbing:
    """`store.verify`, `store.damage`, `store.scrub`, and the turns of the loop."""

    def __init__(
        self,
        context: Context,
        sizes: Sizes,
        check_file: Callable[[bool], Sequence[str]],
        packs: Callable[[bool], PackCheck],
        noticed: deque[tuple[str, int]],
        mending: Callable[[Path], Mending],
    ) -> None:
        """`packs` makes a check of packs, which decodes or doesn't; `check_file` looks over the catalog's, thoroughly or not.

        `noticed` has places that readers found damaged; `mending` fetches from packs in a directory.
        """
        self._context = context
        self._sizes = sizes
        self._verifiers = {
            deep: Verifier(lambda deep=deep: check_file(deep), packs(deep))  # type: ignore[misc]
            for deep in (False, True)
        }
        self._packs = packs(True)
        self._noticed = noticed
        self._mending = mending
        self._hand: _Hand | None = None
        self._lists: Cursor | None = None
        self._faults = 0
        self._asked_at = 0
        self._paused = False
        self._changes: object = 0

    async def recall(self) -> None:
        """Take up what an earlier daemon left."""
        read = self._context.backend.read
        self._paused = bool(await read(lambda reader: reader.setting(_PAUSED)))
        faults = await read(lambda reader: reader.setting(_FAULTS))
        self._faults = faults if isinstance(faults, int) else 0

    # Asked for

    async def verify(self, caller: Caller, p: params.Verify) -> Map:
        """One slice of a look at everything, and where the next one begins."""
        cursor = _cursor(p.place)
        verifier, backend = self._verifiers[p.deep], self._context.backend
        step: Step = await backend.read(lambda reader: verifier.step(reader, cursor))
        hits = await self._keep(step.findings)
        total = await backend.read(lambda reader: sum(map(self._sizes.size_bytes, reader.packs().values())))
        return {
            "stage": step.stage,
            "findings": [_finding(one, rows) for one, rows in zip(step.findings, hits, strict=True)],
            "read_bytes": step.read_bytes,
            "total_bytes": total,
            "next": list(step.next) if step.next is not None else None,
        }

    async def damage(self, caller: Caller, p: params.Nothing) -> Map:
        """What is known to be damaged, and how far the scrub is."""
        backend = self._context.backend
        known = await backend.read(lambda reader: reader.damage(NAMED_MAX))
        names = await backend.read(lambda reader: reader.packs())
        rows = await backend.read(_damaged_rows)
        packs = await backend.read(lambda reader: reader.pack_rows())
        listed_at = await backend.read(lambda reader: reader.setting(_LISTED_AT))
        return {
            "paused": self._paused,
            "oldest_at": packs[0].looked_at if packs else None,
            "listed_at": listed_at,
            "period_seconds": self._context.config().scrub.period_seconds,
            "faults": self._faults,
            "damage": [[names.get(one.pack, ""), one.offset, one.size_bytes, one.how, one.at] for one in known],
            "checkpoints": [_named(row) for row in rows],
        }

    async def steer(self, caller: Caller, p: params.Scrub) -> Map:
        """Begin a look at everything now, stop and go on, or fetch what is damaged from a backup."""
        if p.act == "repair":
            await self._repair(p.source)
            return {"paused": self._paused}
        if p.act == "start":
            self._asked_at = self._context.clock.now()
        self._paused = p.act == "pause"
        await self._context.backend.tend(lambda catalog: catalog.set(_PAUSED, int(self._paused)))
        return {"paused": self._paused}

    async def _repair(self, source: str | None) -> None:
        packs = Path(source or "") / "packs"
        if source is None or not packs.is_absolute() or not packs.is_dir():
            raise BadRequest(
                "the source of a repair is a directory that has packs", hint="name a backup's, by its absolute path"
            )
        backend, at = self._context.backend, self._context.clock.now()
        work = self._mending(packs)
        # What stands on a damaged chunk can be had once that one is whole again.
        while known := await backend.read(lambda reader: reader.damage(DAMAGE_MAX)):
            mended = await backend.read(lambda reader, known=known: work.fetch(reader, known))  # type: ignore[misc]
            if not mended.copies:
                break
            await backend.tend(lambda catalog, mended=mended: mend(catalog, mended, at))  # type: ignore[misc]
            LOG.info("damaged chunks were repaired", source=str(packs), count=len(mended.copies))

    # By itself

    async def turn(self) -> float:
        """One slice of what is due; how many seconds to wait for the next."""
        settings = self._context.config().scrub
        if self._noticed:
            await self._look_at(*self._noticed.popleft())
            return 0.1
        if self._paused or (not settings.period_seconds and not self._asked_at):
            return IDLE_SECONDS
        if self._lists is not None:
            await self._list_turn()
            return 0.1
        if self._hand is None and not await self._take():
            return IDLE_SECONDS
        if self._hand is None:
            return 0.0
        size_bytes = await self._pack_turn(self._hand)
        return size_bytes / settings.rate_bytes * (GIVE_WAY if self._others_save() else 1)

    async def _look_at(self, pack: str, offset: int) -> None:
        """A place that a reader found damaged: quarantined before the next save shares it."""
        rows = await self._context.backend.read(lambda reader: reader.pack_rows())
        for row in rows:
            if row.name == pack:
                found = await self._context.backend.read(lambda reader, row=row: self._packs.slice(reader, row, offset))  # type: ignore[misc]
                await self._keep(found.findings)

    async def _take(self) -> bool:
        """Take what is due in hand: a pack, or the lists; False where nothing is."""
        context = self._context
        # At half of the period, so that all of it is through by the end.
        half = round(context.config().scrub.period_seconds * 5e5)
        before = max(context.clock.now() - half if half else 0, self._asked_at)
        rows = await context.backend.read(lambda reader: reader.pack_rows())
        listed_at = await context.backend.read(lambda reader: reader.setting(_LISTED_AT))
        if not isinstance(listed_at, int) or listed_at < before:
            self._lists, self._faults = FROM_START, 0
        elif rows and rows[0].looked_at < before:
            self._hand = _Hand(rows[0])
        else:
            self._asked_at = 0
            return False
        return True

    async def _pack_turn(self, hand: _Hand) -> int:
        backend = self._context.backend
        found = await backend.read(lambda reader: self._packs.slice(reader, hand.pack, hand.next))
        self._context.metrics.count("scrubbed_bytes_total", found.read_bytes)
        hand.found.update(one.offset for one in found.findings)
        await self._keep(found.findings)
        if found.next is not None:
            hand.next = found.next
            return found.read_bytes
        now, key = self._context.clock.now(), hand.pack.key
        healed = await backend.read(lambda reader: _healed(reader, key, hand.found))
        if healed:
            await backend.tend(lambda catalog: catalog.release(key, healed))
        await backend.tend(lambda catalog: catalog.scrubbed(key, now))
        self._hand = None
        return found.read_bytes

    async def _list_turn(self) -> None:
        """A slice of the catalog's own lists; the stage of the packs is the other turns'."""
        assert self._lists is not None
        backend, cursor = self._context.backend, self._lists
        step = await backend.read(lambda reader: self._verifiers[False].step(reader, cursor))
        self._faults += len(step.findings)
        await self._keep(step.findings)
        if step.stage == "references" and step.findings:
            audit = await backend.read(lambda reader: reader.audit())
            await backend.tend(lambda catalog: catalog.raise_references(audit))
        self._lists = step.next if step.next is not None and STAGES[step.next[0]] != "packs" else None
        if self._lists is None:
            now, faults = self._context.clock.now(), self._faults
            await backend.tend(lambda catalog: catalog.set(_FAULTS, faults))
            await backend.tend(lambda catalog: catalog.set(_LISTED_AT, now))

    def _others_save(self) -> bool:
        changes = self._context.metrics.snapshot().get("changes_total", 0)
        before, self._changes = self._changes, changes
        return changes != before

    async def figures(self) -> dict[str, Figure]:
        """For the health: what is damaged, and how long ago the oldest look at a pack is, in periods."""
        context = self._context
        places = await context.backend.read(lambda reader: reader.damage(DAMAGE_MAX))
        rows = await context.backend.read(_damaged_rows)
        about = tuple(dict.fromkeys(About(row.uid, row.process_id) for row in rows))
        found = {"damage": Figure(float(len(places) + self._faults), about=about)}
        period = context.config().scrub.period_seconds
        packs = await context.backend.read(lambda reader: reader.pack_rows())
        if period and packs:
            age = max(0, context.clock.now() - packs[0].looked_at) / 1e6
            found["scrub_age"] = Figure(age / period)
        return found

    # What was found

    async def report(self, damage: Damaged) -> bool:
        """Quarantine and tell what a reader met; False where its details name no place of a chunk that is still there."""
        found = await self._context.backend.read(lambda reader: _met(reader, damage))
        if found is not None:
            await self._keep([found])
        return found is not None

    async def _keep(self, findings: Sequence[Finding]) -> list[list[CheckpointRow]]:
        """Quarantine and tell what is new; the checkpoints that each finding hits."""
        if not findings:
            return []
        context = self._context
        found = await context.backend.read(lambda reader: hit(reader, findings))
        rows = await context.backend.read(lambda reader: [_rows(reader, keys) for keys in found.checkpoints])
        if context.read_only is None:
            await self._tell(
                [
                    (one, its)
                    for one, its in zip(findings, rows, strict=True)
                    if one.pack is None or await self._quarantine(one, found)
                ]
            )
        return rows

    async def _quarantine(self, one: Finding, where: Hit) -> bool:
        """Whether it wasn't known."""
        assert one.pack is not None
        at = self._context.clock.now()
        place = Damage(one.pack, one.offset, one.size_bytes, one.chunk, one.message, at)
        return bool(await self._context.backend.tend(lambda catalog: catalog.quarantine([place], where.bodies)))

    async def _tell(self, fresh: Sequence[tuple[Finding, Sequence[CheckpointRow]]]) -> None:
        context = self._context
        events: list[EventRow] = []
        for one, rows in fresh:
            place = f"{one.pack_name} at {one.offset}" if one.pack_name else "the catalog"
            why = f"{place}: {one.message}"
            LOG.error(
                "damage was found", where=place, what=one.message, checkpoints=[row.checkpoint_id for row in rows]
            )
            context.metrics.count("damage_found_total")
            if not rows:
                events.append(EventRow("damaged", 0, None, "", (("why", why),)))
            events += (
                EventRow(
                    "damaged",
                    row.uid,
                    row.process,
                    row.process_id,
                    (("checkpoint_id", row.checkpoint_id), ("why", why)),
                )
                for row in rows[:NAMED_MAX]
            )
        if events:
            await context.backend.commit(Change(context.clock.now(), 0, events=tuple(events)))
            context.events.happened()


def _cursor(place: Sequence[int]) -> Cursor:
    if not place:
        return FROM_START
    if len(place) != 3 or place[0] > 4:
        raise BadRequest("this is no place to go on from", hint="send `next` of the last answer as it came")
    return place[0], place[1], place[2]


def _met(reader: CatalogReader, damage: Damaged) -> Finding | None:
    """The place that a reader's error names, as `store.chains` writes its details."""
    name, offset = damage.details.get("pack"), damage.details.get("offset")
    pack = next((key for key, one in reader.packs().items() if one == name), None)
    if pack is None or not isinstance(offset, int):
        return None
    placed = reader.placed(pack, offset, 1)
    if not placed or placed[0].row.offset != offset:
        return None
    row = placed[0].row
    return Finding(damage.message, pack, str(name), offset, RECORD_HEADER_BYTES + row.stored_bytes, row.key, row.id)


def _damaged_rows(reader: CatalogReader) -> list[CheckpointRow]:
    return _rows(reader, reader.checkpoints_of(reader.damaged_bodies())[:NAMED_MAX])


def _rows(reader: CatalogReader, keys: Sequence[CheckpointKey]) -> list[CheckpointRow]:
    return [row for key in keys if (row := reader.checkpoint(key)) is not None]


def _healed(reader: CatalogReader, pack: PackKey, found: set[int]) -> list[int]:
    """Places of a pack that were damaged and are no longer."""
    return [one.offset for one in reader.damage(DAMAGE_MAX) if one.pack == pack and one.offset not in found]


def _finding(one: Finding, rows: Sequence[CheckpointRow]) -> Map:
    return {
        "message": one.message,
        "pack": one.pack_name,
        "offset": one.offset,
        "size_bytes": one.size_bytes,
        "chunk": one.chunk_id,
        "checkpoints": [_named(row) for row in rows[:NAMED_MAX]],
    }


def _named(row: CheckpointRow) -> list[object]:
    return [user_name(row.uid), row.process_id, row.checkpoint_id]
