"""Becoming the holder of a process: register, recover, fence; owns the order in which an epoch is raised.

The order, whoever asks: one claim of a name at a time; nothing more is admitted under the old epoch; what was
admitted has its outcome; the claim is committed; the entry is made anew from its row. So no acknowledged save is ever
refused as fenced, and a registration that resumes is a recovery by the same path.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgpack

from ckptclient.errors import BadRequest, Conflict, Draining, NotFound, UnknownProcess
from ckptclient.wire import params
from ckptd.core import attempts, lease
from ckptd.core.change import Change, Claim, EventRow, JournalAppend, JournalRecord, ProcessRow, ProgressNow
from ckptd.core.ids import Holder, ProcessKey, RequestId, Token
from ckptd.core.journal import FAILED, key_digest
from ckptd.core.process_table import Act, Mode, State
from ckptd.service import policies, views
from ckptd.service.caller import Caller
from ckptd.service.context import Context
from ckptd.service.restoring import Choice, Opened, Restoring
from ckptd.service.table import Entry
from ckptd.service.views import Map
from ckptd.store.catalog.interface import Suspect

NOTHING_TO_CHOOSE = Choice(None, None, ())


@dataclass(frozen=True, slots=True)
class _Asked:
    """A registration or a recovery, as both are claimed alike."""

    request: int
    process_id: str
    takeover: bool
    fresh: bool
    wishes: params.Register | None
    incarnation: bytes


class Registration:
    """Gives epochs. `new_incarnation` makes 16 random bytes."""

    def __init__(self, context: Context, restoring: Restoring, new_incarnation: Callable[[], bytes]) -> None:
        self._context = context
        self._restoring = restoring
        self._new_incarnation = new_incarnation

    async def register(self, caller: Caller, p: params.Register) -> Map:
        """Begin a process, a new life of it, or resume it."""
        policies.check(p.policy)
        limit = self._context.config().store.limit.bytes_max
        if limit is not None and p.state_bytes > limit:
            raise BadRequest(
                f"a state of {p.state_bytes} bytes can never fit: the store's limit is {limit} bytes",
                hint="raise store.limit, or save less",
            )
        return await self._claimed(
            caller, _Asked(p.request, p.process_id, p.takeover, p.fresh, p, self._new_incarnation())
        )

    async def recover(self, caller: Caller, p: params.Recover) -> Map:
        """Take up a process that there is; NOT_FOUND where there is nothing to recover."""
        return await self._claimed(caller, _Asked(p.request, p.process_id, p.takeover, False, None, b""))

    async def _claimed(self, caller: Caller, asked: _Asked) -> Map:
        context = self._context
        if context.draining:
            raise Draining(f"nothing new begins here: {context.draining}", hint="ask again later, or on another node")
        if caller.holder is None:
            raise BadRequest(
                "the daemon can't tell which OS process this is", hint="run it in the daemon's pid namespace"
            )
        async with context.table.claiming(caller.uid, asked.process_id):
            row = await context.backend.read(lambda reader: reader.process(caller.uid, asked.process_id))
            return await self._claim(caller, caller.holder, asked, row)

    async def _claim(self, caller: Caller, holder: Holder, asked: _Asked, row: ProcessRow | None) -> Map:
        context, now = self._context, self._context.clock.now()
        entry = context.table.get(row.key) if row else None
        changed = _changed(row, asked.wishes)
        grant = lease.claim(
            self._holding(row, entry),
            holder,
            now=now,
            lease_seconds=context.config().process.lease_seconds,
            takeover=asked.takeover,
            fresh=asked.fresh or (changed and asked.wishes is not None and asked.wishes.on_change == "restart"),
        )
        if grant.resumed and changed and asked.wishes is not None and asked.wishes.on_change == "refuse":
            raise Conflict(
                f"process {asked.process_id} was begun with another fingerprint",
                hint='register with on_change="warn" to go on all the same, or "restart" to begin anew',
            )
        if asked.wishes is None and (row is None or grant.new_incarnation):
            raise UnknownProcess(
                f"process {asked.process_id} has nothing to recover", hint="register it", details={"what": "process"}
            )
        if entry is not None:
            entry.closing = True
        try:
            return await self._raise_epoch(caller, holder, asked, row if grant.resumed else None, row, changed)
        finally:
            if entry is not None:
                entry.closing = False

    async def _raise_epoch(
        self,
        caller: Caller,
        holder: Holder,
        asked: _Asked,
        resumed: ProcessRow | None,
        row: ProcessRow | None,
        changed: bool,
    ) -> Map:
        context = self._context
        entry = context.table.get(row.key) if row else None
        if entry is not None:
            await entry.drain()
            resumed = await self._row(entry.key) if resumed is not None else None
        choice, suspects = await self._found(asked, resumed)
        aside = attempts.set_aside(suspects, context.config().process.attempts_max)
        # A stateful process sets them aside with its restore: a rewind would set this record aside, too.
        now_aside = aside if resumed is not None and resumed.mode is not Mode.STATEFUL else ()
        change = self._change(caller, holder, asked, resumed, row.key if row is not None else None, now_aside)
        key, epoch = await context.backend.commit(change)
        assert isinstance(key, int)
        context.events.happened()
        found = await self._row(ProcessKey(key))
        if found.epoch != epoch:
            raise Conflict("another worker took the process since", hint="register again")
        left = [one for one in suspects if one not in now_aside]
        fresh = self._enter(caller, entry, found, choice)
        fresh.suspected = frozenset(one.item for one in left)
        careful = attempts.careful(found.deaths, len(left))
        return await self._registered(fresh, found, choice, aside, changed, careful=careful)

    async def _found(self, asked: _Asked, resumed: ProcessRow | None) -> tuple[Choice, Sequence[Suspect]]:
        """What there is to go on from: checkpoints that are whole, and items under suspicion."""
        if resumed is None:
            return NOTHING_TO_CHOOSE, ()
        context, key = self._context, resumed.key
        choice = await self._restoring.choose(key, context.config().process.attempts_max)
        if asked.wishes is None and choice.newest is None:
            raise NotFound(f"process {asked.process_id} has no checkpoint to recover", details={"what": "checkpoint"})
        return choice, await context.backend.read(lambda reader: reader.suspects(key))

    def _change(
        self,
        caller: Caller,
        holder: Holder,
        asked: _Asked,
        resumed: ProcessRow | None,
        current: ProcessKey | None,
        aside: Sequence[Suspect],
    ) -> Change:
        wishes, now = asked.wishes, self._context.clock.now()
        claim = Claim(
            uid=caller.uid,
            process_id=asked.process_id,
            process=resumed.key if resumed else None,
            seen_epoch=resumed.epoch if resumed else None,
            holder=holder,
            act=Act.TAKE,
            incarnation=asked.incarnation,
            retires=None if resumed else current,
            task_id=wishes.task_id if wishes else "",
            description=wishes.description if wishes else "",
            fingerprint=(wishes and wishes.fingerprint) or (resumed and resumed.fingerprint) or None,
            schema_version=wishes.schema_version if wishes else resumed.schema_version if resumed else 0,
            policy=msgpack.packb(wishes.policy.pack()) if wishes and wishes.policy else b"",
            abandon_after=_abandon_after(wishes),
        )
        progress = _progress_at_start(resumed, wishes, len(aside), now)
        journal = (
            JournalAppend(resumed.next_position, failed_records(aside), tuple(one.item for one in aside))
            if resumed and aside
            else None
        )
        kind = "resumed" if resumed else "registered"
        event = EventRow(kind, caller.uid, resumed.key if resumed else None, asked.process_id, (("pid", holder.pid),))
        request = RequestId(caller.session, asked.request)
        return Change(now, caller.uid, request, claim=claim, journal=journal, progress=progress, events=(event,))

    def _enter(self, caller: Caller, old: Entry | None, row: ProcessRow, choice: Choice) -> Entry:
        """The new entry in place of the old one."""
        context, now = self._context, self._context.clock.now()
        last = None
        if choice.newest is not None:
            last = (now, row.progress.completed)
        if old is not None:
            context.table.drop(old)
        entry = context.table.take_in(row, now, last)
        entry.connections.add(caller.connection)
        entry.lost_at = None
        if choice.with_state is not None:
            entry.unproven = choice.with_state.row.key
        elif choice.newest is not None:
            entry.unproven = choice.newest.row.key
        if old is not None:
            entry.save_cost_seconds = old.save_cost_seconds
        return entry

    async def _registered(
        self, entry: Entry, row: ProcessRow, choice: Choice, aside: Sequence[Suspect], changed: bool, careful: bool
    ) -> Map:
        context, now = self._context, self._context.clock.now()
        # Also nobody's process: its state was brought by an import, or by somebody who held nothing.
        resumed = row.epoch > 1 or choice.with_state is not None
        warnings = ["the fingerprint is another one than at the beginning"] if changed and resumed else []
        warnings += [f"checkpoint {name} was walked past: {why}" for name, why in choice.skipped]
        return {
            "token": Token(context.backend.lineage, row.key, row.epoch).pack(),
            "process_id": row.process_id,
            "epoch": row.epoch,
            "incarnation": row.incarnation,
            "resumed": resumed,
            "mode": row.mode.name.lower(),
            "state": row.state.word,
            "progress": views.progress(entry.progress(), now),
            "checkpoint": _shown(choice.newest),
            "state_checkpoint": _shown(choice.with_state),
            "skipped": [list(one) for one in choice.skipped],
            "warnings": warnings,
            "journal": {"position": row.next_position, "done": row.progress.done, "failed": row.progress.failed},
            "sequence": row.sequence or None,
            "careful": careful,
            "set_aside": [[one.item, one.attempts, one.evidence] for one in aside],
            "lease_seconds": context.config().process.lease_seconds,
            "policy": msgpack.unpackb(row.policy) if row.policy else {},
            "registered_at": row.registered_at,
            "schema_version": row.schema_version,
            "changed": changed and resumed,
        }

    def _holding(self, row: ProcessRow | None, entry: Entry | None) -> lease.Holding | None:
        if row is None:
            return None
        if entry is None:
            # Nobody who holds is missing in memory: the table is rebuilt at start.
            return lease.Holding(row.process_id, row.state)
        holder = entry.holder
        alive = self._context.workers.alive(holder) if holder is not None else None
        return lease.Holding(
            row.process_id, entry.state, holder, alive, bool(entry.connections), entry.registered_at, entry.heard_at
        )

    async def _row(self, key: ProcessKey) -> ProcessRow:
        row = await self._context.backend.read(lambda reader: reader.process_by_key(key))
        assert row is not None, "a row that was just committed"
        return row

    async def fence(self, caller: Caller, p: params.MutateProcess) -> Map:
        """End a process's lease and raise its epoch: its worker, alive or not, writes nothing more."""
        context = self._context
        uid, process_id = context.whose(caller, p.process_id)
        async with context.table.claiming(uid, process_id):
            row = await context.backend.read(lambda reader: reader.process(uid, process_id))
            if row is None:
                raise UnknownProcess(f"no process {process_id}", details={"what": "process"})
            entry = context.table.get(row.key)
            if entry is not None:
                entry.closing = True
                await entry.drain()
            claim = Claim(uid, process_id, row.key, row.epoch, None, Act.INTERRUPT)
            event = EventRow("fenced", uid, row.key, process_id, (("by_uid", caller.uid),))
            change = Change(
                context.clock.now(), caller.uid, RequestId(caller.session, p.request), claim=claim, events=(event,)
            )
            try:
                _, epoch = await context.backend.commit(change)
            finally:
                if entry is not None:
                    entry.closing = False
            context.events.happened()
            if entry is not None:
                context.table.take_in(await self._row(row.key), context.clock.now())
            return {"epoch": epoch}


