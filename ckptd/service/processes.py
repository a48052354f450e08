"""What a holder does with its process, and what becomes of it when the holder is gone.

Progress is kept in the table and written with whatever else is committed for the process, else once a second while it
changes. Death is known from the kernel; a lost connection alone only begins the grace.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from ckptclient.errors import BadRequest, Conflict, Fenced, NoSpace, UnknownProcess
from ckptclient.wire import params
from ckptd.core import attempts, lease
from ckptd.core.attempts import Death
from ckptd.core.change import Change, CheckpointRow, EventRow, Guard, ProcessRow, Suspicion
from ckptd.core.ids import Holder, ProcessKey, RequestId, Token
from ckptd.core.process_table import ENDS, STALLED, Act, Mode, State, after
from ckptd.observe import log
from ckptd.service import views
from ckptd.service.caller import Caller
from ckptd.service.context import Context
from ckptd.service.table import Entry, worker_of
from ckptd.service.views import Map
from ckptd.store.catalog.interface import CatalogReader, Filter, Proof, Suspect

LOG = log.get(__name__)

_KEPT_AFTER_END = 600 * 1_000_000
"""An entry stays in memory so long after its last word, so that late repetitions are answered without a read."""


class Processes:
    """Methods under `process.` for who holds, members, and who looks."""

    def __init__(self, context: Context, new_member: Callable[[], bytes]) -> None:
        self._context = context
        self._new_member = new_member

    # What a holder says

    async def attach(self, caller: Caller, p: params.Attach) -> Map:
        """Go on under the same epoch over a new connection."""
        entry, token = await self._context.entry(caller, p.token)
        return {
            "epoch": token.epoch,
            "state": entry.state.word,
            "due": self._context.tick(entry, self._context.clock.now()),
        }

    async def progress(self, caller: Caller, p: params.Advance) -> Map:
        """Where the process stands; the reply says whether a checkpoint is due and whether to stop."""
        entry, token = await self._context.entry(caller, p.token)
        now = self._context.clock.now()
        take_progress(entry, p.progress, token.member, now)
        return self._context.tick(entry, now)

    async def end(self, caller: Caller, p: params.End) -> Map:
        """Let go of the process."""
        entry, token = await self._context.entry(caller, p.token)
        now = self._context.clock.now()
        take_progress(entry, p.progress, token.member, now)
        change = Change(
            now,
            caller.uid,
            RequestId(caller.session, p.request),
            Guard(entry.key, token.epoch, token.member),
            act=ENDS[p.state],
            progress=entry.progress(),
            events=(end_event(entry, p.state, p.error),),
        )
        word = await self._context.backend.submit(change, lambda answer: answer[0])
        self.ended(entry, ENDS[p.state])
        return {"state": word}

    def ended(self, entry: Entry, act: Act) -> None:
        """The end of a process was committed: nobody holds it any more."""
        entry.state = after(State.RUNNING, act)
        self._context.events.happened()
        self._context.table.let_go(entry)

    async def member(self, caller: Caller, p: params.Member) -> Map:
        """A token for another OS process to work under the same epoch."""
        entry, token = await self._context.entry(caller, p.token)
        if entry.mode is Mode.STATEFUL:
            raise Conflict(
                f"process {entry.process_id} is stateful, and members do independent items only",
                hint="keep results in the journal and no state, or work in one OS process",
            )
        change = Change(
            self._context.clock.now(),
            caller.uid,
            RequestId(caller.session, p.request),
            Guard(entry.key, token.epoch, token.member),
            member=self._new_member(),
        )
        (member,) = await self._context.backend.commit(change)
        assert isinstance(member, bytes)
        return {"token": Token(token.lineage, token.process, token.epoch, member).pack()}

    async def stop(self, caller: Caller, p: params.NamedProcess) -> Map:
        """Ask a worker to save and stop; it hears it with its next progress."""
        row = await self._row(caller, p.process_id)
        entry = self._context.table.get(row.key)
        if entry is None or entry.state is not State.RUNNING:
            return {"asked": False}
        entry.stop_reason = "asked to stop"
        return {"asked": True}

    # Who looks

    async def show(self, caller: Caller, p: params.NamedProcess) -> Map:
        """One process."""
        row = await self._row(caller, p.process_id)
        return (await self._shown([row]))[0]

    async def list_(self, caller: Caller, p: params.ListProcesses) -> Map:
        """A page of processes."""
        uid = None if caller.sees_all else caller.uid
        found = await self._found(uid, p)
        rows = found[: views.fitting(len(row.progress.metadata) + len(row.description) for row in found)]
        more = len(rows) < len(found) or len(found) == p.limit
        return {"processes": await self._shown(rows), "next": rows[-1].key if more else None}

    async def _found(self, uid: int | None, p: params.ListProcesses) -> Sequence[ProcessRow]:
        """Rows in the states that are asked for; those that are stalled are running in the catalog, and few."""
        words = [word for word in p.states if word != STALLED]
        states = [_state(word) for word in words]
        stalled = self._context.stalled.items() if STALLED in p.states else ()
        of_page = [(key, epoch) for key, epoch in stalled if p.after is None or key < p.after]

        def running(reader: CatalogReader) -> Iterator[ProcessRow]:
            for key, epoch in of_page:
                row = reader.process_by_key(key)
                if row is None or row.epoch != epoch or row.state is not State.RUNNING:
                    continue
                if uid in (None, row.uid) and p.task_id in (None, row.task_id):
                    yield row

        def ask(reader: CatalogReader) -> Sequence[ProcessRow]:
            rows = reader.processes(uid, states, p.task_id, p.after, p.limit) if words or not p.states else ()
            found = {row.key: row for row in (*rows, *running(reader))}
            return [found[key] for key in sorted(found, reverse=True)][: p.limit]

        return await self._context.backend.read(ask)

    async def _row(self, caller: Caller, named: str) -> ProcessRow:
        uid, process_id = self._context.whose(caller, named)
        row = await self._context.backend.read(lambda reader: reader.process(uid, process_id))
        if row is None:
            raise UnknownProcess(f"no process {named}", hint="ckptctl ps lists them", details={"what": "process"})
        return row

    async def _shown(self, rows: Sequence[ProcessRow]) -> list[Map]:
        if not rows:
            return []
        keys = [row.key for row in rows]

        def ask(
            reader: CatalogReader,
        ) -> tuple[dict[ProcessKey, int], dict[ProcessKey, CheckpointRow], Mapping[ProcessKey, Proof]]:
            counts = dict(reader.checkpoint_counts(keys))
            last = {key: reader.checkpoints(Filter(process=key, limit=1)) for key in keys if counts.get(key)}
            return counts, {key: found[0] for key, found in last.items() if found}, reader.proofs(keys)

        counts, last, proofs = await self._context.backend.read(ask)
        now = self._context.clock.now()
        shown = []
        for row in rows:
            entry = self._context.table.get(row.key)
            held = entry if entry is not None and entry.epoch == row.epoch else None
            standing = held.progress() if held is not None else row.progress
            alive = self._context.workers.alive(row.holder) if row.holder is not None else None
            shown.append(
                views.process(
                    row,
                    self._context.word(row.key, row.epoch, row.state),
                    standing,
                    now,
                    checkpoints=counts.get(row.key, 0),
                    last=last.get(row.key),
                    alive=alive,
                    proof=proofs.get(row.key),
                )
            )
        return shown

    # Connections and deaths

    def connected(self, caller: Caller) -> None:
        """A session is back, or new: its processes are spoken for again."""
        for entry in self._context.table.of_session(caller.session):
            entry.connections.add(caller.connection)
            entry.lost_at = None
            entry.heard_at = self._context.clock.now()

    def disconnected(self, caller: Caller) -> None:
        """A connection ended: the grace of what only it spoke for begins."""
        for entry in self._context.table.of_session(caller.session):
            entry.connections.discard(caller.connection)
            if not entry.connections and entry.state is State.RUNNING:
                entry.lost_at = self._context.clock.now()

    async def died(self, holder: Holder, death: Death) -> None:
        """An OS process is gone, says the kernel: what it held is interrupted, what it had in hand is remembered."""
        worker = worker_of(holder)
        for entry in self._context.table:
            if entry.holder is not None and entry.state is State.RUNNING and entry.holder.same_worker(holder):
                await self._interrupt(entry, death, worker)
            elif worker in entry.announced:
                await self._member_died(entry, death, worker)

    async def _interrupt(self, entry: Entry, death: Death, worker: tuple[bytes, int, int]) -> None:
        if self._context.read_only is not None:
            return  # it can't be written down: the daemon that writes again finds the worker gone
        announced = entry.announced.get(worker)
        found = await self._suspicion(entry, death, worker)
        counted = death.counts
        unproven = entry.unproven if attempts.checkpoint_attempt(death, entry.unproven is None) else None
        event = EventRow(
            "interrupted", entry.uid, entry.key, entry.process_id, (("pid", death.pid), ("how", death.reason))
        )
        change = Change(
            self._context.clock.now(),
            entry.uid,
            guard=Guard(entry.key, entry.epoch),
            act=Act.INTERRUPT,
            progress=entry.progress(),
            suspicion=found,
            deaths=entry.deaths + 1 if counted else None,
            tried=unproven,
            events=(event,),
        )
        try:
            await self._context.backend.commit(change)
        except Fenced:
            return  # somebody took the process over meanwhile, and holds it; the dead worker's others are still to do
        except NoSpace:
            # A full disk is no reason not to start, nor to forget who is gone: the next turn tries again.
            if announced is not None:
                entry.announced[worker] = announced
            if entry.lost_at is None:
                LOG.warning("a death can't be written down: the disk is full", process=entry.process_id, uid=entry.uid)
                entry.lost_at = self._context.clock.now()
            return
        self._context.interruptions.count += 1
        entry.deaths += counted
        entry.got_further = False
        self.ended(entry, Act.INTERRUPT)

    async def _member_died(self, entry: Entry, death: Death, worker: tuple[bytes, int, int]) -> None:
        if self._context.read_only is not None:
            return
        found = await self._suspicion(entry, death, worker)
        if found is not None:
            guard = Guard(entry.key, entry.epoch)
            change = Change(
                self._context.clock.now(), entry.uid, guard=guard, suspicion=found, progress=entry.progress()
            )
            with suppress(Fenced, NoSpace):
                await self._context.backend.commit(change)

    async def _suspicion(self, entry: Entry, death: Death, worker: tuple[bytes, int, int]) -> Suspicion | None:
        announced = entry.announced.pop(worker, None)
        if announced is None:
            return None
        suspects = await self._context.backend.read(lambda reader: reader.suspects(entry.key))
        so_far = next((one.attempts for one in suspects if one.item == announced.item), 0)
        return attempts.suspicion(announced, death, entry.got_further, so_far)

    # What happens by itself

    async def restore_table(self) -> None:
        """At start: whoever held when the last daemon ended holds still, unless its worker is gone."""
        context, now = self._context, self._context.clock.now()
        rows = await context.backend.read(lambda reader: reader.held())
        for row in rows:
            newest, suspects = await context.backend.read(partial(_recollect, row.key))
            last = (newest.created_at, row.progress.completed) if newest is not None else None
            entry = context.table.take_in(row, now, last)
            entry.suspected = frozenset(one.item for one in suspects)
            if row.holder is not None and context.workers.watch(row.holder) is False:
                await self._interrupt(entry, Death(row.holder.pid), worker_of(row.holder))

    async def tend(self, passed_seconds: float) -> None:
        """Once a second: end what nobody speaks for, write progress that changed, forget what is over."""
        context, now = self._context, self._context.clock.now()
        grace = context.config().process.grace_seconds
        for entry in context.table:
            if entry.state is not State.RUNNING or entry.holder is None:
                if now - max(entry.heard_at, entry.progress_at) > _KEPT_AFTER_END and not entry.in_flight:
                    context.table.drop(entry)
                continue
            context.interruptions.seconds += passed_seconds
            if entry.lost_at is not None:
                alive, watched = context.workers.alive(entry.holder), context.workers.watched(entry.holder)
                if lease.after_disconnect(alive, watched, entry.lost_at, now, grace) == "interrupt":
                    await self._interrupt(entry, Death(entry.holder.pid), worker_of(entry.holder))
        if context.read_only is None:
            await self.write_progress()

    async def write_progress(self) -> None:
        """Commit where processes stand that said something since; a newer epoch makes it void, silently."""
        changed = [entry for entry in self._context.table if entry.dirty and not entry.closing]
        waiting = []
        for entry in changed:
            entry.dirty = False
            guard = Guard(entry.key, entry.epoch)
            change = Change(
                self._context.clock.now(), entry.uid, guard=guard, progress=entry.progress(), proven=entry.take_proven()
            )
            waiting.append(self._context.backend.commit(change))
        await asyncio.gather(*waiting, return_exceptions=True)


def _state(word: str) -> State:
    if word.upper() not in State.__members__:
        raise BadRequest(
            f"{word!r} is no state of a process", hint=f"accepted: {', '.join([*(one.word for one in State), STALLED])}"
        )
    return State[word.upper()]


def _recollect(key: ProcessKey, reader: CatalogReader) -> tuple[CheckpointRow | None, Sequence[Suspect]]:
    """The newest checkpoint of a process, and its items under suspicion."""
    newest = reader.checkpoints(Filter(process=key, limit=1))
    return (newest[0] if newest else None), reader.suspects(key)


def take_progress(entry: Entry, said: params.Progress | None, member: bytes | None, now: int) -> None:
    """Put what a holder or a member said into the entry."""
    if said is None:
        return
    before = entry.completed_now, entry.step
    if member is not None:
        if said.completed is not None:
            entry.members[member] = max(said.completed, entry.members.get(member, 0))
    elif said.completed is not None:
        entry.completed = said.completed
    if member is None:
        entry.total = said.total if said.total is not None else entry.total
    entry.step = said.step if said.step is not None else entry.step
    entry.batch = said.batch if said.batch is not None else entry.batch
    entry.metadata = said.metadata if said.metadata is not None else entry.metadata
    entry.speed = entry.speed.update(entry.completed_now, now)
    entry.progress_at = now
    entry.dirty, entry.standing = True, None
    if (entry.completed_now, entry.step) != before:  # a sign of life alone shows nothing of the restore
        entry.went_well()


def end_event(entry: Entry, word: str, error: str) -> EventRow:
    """The event of a holder that lets go."""
    data = (("error", error[:1000]),) if error else ()
    return EventRow(word, entry.uid, entry.key, entry.process_id, data)
