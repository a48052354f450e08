"""The result journal: appending records, and saying exactly which items are done.

A batch of records and the progress that they mean are one change. Positions are given at admission; the journal
never waits for a save.
"""

from typing import cast

from ckptclient.errors import Conflict, UnknownProcess
from ckptclient.wire import params
from ckptd.core.attempts import Announced
from ckptd.core.change import Answer, Change, Guard, JournalAppend, JournalRecord
from ckptd.core.ids import ProcessKey, RequestId
from ckptd.core.journal import FAILED, SequenceMark, bitmaps, changed, key_digest
from ckptd.core.process_table import Mode
from ckptd.service.caller import Caller
from ckptd.service.context import Context
from ckptd.service.processes import take_progress
from ckptd.service.table import worker_of
from ckptd.service.views import Map

READ_BYTES_MAX = 768 << 10
"""Items and results in one page: a page ends before it fills a frame."""


class Journal:
    """Methods under `journal.` and `item.`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def append(self, caller: Caller, p: params.AppendRecords) -> Map:
        """Append records and the progress they mean, durably."""
        context = self._context
        entry, token = await context.entry(caller, p.token)
        if token.member is not None and entry.mode is Mode.STATEFUL:
            raise Conflict(
                "a member can't record items of a stateful process", hint="keep no state, or record in the holder"
            )
        now = context.clock.now()
        take_progress(entry, p.progress, token.member, now)
        entry.went_well()
        records = tuple(_record(one) for one in p.records)
        position, entry.next_position = entry.next_position, entry.next_position + len(records)
        if caller.holder is not None:
            entry.announced.pop(worker_of(caller.holder), None)
        clears = tuple(one.item for one in records if one.item in entry.suspected) if entry.suspected else ()
        entry.suspected = entry.suspected.difference(clears)
        entry.dirty = False
        entry.in_flight += 1
        change = Change(
            now,
            caller.uid,
            RequestId(caller.session, p.request),
            Guard(entry.key, token.epoch, token.member),
            journal=JournalAppend(position, records, clears),
            progress=entry.progress(),
            proven=entry.take_proven(),
        )

        def recorded(answer: Answer) -> Map:
            end, done, failed = cast("tuple[int, int, int]", answer)
            entry.recorded(end, done, failed)
            return {"position": end, "due": context.tick(entry, context.clock.now())}

        return await context.backend.submit(change, recorded, landed=entry.landed)

    async def sequence(self, caller: Caller, p: params.Sequence) -> Map:
        """Which sequence the ordinals mean; `on_change` was judged by the client's registration."""
        context = self._context
        entry, token = await context.entry(caller, p.token)
        row = await context.backend.read(lambda reader: reader.process_by_key(entry.key))
        if row is None:
            raise UnknownProcess("the process is gone", details={"what": "process"})
        mark = SequenceMark(p.digest, p.length)
        prefix = SequenceMark(p.prefix_digest, p.prefix_length) if p.prefix_digest is not None else None
        verdict = changed(SequenceMark.unpack(row.sequence), mark, prefix)
        mode = self._mode(entry.mode, p.stateful, entry.next_position > 0, entry.process_id)
        change = Change(
            context.clock.now(),
            caller.uid,
            RequestId(caller.session, p.request),
            Guard(entry.key, token.epoch, token.member),
            sequence=mark.pack(),
            mode=mode,
        )
        await context.backend.commit(change)
        entry.mode = mode
        return {"changed": verdict, "mode": mode.name.lower()}

    def _mode(self, mode: Mode, stateful: bool, has_records: bool, process_id: str) -> Mode:
        if stateful:
            if mode is Mode.ITEMS:
                raise Conflict(
                    f"process {process_id} goes on by its recorded items, without a state: one that begins now would lack them",
                    hint="leave state= away, or register with fresh=True",
                )
            return Mode.STATEFUL
        return Mode.ITEMS if mode is Mode.UNKNOWN and has_records else mode

    def announce(self, caller: Caller, p: params.Announce) -> Map:
        """An item is in hand, alone, from now on until something is recorded."""
        found = self._context.admitted(caller, p.token)
        if found is not None and caller.holder is not None:
            found[0].announced[worker_of(caller.holder)] = Announced(p.item, None if p.ordinal < 0 else p.ordinal)
        return {}

    async def read(self, caller: Caller, p: params.ReadRecords) -> Map:
        """A page in journal order, without what was set aside."""
        key = await self._process(caller, p.process_id)
        rows = await self._context.backend.read(lambda reader: reader.journal(key, p.after, p.limit, p.failed_only))
        records: list[list[object]] = []
        room = READ_BYTES_MAX
        for row in rows:
            room -= len(row.item) + len(row.result or b"")
            if room < 0 and records:
                break
            ordinal = row.ordinal if row.ordinal is not None else -1
            records.append([row.position, row.kind, ordinal, row.item, row.result, row.at])
        more = len(records) < len(rows) or len(rows) == p.limit
        return {"records": records, "next": records[-1][0] if more and records else None}

    async def _process(self, caller: Caller, named: str) -> ProcessKey:
        uid, process_id = self._context.whose(caller, named)
        row = await self._context.backend.read(lambda reader: reader.process(uid, process_id))
        if row is None:
            raise UnknownProcess(f"no process {named}", hint="ckptctl ps lists them", details={"what": "process"})
        return row.key

    async def ordinals(self, caller: Caller, p: params.DoneOrdinals) -> Map:
        """Bitmaps of what is done and what failed, by place."""
        entry, _ = await self._context.entry(caller, p.token)
        key, first, count = entry.key, p.first, p.count
        done, failed = await self._context.backend.read(
            lambda reader: bitmaps(reader.records(key, first, count), reader.cuts(key), first, count)
        )
        return {"first": first, "done": done.rstrip(b"\0"), "failed": failed.rstrip(b"\0")}

    async def digests(self, caller: Caller, p: params.DoneDigests) -> Map:
        """What is done and what failed, by key."""
        entry, _ = await self._context.entry(caller, p.token)
        key, after, limit = entry.key, p.after, p.limit
        rows = await self._context.backend.read(lambda reader: reader.done_digests(key, after, limit))
        failed = bytearray((len(rows) + 7) // 8)
        for index, (_, kind) in enumerate(rows):
            if kind == FAILED:
                failed[index // 8] |= 1 << index % 8
        last = rows[-1][0] if len(rows) == limit else None
        return {"digests": b"".join(digest for digest, _ in rows), "failed": bytes(failed), "next": last}


def _record(one: params.Record) -> JournalRecord:
    ordinal = one.ordinal if one.ordinal >= 0 else None
    return JournalRecord(one.kind, ordinal, key_digest(ordinal, one.item), one.item, one.result)