def failed_records(aside: Sequence[Suspect]) -> tuple[JournalRecord, ...]:
    """The journal's records of items that were set aside: failed, with the evidence."""
    return tuple(
        JournalRecord(
            FAILED,
            one.ordinal,
            key_digest(one.ordinal, one.item),
            one.item,
            msgpack.packb(f"set aside: {one.evidence}"),
        )
        for one in aside
    )


def _changed(row: ProcessRow | None, wishes: params.Register | None) -> bool:
    if row is None or wishes is None or row.state is State.COMPLETED:
        return False
    return wishes.fingerprint is not None and row.fingerprint is not None and wishes.fingerprint != row.fingerprint


def _abandon_after(wishes: params.Register | None) -> int | None:
    seconds = wishes.policy.abandon_after_seconds if wishes and wishes.policy else None
    return round(seconds * 1_000_000) if seconds is not None else None


def _progress_at_start(
    resumed: ProcessRow | None, wishes: params.Register | None, failed_now: int, at: int
) -> ProgressNow | None:
    asked = wishes.progress if wishes else None
    if resumed is None:
        metadata = (asked and asked.metadata) or b""
        step = (asked and asked.step) or "initialized"
        total, completed = (asked.total, asked.completed or 0) if asked else (None, 0)
        return ProgressNow(total, completed, step, None, metadata, 0, 0, b"", at)
    now = resumed.progress
    total = asked.total if asked and asked.total is not None else now.total
    failed = now.failed + failed_now
    return ProgressNow(total, now.completed, now.step, now.batch, now.metadata, now.done, failed, now.speed, now.at)


def _shown(found: Opened | None) -> Map | None:
    return views.checkpoint(found.row) if found is not None else None
