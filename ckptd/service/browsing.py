"""Finding, reading and ending checkpoints; owns how a checkpoint is named in a call."""

from collections.abc import Sequence
from dataclasses import replace

from ckptclient.errors import BadRequest, Conflict, UnknownCheckpoint
from ckptclient.wire import params
from ckptd.core import attempts
from ckptd.core.change import (
    Change,
    CheckpointRow,
    CheckpointType,
    EventRow,
    Guard,
    JournalAppend,
    Place,
    ProgressNow,
    Rewind,
)
from ckptd.core.ids import CheckpointKey, RequestId
from ckptd.core.naming import parse, reference
from ckptd.core.process_table import Mode
from ckptd.service import views
from ckptd.service.caller import Caller
from ckptd.service.context import Context
from ckptd.service.passing import Passing
from ckptd.service.registration import failed_records
from ckptd.service.restoring import Opened, Restoring
from ckptd.service.space import Space
from ckptd.service.table import Entry
from ckptd.service.views import PROGRESS_PART, Map, Related
from ckptd.store.catalog.interface import CatalogReader, Filter

SHORT_COUNT = 100
"""Rows that are read on the loop: half a millisecond at most, which a thread's turn would add to again."""

_TYPES = {kind.word: kind for kind in CheckpointType}


class Browsing:
    """Methods under `checkpoint.` that make none."""

    def __init__(self, context: Context, restoring: Restoring, space: Space) -> None:
        self._context = context
        self._restoring = restoring
        self._space = space

    # Finding

    async def find(self, caller: Caller, named: str) -> CheckpointRow:
        """By alias, by id, by `PROCESS@SEQ` or `PROCESS@latest`; of others only for who sees all."""
        uid, name = self._context.whose(caller, named)
        backend = self._context.backend
        row = backend.peek(lambda reader: _find(reader, uid, name))
        if row is None and caller.sees_all and uid == caller.uid:
            row = await backend.read(lambda reader: _find(reader, None, name))
        if row is None:
            raise UnknownCheckpoint(
                f"no checkpoint {named}", hint="ckptctl ls lists them", details={"what": "checkpoint"}
            )
        return row

    async def list_(self, caller: Caller, p: params.ListCheckpoints) -> Map:
        """A page, newest first."""
        uid: int | None = None if caller.sees_all else caller.uid
        process_id = p.process_id
        if process_id is not None and caller.sees_all and "/" in process_id:
            uid, process_id = self._context.whose(caller, process_id)
        wanted = Filter(
            uid=uid,
            process_id=process_id,
            task_id=p.task_id,
            type=_TYPES[p.type] if p.type is not None else None,
            tag=p.tag,
            status=p.status,
            since=p.since,
            until=p.until,
            trash=p.trash,
            before=CheckpointKey(p.after) if p.after is not None else None,
            limit=p.limit,
        )

        def ask(reader: CatalogReader) -> tuple[int | None, list[Map]]:
            found = reader.checkpoints(wanted)
            rows = found[: views.fitting(len(row.metadata) + len(row.description) for row in found)]
            more = len(rows) < len(found) or len(found) == p.limit
            return rows[-1].key if more else None, _shown(reader, rows)

        backend = self._context.backend
        following, shown = backend.peek(ask) if _is_short(wanted) else await backend.read(ask)
        return {"checkpoints": shown, "next": following}

    async def get(self, caller: Caller, p: params.GetCheckpoint) -> Map:
        """One checkpoint with its parts."""
        found = await self._restoring.open(await self._live(caller, p.checkpoint_id))
        if p.lend:
            found = await self._restoring.lend(found)
        return _lent(found, {**await self._show(found.row), "parts": await self._parts(found, data=p.data)})

    async def read(self, caller: Caller, p: params.ReadPart) -> Map:
        """A piece of one part's plain bytes."""
        return {
            "data": await self._restoring.piece(await self._live(caller, p.checkpoint_id), p.part, p.offset, p.length)
        }

    async def wait(self, caller: Caller, p: params.WaitCheckpoint) -> Map:
        """What was found is on disk: nothing is visible before."""
        row = await self._live(caller, p.checkpoint_id)
        return {"level": "disk", "checkpoint_id": row.checkpoint_id}

    async def _live(self, caller: Caller, named: str) -> CheckpointRow:
        row = await self.find(caller, named)
        caller.require(row.uid)
        if row.place is Place.TRASH:
            raise UnknownCheckpoint(
                f"checkpoint {named} is in the trash",
                hint="ckptctl ls --trash lists it",
                details={"what": "checkpoint"},
            )
        return row

    # Putting back

    async def restore(self, caller: Caller, p: params.Restore) -> Map:
        """The newest whole state; in a stateful process what was recorded after it is set aside by this."""
        context = self._context
        entry, token = await context.entry(caller, p.token)
        if token.member is not None:
            raise BadRequest("a member has no state to restore", hint="restore in the holder, and hand the state on")
        await entry.drain()
        choice = await self._restoring.choose(entry.key, context.config().process.attempts_max, lend=p.lend)
        chosen = choice.with_state
        # On a store that can't be written the state is given all the same; who goes on from it is refused at its first
        # record or save, so that what isn't set aside now does no harm.
        if entry.mode is Mode.STATEFUL and context.read_only is None:
            await self._rewind(caller, p.request, entry, chosen)
        entry.unproven = chosen.row.key if chosen is not None else None
        now = context.clock.now()
        answer: dict[str, object] = {
            "found": chosen is not None,
            "checkpoint": await self._show(chosen.row) if chosen is not None else None,
            "parts": await self._parts(chosen, data=True) if chosen is not None else [],
            "skipped": [list(one) for one in choice.skipped],
            "journal": {"position": entry.next_position, "done": entry.done, "failed": entry.failed},
            "progress": views.progress(entry.progress(), now),
        }
        return _lent(chosen, answer)

    async def _rewind(self, caller: Caller, request: int, entry: Entry, chosen: Opened | None) -> None:
        """Set aside what came after the checkpoint, or everything where there is none, and go back to its progress."""
        context, key = self._context, entry.key
        row = chosen.row if chosen is not None else None
        position, seq = (row.journal_position, row.seq) if row is not None else (0, 0)
        if position == entry.next_position and seq == entry.next_seq - 1:
            return
        done, failed = await context.backend.read(lambda reader: reader.journal_counts(key, position))
        suspects = await context.backend.read(lambda reader: reader.suspects(key))
        aside = attempts.set_aside(suspects, context.config().process.attempts_max)
        records = failed_records(aside)
        redo = entry.done + entry.failed - done - failed
        standing = await self._standing(entry, chosen, done, failed + len(records))
        upto = entry.next_position
        entry.next_position += len(records)
        change = Change(
            context.clock.now(),
            caller.uid,
            RequestId(caller.session, request),
            Guard(key, entry.epoch),
            journal=JournalAppend(upto, records, tuple(one.item for one in aside)) if records else None,
            rewind=Rewind(row.key if row is not None else None, seq, entry.next_seq - 1, position, upto),
            progress=standing,
            events=(EventRow("rewound", entry.uid, key, entry.process_id, (("set_aside", redo),)),),
        )
        await context.backend.commit(change)
        context.events.happened()
        entry.go_back(standing, redo)
        entry.suspected = frozenset(one.item for one in suspects if one not in aside)

    async def _standing(self, entry: Entry, chosen: Opened | None, done: int, failed: int) -> ProgressNow:
        """The progress as of a checkpoint, with the counts of what is left of the journal."""
        now, names = entry.progress(), [part.name for part in chosen.parts] if chosen is not None else []
        if chosen is None or PROGRESS_PART not in names:
            return replace(now, completed=0, step="initialized", batch=None, done=done, failed=failed)
        index = names.index(PROGRESS_PART)
        raw = await self._restoring.read(chosen, index, 0, chosen.parts[index].size_bytes)
        return views.standing(raw, now, done, failed)

    async def _parts(self, found: Opened, *, data: bool) -> list[list[object]]:
        known = await self._restoring.data(found) if data else [None] * len(found.parts)
        return [views.part(part, one) for part, one in zip(found.parts, known, strict=True)]

    async def _show(self, row: CheckpointRow) -> Map:
        return (await self._context.backend.read(lambda reader: _shown(reader, [row])))[0]

    # Ending and keeping

    async def delete(self, caller: Caller, p: params.MutateCheckpoint) -> Map:
        """To the trash, from where it can be revived for a while."""
        try:
            row = await self.find(caller, p.checkpoint_id)
        except UnknownCheckpoint:
            return {"deleted": False}
        caller.require(row.uid)
        event = EventRow("deleted", row.uid, row.process, row.process_id, (("checkpoint_id", row.checkpoint_id),))
        moved = await self._move(caller, p.request, to_trash=(row.key,), events=(event,))
        return {"deleted": moved > 0}

    async def pin(self, caller: Caller, p: params.MutateCheckpoint) -> Map:
        """Exempt from retention."""
        row = await self.find(caller, p.checkpoint_id)
        caller.require(row.uid)
        if row.place is Place.TRASH:
            raise Conflict(f"{row.checkpoint_id} is in the trash", hint="revive it first")
        await self._move(caller, p.request, pins=(row.key,))
        return {"pinned": True}

    async def unpin(self, caller: Caller, p: params.MutateCheckpoint) -> Map:
        """Back under retention."""
        row = await self.find(caller, p.checkpoint_id)
        caller.require(row.uid)
        await self._move(caller, p.request, unpins=(row.key,))
        return {"pinned": False}

    async def revive(self, caller: Caller, p: params.MutateCheckpoint) -> Map:
        """Back from the trash, for as long as a new one would be kept, or longer where its own time isn't over."""
        row = await self.find(caller, p.checkpoint_id)
        caller.require(row.uid)
        now, seconds = self._context.clock.now(), self._context.config().retention.ttl_seconds
        until = now + round(seconds * 1_000_000) if seconds else None
        event = EventRow("revived", row.uid, row.process, row.process_id, (("checkpoint_id", row.checkpoint_id),))
        events = (event,) if row.place is Place.TRASH else ()
        moved = await self._move(caller, p.request, from_trash=(row.key,), revived_until=until, events=events)
        found = await self._context.backend.read(lambda reader: reader.checkpoint(row.key))
        if found is None:
            raise UnknownCheckpoint(
                f"{row.checkpoint_id} was in the trash, and is gone for good now",
                hint="ckptctl ls --trash lists what can be revived",
                details={"what": "checkpoint"},
            )
        return {"revived": moved > 0, "checkpoint_id": found.checkpoint_id, "expires_at": found.expires_at}

    async def _move(
        self,
        caller: Caller,
        request: int,
        *,
        to_trash: tuple[CheckpointKey, ...] = (),
        from_trash: tuple[CheckpointKey, ...] = (),
        revived_until: int | None = None,
        pins: tuple[CheckpointKey, ...] = (),
        unpins: tuple[CheckpointKey, ...] = (),
        events: tuple[EventRow, ...] = (),
    ) -> int:
        now, name = self._context.clock.now(), RequestId(caller.session, request)
        change = Change(
            now, caller.uid, name, to_trash=to_trash, from_trash=from_trash, revived_until=revived_until, pins=pins,
            unpins=unpins, events=events,
        )  # fmt: skip
        (moved,) = await self._space.freeing(lambda: self._context.backend.commit(change))
        self._context.events.happened()
        assert isinstance(moved, int)
        return moved


