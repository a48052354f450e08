"""The tables of a transaction, and what changes them besides changes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from ckptclient.errors import CkptdError
from ckptd.core.change import (
    Change,
    ManifestPart,
    NotePlace,
    Place,
)
from ckptd.core.ids import BodyKey, CheckpointKey, ChunkKey, PackKey
from ckptd.core.process_table import State
from ckptd.store.catalog.interface import (
    Audit,
    BackupRow,
    ChunkRow,
    Damage,
    Move,
    NewChunk,
    Outcome,
    PlacedNote,
    Proof,
)
from ckptd.store.catalog.memory.applying import Applying
from ckptd.store.catalog.memory.reading import MemoryReader
from ckptd.store.catalog.memory.tables import (
    CONDEMNED,
    LIVE,
    ZERO,
    StoredArchive,
    StoredBackup,
    StoredBody,
    StoredChunk,
    StoredPack,
    Tables,
)
from ckptd.store.records import RECORD_HEADER_BYTES

T = TypeVar("T")


class MemoryCatalog:
    """See `Catalog`. It keeps the answers of any number of sessions, for ever."""

    def __init__(self, lineage: bytes, chunk_key: bytes, now: int) -> None:
        self.lineage = lineage
        self.chunk_key = chunk_key
        self._committed = Tables(settings={"lineage": lineage, "chunk_key": chunk_key, "created_at": now, "format": 1})
        self._open: Tables | None = None

    def reader(self) -> MemoryReader:
        """A reader."""
        return MemoryReader(lambda: self._committed)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction; inside another one, a part of that."""
        if self._open is not None:
            yield
            return
        self._open = self._committed.copy()
        try:
            yield
            self._committed = self._open
        finally:
            self._open = None

    def _within(self, work: Callable[[Tables], T]) -> T:
        with self.transaction():
            assert self._open is not None
            return work(self._open)

    def apply(self, batch: Sequence[Change]) -> Sequence[Outcome]:
        """Apply in order."""
        with self.transaction():
            return [self._outcome(change) for change in batch]

    def _outcome(self, change: Change) -> Outcome:
        assert self._open is not None
        one = Applying(self._open, change)
        try:
            if change.request is not None:
                earlier = one.earlier(change.request)
                if earlier is not None:
                    return earlier
            key = one.check()
        except CkptdError as refusal:
            return refusal
        key, answer = one.write(key)
        if change.request is not None:
            one.keep(change.request, key, answer)
        return answer

    # Packs, chunks, bodies

    def add_pack(self, name: str, at: int, lifetime: int = 0, *, tight: bool = False) -> PackKey:
        """Name a new pack."""

        def work(tables: Tables) -> PackKey:
            key = PackKey(max(tables.packs, default=0) + 1)
            tables.packs[key] = StoredPack(name, looked_at=at, begun_at=at, lifetime=lifetime, tight=tight)
            return key

        return self._within(work)

    def add_chunks(self, namespace: int, pack: PackKey, chunks: Sequence[NewChunk], at: int) -> Sequence[ChunkKey]:
        """Rows for chunks whose bytes are synced."""

        def work(tables: Tables) -> list[ChunkKey]:
            for chunk in chunks:
                tables.reach(pack, chunk.offset + RECORD_HEADER_BYTES + chunk.stored_bytes)
            return [_add_chunk(tables, namespace, pack, chunk) for chunk in chunks]

        return self._within(work)

    def add_body(self, namespace: int, hash: bytes, plain_bytes: int, chunks: Sequence[ChunkKey]) -> BodyKey:
        """An immutable list of chunks; the same list again is the same body."""

        def work(tables: Tables) -> BodyKey:
            for key, body in tables.bodies.items():
                if (body.namespace, body.hash) == (namespace, hash):
                    return key
            key = BodyKey(max(tables.bodies, default=0) + 1)
            tables.bodies[key] = StoredBody(namespace, hash, tuple(chunks))
            for chunk in chunks:
                _refer(tables, chunk)
            return key

        return self._within(work)

    def sweep(self, held: frozenset[bytes], now: int, limit: int) -> bool:
        """Free what nothing refers to, all of it in one go."""

        def work(tables: Tables) -> bool:
            referred = tables.references()
            free = [key for key in tables.bodies if key not in referred]
            for body in free:
                del tables.bodies[body]
            doomed = [key for key, chunk in tables.chunks.items() if chunk.state == CONDEMNED]
            for key in doomed:
                del tables.chunks[key]
            used = {chunk for body in tables.bodies.values() for chunk in body.chunks}
            used |= {chunk.row.base for chunk in tables.chunks.values() if chunk.row.base is not None}
            unused = [key for key, chunk in tables.chunks.items() if key not in used and chunk.row.id not in held]
            for key, chunk in list(tables.chunks.items()):
                if key not in used:
                    state = CONDEMNED if key in unused else ZERO
                    tables.chunks[key] = replace(chunk, state=state)
            return bool(free or unused)

        return self._within(work)

    def move(self, source: PackKey, target: PackKey, moves: Sequence[Move], at: int) -> int:
        """Let rows name the copies of their records."""

        def work(tables: Tables) -> int:
            for one in moves:
                tables.reach(target, one.offset + RECORD_HEADER_BYTES + one.stored_bytes)
            return sum(_move(tables, source, target, one) for one in moves)

        return self._within(work)

    def settle(self, pack: PackKey) -> None:
        """The optimizer has nothing to gain in a pack."""

        def work(tables: Tables) -> None:
            if pack in tables.packs:
                tables.packs[pack] = replace(tables.packs[pack], tight=True)

        self._within(work)

    def dead_packs(self, limit: int = 1000) -> Sequence[tuple[PackKey, str]]:
        """Packs that nothing refers to and no backup holds."""
        tables = self._committed
        return [
            (key, pack.name)
            for key, pack in tables.packs.items()
            if not tables.records_in(key) and not any(one.holds(key) for one in tables.backups.values())
        ][:limit]

    def drop_pack(self, pack: PackKey) -> None:
        """Forget a pack whose file is gone."""

        def work(tables: Tables) -> None:
            tables.packs.pop(pack, None)
            tables.damage = {place: one for place, one in tables.damage.items() if one.pack != pack}

        self._within(work)

    # What looks after what is stored

    def quarantine(self, damage: Sequence[Damage], bodies: Mapping[ChunkKey, Sequence[BodyKey]]) -> int:
        """Mark places as damaged; which bodies that hits is looked for when somebody asks."""

        def work(tables: Tables) -> int:
            before = len(tables.damage)
            for one in damage:
                row = tables.chunks[one.chunk].row if one.chunk in tables.chunks else None
                if one.chunk is None or (row is not None and (row.pack, row.offset) == (one.pack, one.offset)):
                    tables.damage.setdefault((one.pack, one.offset), one)
            return len(tables.damage) - before

        return self._within(work)

    def release(self, pack: PackKey, offsets: Sequence[int]) -> None:
        """Places that can be read again."""

        def work(tables: Tables) -> None:
            for offset in offsets:
                tables.damage.pop((pack, offset), None)

        self._within(work)

    def scrubbed(self, pack: PackKey, at: int) -> None:
        """The scrub was through with a pack."""

        def work(tables: Tables) -> None:
            if pack in tables.packs:
                tables.packs[pack] = replace(tables.packs[pack], looked_at=at)

        self._within(work)

    def raise_references(self, audit: Audit) -> None:
        """References are looked for, and never too low."""

    # The archive

    def begin_archive(self, name: str, checkpoint: CheckpointKey) -> int:
        """Name a file that is about to be written."""

        def work(tables: Tables) -> int:
            key = tables.next("archive")
            tables.archives[key] = StoredArchive(name, checkpoint)
            return key

        return self._within(work)

    def archived(self, archive: int, size_bytes: int, checksum: bytes) -> bool:
        """The file is the checkpoint's one copy from now on."""

        def work(tables: Tables) -> bool:
            file = tables.archives.get(archive)
            one = tables.checkpoints.get(file.checkpoint) if file is not None else None
            if file is None or file.kept or one is None or one.place is not Place.LIVE:
                return False
            if tables.processes[one.process].row.state is not State.COMPLETED:
                return False
            Applying(tables, Change(0, 0)).place(file.checkpoint, Place.LIVE, Place.ARCHIVED, None)
            parts = tuple(replace(part, bodies=()) for part in one.new.parts)
            tables.checkpoints[file.checkpoint] = replace(
                tables.checkpoints[file.checkpoint],
                new=replace(one.new, parts=parts, small=None),
                note=None,
                archive=archive,
            )
            tables.archives[archive] = replace(file, kept=True)
            return True

        return self._within(work)

    def unarchived(
        self,
        checkpoint: CheckpointKey,
        manifest: bytes,
        checksum: bytes,
        parts: Sequence[ManifestPart],
        small: bytes | None,
        note: NotePlace | None,
    ) -> bool:
        """The checkpoint lies in the store again."""

        def work(tables: Tables) -> bool:
            one = tables.checkpoints.get(checkpoint)
            if one is None or one.place is not Place.ARCHIVED or not one.archive:
                return False
            Applying(tables, Change(0, 0)).place(checkpoint, Place.ARCHIVED, Place.LIVE, None)
            tables.archives[one.archive] = replace(tables.archives[one.archive], kept=False)
            new = replace(one.new, manifest=manifest, checksum=checksum, parts=tuple(parts), small=small)
            tables.checkpoints[checkpoint] = replace(tables.checkpoints[checkpoint], new=new, note=note, archive=0)
            if note is not None:
                tables.reach(note.pack, note.offset + RECORD_HEADER_BYTES + note.stored_bytes)
            return True

        return self._within(work)

    def drop_archive(self, archive: int) -> None:
        """Forget a file that is gone."""
        self._within(lambda tables: tables.archives.pop(archive, None))

    # Backups

    def begin_backup(self, at: int) -> int:
        """Hold every pack, until `end_backup`."""

        def work(tables: Tables) -> int:
            key = tables.next("backup")
            newest = max(tables.packs, default=PackKey(0))
            tables.backups[key] = StoredBackup(BackupRow(key, at, False, None, None), frozenset(tables.packs), newest)
            return key

        return self._within(work)

    def end_backup(self, backup: int, checksum: bytes | None) -> bool:
        """Let its packs go."""

        def work(tables: Tables) -> bool:
            one = tables.backups.get(backup)
            if one is None or one.row.ended:
                return False
            tables.backups[backup] = replace(one, row=replace(one.row, ended=True, checksum=checksum))
            return True

        return self._within(work)

    def abandon_backups(self) -> int:
        """End what an earlier daemon began."""
        with self.transaction():
            return sum([self.end_backup(key, None) for key in list(self._committed.backups)])

    def drilled(self, checksum: bytes, at: int) -> None:
        """A drill went well."""

        def work(tables: Tables) -> None:
            for key, one in tables.backups.items():
                if one.row.checksum == checksum:
                    tables.backups[key] = replace(one, row=replace(one.row, drilled_at=at))

        self._within(work)

    # What ends

    def condemn(
        self, keys: Sequence[CheckpointKey], now: int, abandoned_after: int, ended_by: int | None
    ) -> Sequence[CheckpointKey]:
        """Move those that nothing protects to the trash."""

        def work(tables: Tables) -> list[CheckpointKey]:
            moved = []
            for key in keys:
                if tables.may_go(key, now, abandoned_after, ended_by):
                    Applying(tables, Change(now, 0)).place(key, Place.LIVE, Place.TRASH, now)
                    moved.append(key)
            return moved

        return self._within(work)

    def empty_trash(self, before: int, limit: int) -> tuple[int, bool]:
        """Drop a slice of the trash."""

        def work(tables: Tables) -> tuple[int, bool]:
            old = [
                (row.ended_at, row.key)
                for row in tables.rows()
                if row.place is Place.TRASH and row.ended_at is not None and row.ended_at <= before
            ]
            gone = [key for _, key in sorted(old)[:limit]]
            for key in gone:
                archive = tables.checkpoints[key].archive
                if archive:
                    tables.archives[archive] = replace(tables.archives[archive], kept=False)
                del tables.checkpoints[key]
                for name in [name for name, target in tables.aliases.items() if target == key]:
                    del tables.aliases[name]
            return len(gone), len(gone) == limit

        return self._within(work)

    def drop_journal(self, limit: int) -> bool:
        """Drop an earlier life without checkpoints, whole."""

        def work(tables: Tables) -> bool:
            kept = {one.process for one in tables.checkpoints.values()}
            old = [key for key, one in tables.processes.items() if not one.current and key not in kept]
            for key in old:
                del tables.processes[key]
                tables.rewinds.pop(key, None)
                tables.proofs.pop(key, None)
                for record in [name for name in tables.journal if name[0] == key]:
                    del tables.journal[record]
                for suspect in [name for name in tables.suspects if name[0] == key]:
                    del tables.suspects[suspect]
            return False

        return self._within(work)

    def prove(self, proofs: Sequence[Proof]) -> None:
        """Remember drills."""

        def work(tables: Tables) -> None:
            for one in proofs:
                tables.proofs[one.process] = one
                if one.checkpoint in tables.checkpoints:
                    tables.checkpoints[one.checkpoint] = replace(
                        tables.checkpoints[one.checkpoint], proven_at=one.proven_at
                    )

        self._within(work)

    def trim(self, events_kept: int, requests_before: int) -> None:
        """Keep the newest events and the answers of sessions that may still ask."""

        def work(tables: Tables) -> None:
            newest = max(tables.events, default=0)
            tables.events = {seq: event for seq, event in tables.events.items() if seq > newest - events_kept}
            tables.answers = {
                name: kept for name, kept in tables.answers.items() if name[0] is not None or kept[1] >= requests_before
            }

        self._within(work)

    # The store

    def set(self, key: str, value: int | bytes | str) -> None:
        """A row of the store's own table."""
        self._within(lambda tables: tables.settings.update({key: value}))

    def checkpoint_wal(self, idle: bool) -> None:
        """There is no log."""

    def shrink_log(self) -> None:
        """There is no log."""

    def quick_check(self, *, thorough: bool = False) -> Sequence[str]:
        """There is no file."""
        return []

    def close(self) -> None:
        """Nothing to give back."""


