"""Questions to the tables."""

from collections.abc import Callable, Container, Mapping, Sequence

from ckptclient.errors import UnknownCheckpoint
from ckptd.core.change import (
    CheckpointRow,
    CheckpointType,
    Place,
    ProcessRow,
)
from ckptd.core.encoding import DEPTH_MAX
from ckptd.core.ids import BodyKey, CheckpointKey, ChunkKey, PackKey, ProcessKey
from ckptd.core.journal import FAILED, Cut
from ckptd.core.process_table import State
from ckptd.store.catalog.interface import (
    DUE_FROM_START,
    Audit,
    BackupRow,
    BodyRow,
    ChunkRow,
    Content,
    Damage,
    Due,
    Event,
    Filter,
    JournalRow,
    Life,
    PackRow,
    Placed,
    PlacedNote,
    Proof,
    Surveyed,
    Suspect,
    Totals,
)
from ckptd.store.catalog.memory.tables import CONDEMNED, Tables, counts
from ckptd.store.records import RECORD_HEADER_BYTES


class MemoryReader:
    """See `CatalogReader`. It looks at the tables that were committed last."""

    def __init__(self, committed: Callable[[], Tables]) -> None:
        self._committed = committed

    # Processes

    def process(self, uid: int, process_id: str) -> ProcessRow | None:
        """See `CatalogReader`; so do all below."""
        return self._committed().current(uid, process_id)

    def process_by_key(self, key: ProcessKey) -> ProcessRow | None:
        found = self._committed().processes.get(key)
        return found.row if found else None

    def held(self) -> Sequence[ProcessRow]:
        return [row for row in reversed(self._current()) if row.state is State.RUNNING]

    def _current(self) -> list[ProcessRow]:
        processes = self._committed().processes
        return [processes[key].row for key in sorted(processes, reverse=True) if processes[key].current]

    def nearly_abandoned(self, since: int, until: int, abandoned_after: int, ahead: int) -> Sequence[ProcessRow]:
        found = []
        for process in self._committed().processes.values():
            row, patience = process.row, process.abandon_after
            if not process.current or row.epoch == 0 or row.ended_at is None or not row.state.unfinished:
                continue
            patience = patience if patience is not None else abandoned_after
            if patience > 0 and since < row.ended_at + patience - ahead <= until:
                found.append(row)
        return sorted(found, key=lambda row: row.key)

    def processes(
        self, uid: int | None, states: Sequence[State], task_id: str | None, after: int | None, limit: int
    ) -> Sequence[ProcessRow]:
        found = [
            row
            for row in self._current()
            if (uid is None or row.uid == uid) and (not states or row.state in states)
            if (task_id is None or row.task_id == task_id) and (after is None or row.key < after)
        ]
        return found[:limit]

    def checkpoint_counts(self, keys: Sequence[ProcessKey]) -> Mapping[ProcessKey, int]:
        tables = self._committed()
        rows = [row for row in tables.rows() if row.place is not Place.TRASH]
        return {key: sum(row.process == key for row in rows) for key in keys if key in tables.processes}

    # Checkpoints

    def checkpoint(self, key: CheckpointKey) -> CheckpointRow | None:
        tables = self._committed()
        return tables.row(key) if key in tables.checkpoints else None

    def find_checkpoint(self, uid: int | None, process_id: str, seq: int) -> CheckpointRow | None:
        rows = [row for row in self._committed().rows() if (row.process_id, row.seq) == (process_id, seq)]
        return next((row for row in rows if uid is None or row.uid == uid), None)

    def find_alias(self, uid: int | None, alias: str) -> CheckpointRow | None:
        tables = self._committed()
        keys = [key for (user, name), key in tables.aliases.items() if name == alias and (uid is None or user == uid)]
        return tables.row(max(keys)) if keys else None

    def checkpoints(self, wanted: Filter) -> Sequence[CheckpointRow]:
        tables = self._committed()
        rows = [row for row in tables.rows() if _matches(row, wanted, tables.checkpoints[row.key].new.tags)]
        return rows[: wanted.limit]

    def content(self, key: CheckpointKey) -> Content:
        one = self._committed().checkpoints.get(key)
        if one is None:
            raise UnknownCheckpoint("the checkpoint is gone", details={"what": "checkpoint"})
        if one.archive:
            return Content(one.new.manifest, None, (), self._committed().archives[one.archive].name)
        bodies = () if one.new.small is not None else tuple(part.bodies for part in one.new.parts)
        while bodies and not bodies[-1]:
            bodies = bodies[:-1]
        return Content(one.new.manifest, one.new.small, bodies)

    def tags(self, keys: Sequence[CheckpointKey]) -> Mapping[CheckpointKey, Sequence[str]]:
        checkpoints = self._committed().checkpoints
        tagged = {key: sorted(set(checkpoints[key].new.tags)) for key in keys if key in checkpoints}
        return {key: tags for key, tags in tagged.items() if tags}

    def dependencies(self, keys: Sequence[CheckpointKey]) -> Mapping[CheckpointKey, Sequence[CheckpointKey]]:
        checkpoints = self._committed().checkpoints
        needs = {key: sorted(set(checkpoints[key].new.depends)) for key in keys if key in checkpoints}
        return {key: some for key, some in needs.items() if some}

    def candidates(self, process: ProcessKey, with_state: bool) -> Sequence[CheckpointKey]:
        return self._committed().candidates(process, with_state)[:64]

    def lives(self, after: ProcessKey | None, limit: int) -> Sequence[Life]:
        tables, found = self._committed(), []
        for key in sorted({one.process for one in tables.checkpoints.values() if one.place is not Place.TRASH}):
            if after is None or key > after:
                one, row = tables.processes[key], tables.processes[key].row
                left_at = row.ended_at if row.ended_at is not None else row.progress.at
                life = (row.uid, row.process_id, row.state, one.current, left_at, one.abandon_after, row.policy)
                found.append(Life(key, *life))
        return found[:limit]

    def survey(self, process: ProcessKey, before: int | None, limit: int) -> Sequence[Surveyed]:
        tables = self._committed()
        restorable = tables.candidates(process, False)
        found = [
            Surveyed(
                row.key, row.seq, row.key in restorable, row.has_state, row.pinned, row.expires_at, row.logical_bytes,
                row.own_bytes, row.metadata,
            )
            for row in tables.rows()
            if row.process == process and row.place is Place.LIVE and (before is None or row.seq < before)
        ]  # fmt: skip
        return sorted(found, key=lambda one: one.seq, reverse=True)[:limit]

    def due(self, now: int, cursor: tuple[int, int], limit: int) -> Due:
        ended = [
            (row.expires_at, int(row.key))
            for row in self._committed().rows()
            if row.place is Place.LIVE and not row.pinned and row.expires_at is not None and row.expires_at <= now
        ]
        rest = [one for one in sorted(ended, reverse=True) if cursor == DUE_FROM_START or one < cursor][:limit]
        return Due([CheckpointKey(key) for _, key in rest], rest[-1] if len(rest) == limit else None)

    def doomed(
        self, keys: Sequence[CheckpointKey], now: int, abandoned_after: int, gone: Container[CheckpointKey]
    ) -> Sequence[CheckpointKey]:
        tables, found = self._committed(), list[CheckpointKey]()
        for key in keys:
            if tables.may_go(
                key, now, abandoned_after, None, [one for one in tables.checkpoints if one in gone] + found
            ):
                found.append(key)
        return found

    # Chunks

    def unproven(self, tried_before: int, after: ProcessKey, limit: int) -> Sequence[ProcessKey]:
        proofs = self._committed().proofs
        due = [
            row.key
            for row in self._current()
            if row.head is not None and row.key > after
            if row.key not in proofs or proofs[row.key].tried_at < tried_before
        ]
        return sorted(due)[:limit]

    def proofs(self, keys: Sequence[ProcessKey]) -> Mapping[ProcessKey, Proof]:
        proofs = self._committed().proofs
        return {key: proofs[key] for key in keys if key in proofs}

    def broken(self, limit: int) -> Sequence[ProcessRow]:
        proofs = self._committed().proofs
        found = [row for row in reversed(self._current()) if row.key in proofs and proofs[row.key].damaged]
        return found[:limit]

    def body_chunks(self, body: BodyKey) -> Sequence[ChunkRow]:
        tables = self._committed()
        found = tables.bodies.get(body)
        return [tables.chunks[key].row for key in found.chunks if key in tables.chunks] if found else []

    def find_chunk(self, namespace: int, id: bytes) -> ChunkRow | None:
        tables = self._committed()
        for key, one in tables.chunks.items():
            if (one.namespace, one.row.id) == (namespace, id) and one.state != CONDEMNED and not tables.is_damaged(key):
                return one.row
        return None

    def is_quarantined(self, namespace: int, id: bytes) -> bool:
        tables = self._committed()
        return any(
            (one.namespace, one.row.id) == (namespace, id) and tables.is_damaged(key)
            for key, one in tables.chunks.items()
        )

    def chain(self, key: ChunkKey) -> Sequence[ChunkRow]:
        chunks, at = self._committed().chunks, key
        links: list[ChunkRow] = []
        while at in chunks and len(links) <= DEPTH_MAX:
            links.append(chunks[at].row)
            if links[-1].base is None:
                break
            at = links[-1].base
        return links

    def packs(self) -> Mapping[PackKey, str]:
        return {key: pack.name for key, pack in self._committed().packs.items()}

    # What looks after what is stored

    def placed(self, pack: PackKey, begin: int, limit: int) -> Sequence[Placed]:
        found = [
            Placed(one.row, one.namespace, one.state == CONDEMNED)
            for one in self._committed().chunks.values()
            if one.row.pack == pack and one.row.offset >= begin
        ]
        return sorted(found, key=lambda one: one.row.offset)[:limit]

    def pack_rows(self) -> Sequence[PackRow]:
        tables = self._committed()
        found = [
            PackRow(
                key, pack.name, pack.looked_at, pack.begun_at, pack.bytes,
                sum(RECORD_HEADER_BYTES + stored for stored in tables.records_in(key)), pack.lifetime, pack.tight,
            )
            for key, pack in tables.packs.items()
        ]  # fmt: skip
        return sorted(found, key=lambda row: (row.looked_at, row.key))

    def notes(self, pack: PackKey, begin: int, limit: int) -> Sequence[PlacedNote]:
        found = [
            PlacedNote(key, one.note.offset, one.note.stored_bytes)
            for key, one in self._committed().checkpoints.items()
            if one.note is not None and one.note.pack == pack and one.note.offset >= begin
        ]
        return sorted(found, key=lambda one: one.offset)[:limit]

    def bodies(self, after: int, limit: int) -> Sequence[BodyRow]:
        tables = self._committed()
        found = [
            BodyRow(key, body.hash, sum(tables.chunks[one].row.plain_bytes for one in body.chunks), body.chunks)
            for key, body in sorted(tables.bodies.items())
            if key > after
        ]
        return found[:limit]

    def checkpoint_keys(self, after: int, limit: int) -> Sequence[CheckpointKey]:
        return [key for key in sorted(self._committed().checkpoints) if key > after][:limit]

    def standing_on(self, chunks: Sequence[ChunkKey]) -> Sequence[ChunkKey]:
        return sorted(self._committed().standing_on(chunks))

    def checkpoints_of(self, bodies: Sequence[BodyKey]) -> Sequence[CheckpointKey]:
        wanted = set(bodies)
        return [
            key
            for key, one in sorted(self._committed().checkpoints.items())
            if any(wanted.intersection(part.bodies) for part in one.new.parts)
        ]

    def damage(self, limit: int) -> Sequence[Damage]:
        found = self._standing()
        return sorted(found, key=lambda one: (one.at, one.pack, one.offset))[:limit]

    def _standing(self) -> list[Damage]:
        """Damage that what lay there hasn't left."""
        tables = self._committed()
        return [
            one
            for one in tables.damage.values()
            if one.chunk is None or (one.chunk in tables.chunks and _lies_at(tables.chunks[one.chunk].row, one))
        ]

    def damaged_bodies(self) -> Sequence[BodyKey]:
        tables = self._committed()
        hit = tables.standing_on([one.chunk for one in self._standing() if one.chunk is not None])
        return [key for key, body in sorted(tables.bodies.items()) if hit.intersection(body.chunks)]

    def audit(self) -> Audit:
        return Audit()  # nothing is counted ahead

    # Result journal

    def journal(self, process: ProcessKey, after: int, limit: int, failed_only: bool) -> Sequence[JournalRow]:
        rows = [one.row for one in self._committed().standing(process)]
        return [row for row in rows if row.position > after and (row.kind == FAILED or not failed_only)][:limit]

    def journal_counts(self, process: ProcessKey, before: int) -> tuple[int, int]:
        return counts([one for one in self._committed().standing(process) if one.row.position < before])

    def records(self, process: ProcessKey, first: int, count: int) -> Sequence[tuple[int, int, int]]:
        rows = [one.row for one in self._committed().items(process)]
        return [
            (row.position, row.kind, row.ordinal)
            for row in rows
            if row.ordinal is not None and first <= row.ordinal < first + count
        ]

    def cuts(self, process: ProcessKey) -> Sequence[Cut]:
        reach: dict[tuple[int, int], int] = {}
        for back in self._committed().rewinds.get(process, ()):
            start = (back.after_position, back.after_seq)
            reach[start] = max(back.upto_position, reach.get(start, 0))
        return [Cut(after, upto) for (after, _), upto in sorted(reach.items())]

    def done_digests(self, process: ProcessKey, after: bytes, limit: int) -> Sequence[tuple[bytes, int]]:
        found = [(one.name[1], one.row.kind) for one in self._committed().standing(process)]
        return sorted((digest, kind) for digest, kind in found if digest is not None and digest > after)[:limit]

    def suspects(self, process: ProcessKey) -> Sequence[Suspect]:
        return [found for (key, _), found in sorted(self._committed().suspects.items()) if key == process]

    # The store

    def events(self, since: int, uid: int | None, process_id: str | None, limit: int) -> Sequence[Event]:
        found = [
            event
            for seq, event in sorted(self._committed().events.items())
            if seq > since and uid in (None, event.uid) and process_id in (None, event.process_id)
        ]
        return found[:limit]

    def last_event(self) -> int:
        return max(self._committed().events, default=0)

    def totals(self, uid: int | None) -> Totals:
        tables = self._committed()
        rows = [row for row in tables.rows() if uid is None or row.uid == uid]
        live = [row for row in rows if row.place is Place.LIVE]
        inline = sum(len(tables.checkpoints[row.key].new.small or b"") for row in rows)
        statuses = ("active", "completed", "failed", "expired", "archived")
        return Totals(
            checkpoints=len(live),
            logical_bytes=sum(row.logical_bytes for row in live),
            stored_bytes=inline + (sum(pack.bytes for pack in tables.packs.values()) if uid is None else 0),
            trash=sum(row.place is Place.TRASH for row in rows),
            by_type={
                kind.word: sum(row.type is kind for row in rows if row.place is not Place.TRASH)
                for kind in CheckpointType
            },
            by_status={word: sum(row.status == word for row in rows) for word in statuses},
        )

    def archivable(self, before: int, after: int, limit: int) -> Sequence[CheckpointRow]:
        tables = self._committed()
        return [
            row
            for row in reversed(tables.rows())
            if row.place is Place.LIVE and row.process_state is State.COMPLETED and not row.pinned
            if row.created_at <= before and row.key > after and tables.checkpoints[row.key].archive is None
        ][:limit]

    def archived_due(self, now: int, limit: int) -> Sequence[CheckpointKey]:
        tables = self._committed()
        return [
            row.key
            for row in tables.rows()
            if row.place is Place.ARCHIVED and not row.pinned and row.expires_at is not None and row.expires_at <= now
            if not any(
                row.key in one.new.depends and one.place is not Place.TRASH for one in tables.checkpoints.values()
            )
        ][:limit]

    def archive_files(self, kept: bool, after: int, limit: int) -> Sequence[tuple[int, str]]:
        found = self._committed().archives
        return [(key, found[key].name) for key in sorted(found) if found[key].kept == kept and key > after][:limit]

    def backups(self, limit: int) -> Sequence[BackupRow]:
        found = self._committed().backups
        return [found[key].row for key in sorted(found, reverse=True)[:limit]]

    def setting(self, key: str) -> int | bytes | str | None:
        return self._committed().settings.get(key)

    def close(self) -> None:
        """Nothing to give back."""


def _matches(row: CheckpointRow, wanted: Filter, tags: Sequence[str]) -> bool:
    place = row.status == wanted.status if wanted.status else (row.place is Place.TRASH) == wanted.trash
    equal = (
        (wanted.uid, row.uid),
        (wanted.process, row.process),
        (wanted.process_id, row.process_id),
        (wanted.task_id, row.task_id),
        (wanted.type, row.type),
    )
    return (
        place
        and all(asked is None or asked == has for asked, has in equal)
        and (wanted.tag is None or wanted.tag in tags)
        and (wanted.since is None or row.created_at >= wanted.since)
        and (wanted.until is None or row.created_at <= wanted.until)
        and (wanted.before is None or row.key < wanted.before)
    )


def _lies_at(row: ChunkRow, place: Damage) -> bool:
    return (row.pack, row.offset) == (place.pack, place.offset)