def _lent(found: Opened | None, answer: dict[str, object]) -> Map:
    """The answer, with the memory in which the large parts are."""
    answer["descriptors"] = None
    return answer if found is None or found.loan is None else Passing(answer, [found.loan.seal()])


def _is_short(wanted: Filter) -> bool:
    """Whether a few steps in one index answer it: the newest of a process, or of all users."""
    plain = wanted.type is None and wanted.tag is None and wanted.status is None and wanted.task_id is None
    within = wanted.since is None and wanted.until is None and not wanted.trash
    walks = wanted.process_id is not None or wanted.uid is None
    return walks and plain and within and wanted.limit <= SHORT_COUNT


def _find(reader: CatalogReader, uid: int | None, name: str) -> CheckpointRow | None:
    row = reader.find_alias(uid, name)
    if row is not None:
        return row
    named = parse(name)
    if named is not None:
        process_id, kind, seq = named
        row = reader.find_checkpoint(uid, process_id, seq)
        return row if row is not None and row.type is kind else None
    place = reference(name)
    if place is None:
        return None
    if place.seq is not None:
        return reader.find_checkpoint(uid, place.process_id, place.seq)
    newest = reader.checkpoints(Filter(uid=uid, process_id=place.process_id, limit=1))
    return newest[0] if newest else None


def _shown(reader: CatalogReader, rows: Sequence[CheckpointRow]) -> list[Map]:
    """Rows with what belongs to them from other tables."""
    if not rows:
        return []
    keys = [row.key for row in rows]
    tags, dependencies = reader.tags(keys), reader.dependencies(keys)
    related: dict[CheckpointKey, Related] = {}
    for key in {*tags, *dependencies}:
        needs = [reader.checkpoint(needed) for needed in dependencies.get(key, ())]
        related[key] = Related(tags.get(key, ()), [one.checkpoint_id for one in needs if one is not None])
    return [views.checkpoint(row, related.get(row.key, views.ALONE)) for row in rows]