def _add_chunk(tables: Tables, namespace: int, pack: PackKey, new: NewChunk) -> ChunkKey:
    found = _find(tables, namespace, new.id)
    state = ZERO
    if found is not None and tables.chunks[found].state != CONDEMNED:
        if not tables.is_damaged(found):
            return found
        state = tables.chunks[found].state
    base, depth = None, 0
    if new.base is not None:
        base = _find(tables, namespace, new.base)
        assert base is not None
        _refer(tables, base)
        depth = tables.chunks[base].row.depth + 1
    key = found if found is not None else ChunkKey(max(tables.chunks, default=0) + 1)
    row = ChunkRow(key, new.id, pack, new.offset, new.stored_bytes, new.plain_bytes, new.encoding, base, depth)
    tables.chunks[key] = StoredChunk(row, namespace, state)
    return key


def _move(tables: Tables, source: PackKey, target: PackKey, one: Move) -> bool:
    was = one.source
    if isinstance(was, PlacedNote):
        found = tables.checkpoints.get(was.checkpoint)
        if found is None or found.note is None or (found.note.pack, found.note.offset) != (source, was.offset):
            return False
        note = NotePlace(target, one.offset, one.stored_bytes)
        tables.checkpoints[was.checkpoint] = replace(found, note=note)
        return True
    chunk = tables.chunks.get(was.key)
    if chunk is None or (chunk.row.id, chunk.row.pack, chunk.row.offset) != (was.id, source, was.offset):
        return False
    if tables.is_damaged(was.key):
        return False
    row = replace(chunk.row, pack=target, offset=one.offset, stored_bytes=one.stored_bytes, encoding=one.encoding)
    if one.encoding != was.encoding:
        row = replace(row, base=None, depth=0)
    tables.chunks[was.key] = replace(chunk, row=row)
    if was.base is not None and row.base is None:
        _unrefer(tables, was.base)
    return True


def _unrefer(tables: Tables, key: ChunkKey) -> None:
    """Something that referred to a chunk does so no more."""
    used = {chunk for body in tables.bodies.values() for chunk in body.chunks}
    used |= {one.row.base for one in tables.chunks.values() if one.row.base is not None}
    if key not in used and tables.chunks[key].state == LIVE:
        tables.chunks[key] = replace(tables.chunks[key], state=ZERO)


def _find(tables: Tables, namespace: int, id: bytes) -> ChunkKey | None:
    found = [key for key, one in tables.chunks.items() if (one.namespace, one.row.id) == (namespace, id)]
    return found[0] if found else None


def _refer(tables: Tables, key: ChunkKey) -> None:
    """Something refers to a chunk from now on."""
    assert tables.chunks[key].state != CONDEMNED
    tables.chunks[key] = replace(tables.chunks[key], state=LIVE)
