"""What is kept, and what several questions need of it."""

import copy
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field, replace

from ckptd.core.change import (
    Answer,
    CheckpointRow,
    NewCheckpoint,
    NotePlace,
    Place,
    ProcessRow,
    Rewind,
)
from ckptd.core.ids import BodyKey, CheckpointKey, ChunkKey, Epoch, PackKey, ProcessKey
from ckptd.core.journal import DONE, FAILED
from ckptd.core.process_table import State
from ckptd.store.catalog.interface import (
    BackupRow,
    ChunkRow,
    Damage,
    Event,
    JournalRow,
    Proof,
    Suspect,
)
from ckptd.store.records import PACK_HEADER_BYTES

LIVE, ZERO, CONDEMNED = 0, 1, 2
"""States of a chunk."""


@dataclass(frozen=True, slots=True)
class StoredProcess:
    """An incarnation, with what its row doesn't tell."""

    row: ProcessRow
    current: bool
    abandon_after: int | None


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint: what came, and what has become of it."""

    new: NewCheckpoint
    process: ProcessKey
    epoch: Epoch
    place: Place = Place.LIVE
    ended_at: int | None = None
    pinned: bool = False
    attempts: int = 0
    alias: str | None = None
    expires_at: int | None = None
    proven_at: int | None = None
    note: NotePlace | None = None
    archive: int | None = None


@dataclass(frozen=True, slots=True)
class StoredArchive:
    """A file in the archive; `kept` while it is a checkpoint's one copy."""

    name: str
    checkpoint: CheckpointKey
    kept: bool = False


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record of the result journal; `name` is (ordinal, None) or (None, digest)."""

    row: JournalRow
    name: tuple[int | None, bytes | None]


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk; references are looked for, not counted."""

    row: ChunkRow
    namespace: int
    state: int


@dataclass(frozen=True, slots=True)
class StoredBody:
    """An immutable list of chunks."""

    namespace: int
    hash: bytes
    chunks: tuple[ChunkKey, ...]


@dataclass(frozen=True, slots=True)
class StoredPack:
    """A pack; `bytes` is where its last record ends."""

    name: str
    bytes: int = PACK_HEADER_BYTES
    looked_at: int = 0
    begun_at: int = 0
    lifetime: int = 0
    tight: bool = False


@dataclass(frozen=True, slots=True)
class StoredBackup:
    """A backup, and the packs that it holds while it runs: those that there were, and all behind `newest`."""

    row: BackupRow
    held: frozenset[PackKey]
    newest: PackKey

    def holds(self, pack: PackKey) -> bool:
        """Whether a pack must stay."""
        return not self.row.ended and (pack in self.held or pack > self.newest)


@dataclass(slots=True)
class Tables:
    """Every value is immutable, so that copying the dictionaries copies all."""

    last: dict[str, int] = field(default_factory=dict)
    processes: dict[ProcessKey, StoredProcess] = field(default_factory=dict)
    members: dict[tuple[ProcessKey, Epoch, bytes], None] = field(default_factory=dict)
    answers: dict[tuple[object, bytes, int], tuple[Answer, int]] = field(default_factory=dict)
    checkpoints: dict[CheckpointKey, StoredCheckpoint] = field(default_factory=dict)
    aliases: dict[tuple[int, str], CheckpointKey] = field(default_factory=dict)
    journal: dict[tuple[ProcessKey, int], StoredRecord] = field(default_factory=dict)
    rewinds: dict[ProcessKey, tuple[Rewind, ...]] = field(default_factory=dict)
    suspects: dict[tuple[ProcessKey, bytes], Suspect] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    packs: dict[PackKey, StoredPack] = field(default_factory=dict)
    chunks: dict[ChunkKey, StoredChunk] = field(default_factory=dict)
    bodies: dict[BodyKey, StoredBody] = field(default_factory=dict)
    proofs: dict[ProcessKey, Proof] = field(default_factory=dict)
    damage: dict[tuple[PackKey, int], Damage] = field(default_factory=dict)
    archives: dict[int, StoredArchive] = field(default_factory=dict)
    backups: dict[int, StoredBackup] = field(default_factory=dict)
    settings: dict[str, int | bytes | str] = field(default_factory=dict)

    def next(self, kind: str) -> int:
        """A key that was never given; those of packs, chunks and bodies may be given again once they are gone."""
        self.last[kind] = self.last.get(kind, 0) + 1
        return self.last[kind]

    def copy(self) -> "Tables":
        """Its own dictionaries."""
        return Tables(*(copy.copy(getattr(self, name)) for name in self.__slots__))

    # What several questions need

    def current(self, uid: int, process_id: str) -> ProcessRow | None:
        """The incarnation of a name that counts."""
        found = [
            one.row
            for one in self.processes.values()
            if one.current and (one.row.uid, one.row.process_id) == (uid, process_id)
        ]
        return found[0] if found else None

    def is_cut(self, process: ProcessKey, position: int) -> bool:
        """Whether a rewind set a record aside."""
        return any(back.after_position <= position < back.upto_position for back in self.rewinds.get(process, ()))

    def items(self, process: ProcessKey) -> list[StoredRecord]:
        """The newest record of each item, in order."""
        records = sorted((pos, one) for (key, pos), one in self.journal.items() if key == process)
        newest = {one.name: pos for pos, one in records}
        return [one for pos, one in records if newest[one.name] == pos]

    def standing(self, process: ProcessKey) -> list[StoredRecord]:
        """Items that are done or failed."""
        return [one for one in self.items(process) if not self.is_cut(process, one.row.position)]

    def candidates(self, process: ProcessKey, with_state: bool) -> list[CheckpointKey]:
        """See `CatalogReader`, without a bound."""
        found = [
            (one.new.seq, key)
            for key, one in self.checkpoints.items()
            if one.process == process and one.place is not Place.TRASH and (one.new.has_state or not with_state)
            if not any(b.after_seq < one.new.seq <= b.upto_seq for b in self.rewinds.get(process, ()))
        ]
        return [key for _, key in sorted(found, reverse=True)]

    def protected(self, key: ProcessKey, now: int, abandoned_after: int) -> set[CheckpointKey]:
        """What a recovery of a process would ask for, while somebody may come back for it."""
        process = self.processes[key]
        row = process.row
        if not process.current or row.state is State.COMPLETED or row.epoch == 0:
            return set()
        patience = process.abandon_after if process.abandon_after is not None else abandoned_after
        left_at = row.ended_at if row.ended_at is not None else row.progress.at
        if row.state is not State.RUNNING and patience > 0 and left_at + patience <= now:
            return set()
        return {*self.candidates(row.key, False)[:1], *self.candidates(row.key, True)[:1]}

    def may_go(
        self,
        key: CheckpointKey,
        now: int,
        abandoned_after: int,
        ended_by: int | None,
        gone: Container[CheckpointKey] = (),
    ) -> bool:
        """Whether a checkpoint is live and nothing protects it."""
        one = self.checkpoints.get(key)
        if one is None or one.place is not Place.LIVE or one.pinned:
            return False
        if ended_by is not None and (one.expires_at is None or one.expires_at > ended_by):
            return False
        dependents = [
            other
            for other, found in self.checkpoints.items()
            if key in found.new.depends and found.place is not Place.TRASH and other not in gone
        ]
        return not dependents and key not in self.protected(one.process, now, abandoned_after)

    def row(self, key: CheckpointKey) -> CheckpointRow:
        """A checkpoint with what its process says of it."""
        one = self.checkpoints[key]
        new, process = one.new, self.processes[one.process].row
        return CheckpointRow(
            key, process.key, process.uid, process.process_id, process.state, new.seq, one.epoch, new.type, one.place,
            new.created_at, one.expires_at, one.ended_at, one.pinned, new.logical_bytes, new.own_bytes,
            new.journal_position, one.attempts, new.has_state, new.schema_version, new.checksum, new.task_id,
            new.description, new.metadata, one.alias, one.proven_at,
        )  # fmt: skip

    def rows(self) -> list[CheckpointRow]:
        """All, newest first."""
        return [self.row(key) for key in sorted(self.checkpoints, reverse=True)]

    def is_damaged(self, chunk: ChunkKey) -> bool:
        """Whether a chunk lies at a damaged place."""
        row = self.chunks[chunk].row
        return (row.pack, row.offset) in self.damage

    def standing_on(self, chunks: Collection[ChunkKey]) -> set[ChunkKey]:
        """These chunks and the deltas to them, and to those."""
        found, before = set(chunks), -1
        while len(found) != before:
            before = len(found)
            found |= {key for key, one in self.chunks.items() if one.row.base in found}
        return found

    def records_in(self, pack: PackKey) -> list[int]:
        """Stored bytes of each record that lies in a pack and has a row."""
        chunks = [one.row.stored_bytes for one in self.chunks.values() if one.row.pack == pack]
        notes = [one.note for one in self.checkpoints.values() if one.note is not None]
        return chunks + [note.stored_bytes for note in notes if note.pack == pack]

    def reach(self, pack: PackKey, end: int) -> None:
        """A record of a pack ends there."""
        self.packs[pack] = replace(self.packs[pack], bytes=max(self.packs[pack].bytes, end))

    def references(self) -> set[BodyKey]:
        """Bodies that a checkpoint refers to."""
        parts = (part for one in self.checkpoints.values() for part in one.new.parts)
        return {body for part in parts for body in part.bodies}


def counts(records: Sequence[StoredRecord]) -> tuple[int, int]:
    """(done, failed)."""
    return sum(one.row.kind == DONE for one in records), sum(one.row.kind == FAILED for one in records)
