"""A payload on its way from `ingest` through the committer; owns the terms *prepared* and *shelf*.

The committer calls `place` for each save of a batch, syncs the shared pack once, calls `record` for each inside the
batch's transaction, and `release` when the outcome is known. A batch that is rolled back and tried again calls `place`
and `record` again: the first does nothing then, the second keeps nothing of what it wrote before.

Two saves may bring the same new chunk. Where the first is in the same batch, the second finds it on the shelf; where it
has been committed since the second looked, in the catalog: the bytes are stored once. Only two large payloads that
are written to their own packs at the same time may both carry it; the first row wins, and the other bytes are dead.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from ckptd.core.change import ManifestPart, NewCheckpoint, NotePlace
from ckptd.core.ids import ChunkKey, Epoch, PackKey
from ckptd.core.manifest import body_hash, checksum
from ckptd.store.catalog.interface import Catalog, NewChunk
from ckptd.store.chunks.interface import ChunkStore, Location, PrivatePacks
from ckptd.store.encodings import RAW
from ckptd.store.holds import Holds
from ckptd.store.records import ID_BYTES, NO_BASE, Note, Record, RecordKind, pack_note

T = TypeVar("T")

BODY_CHUNKS_MAX: Final = 1024
"""Chunks of one body: a GiB of 1 MiB pieces, so that an unchanged part costs a reference per GiB."""

SLICE_CHUNKS: Final = 1000
"""Chunk rows of a large payload that go ahead in one transaction."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body to be recorded."""

    ids: tuple[bytes, ...]
    plain_bytes: int

    @property
    def hash(self) -> bytes:
        """Its name in the catalog."""
        return body_hash(self.ids)


@dataclass(slots=True)
class Content:
    """What `ingest` found out about a payload: which chunks are there, which are in memory, which in private packs.

    `held` names each hold that was taken, also those on the bases of deltas.
    """

    known: dict[bytes, ChunkKey] = field(default_factory=dict)
    fresh: dict[bytes, Record] = field(default_factory=dict)
    written: dict[str, list[NewChunk]] = field(default_factory=dict)
    held: list[bytes] = field(default_factory=list)

    @property
    def own_bytes(self) -> int:
        """Stored bytes that this payload brings."""
        fresh = sum(len(record.stored) for record in self.fresh.values())
        return fresh + sum(chunk.stored_bytes for chunks in self.written.values() for chunk in chunks)


class Shelf:
    """What the payloads of a batch share on the committer's thread: the pack in hand, and chunks without a row yet."""

    def __init__(self, catalog: Catalog, chunks: ChunkStore, holds: Holds) -> None:
        self.catalog = catalog
        self.chunks = chunks
        self.holds = holds
        self.reader = catalog.reader()
        self.placed: dict[tuple[int, bytes], tuple[PackKey, NewChunk]] = {}
        self._packs: dict[int, tuple[str, PackKey]] = {}

    def pack_key(self, name: str, lifetime: int, at: int) -> PackKey:
        """The row of a lifetime class's shared pack, made when it is met first."""
        last = self._packs.get(lifetime)
        if last is None or last[0] != name:
            # A row outside the batch's transaction outlives its roll-back; before it the file itself must be there.
            self.chunks.sync()
            last = self._packs[lifetime] = name, self.catalog.add_pack(name, at, lifetime)
        return last[1]


class Prepared:
    """One payload. `parts` have their final hashes from the start, and their bodies from `record` on."""

    def __init__(
        self,
        shelf: Shelf,
        namespace: int,
        at: int,
        parts: Sequence[ManifestPart],
        bodies: Sequence[Sequence[Body]],
        content: Content,
        private: PrivatePacks | None,
        lifetime: int = 0,
    ) -> None:
        self.parts = tuple(parts)
        self.size_bytes = sum(record.size_bytes for record in content.fresh.values())
        self.own_bytes = content.own_bytes
        self._shelf = shelf
        self._namespace = namespace
        self._at = at
        self._bodies = bodies
        self._known = content.known
        self._fresh = content.fresh
        self._written = content.written
        self._held = content.held
        self._private = private
        self._lifetime = lifetime
        self.noted: NotePlace | None = None
        self._own_packs: dict[str, PackKey] = {}
        self._note: Record | None = None
        self._placed: dict[bytes, tuple[PackKey, NewChunk]] = {}
        self._brought: list[bytes] = []
        self._done = False

    def describe(self, process_id: str, epoch: Epoch, checkpoint: NewCheckpoint) -> None:
        """Say what checkpoint this is the payload of, sealed with `parts`; before `place`. It goes into the pack too."""
        lists = tuple(b"".join(chunk for body in part for chunk in body.ids) for part in self._bodies)
        note = Note(
            process_id,
            checkpoint.seq,
            epoch,
            checkpoint.type,
            checkpoint.has_state,
            checkpoint.created_at,
            checkpoint.journal_position,
            checkpoint.schema_version,
            checkpoint.manifest,
            lists,
        )
        stored = pack_note(note)
        named = checksum(checkpoint.manifest)
        self._note = Record(RecordKind.CHECKPOINT, self._namespace, named, RAW, len(stored), stored)
        self.size_bytes += self._note.size_bytes

    def place(self) -> None:
        """Put what is new into the shared pack, unsynced. NoSpace refuses this save alone and leaves nothing of it."""
        if self._done:
            return
        assert self._note is not None, "describe comes first"
        self._place_private()
        missing = [record for record in self._fresh.values() if not self._found(record.id)]
        locations = self._shelf.chunks.append([*missing, self._note], self._lifetime)
        packs = {location.pack: self._shelf.pack_key(location.pack, self._lifetime, self._at) for location in locations}
        note = locations[-1]
        self.noted = NotePlace(packs[note.pack], note.offset, len(self._note.stored))
        for record, location in zip(missing, locations, strict=False):
            placed = packs[location.pack], new_chunk(record, location)
            self._placed[record.id] = self._shelf.placed[self._namespace, record.id] = placed
            self._brought.append(record.id)
        self._fresh = {}
        self._done = True

    def _place_private(self) -> None:
        """Rows for what lies in packs of its own, in slices: the batch's transaction is then short."""
        catalog = self._shelf.catalog
        # All packs first: from here on the cleanup knows their files, whatever happens to this save.
        for name in self._written:
            if name not in self._own_packs:
                self._own_packs[name] = catalog.add_pack(name, self._at, self._lifetime)
        if self._own_packs:
            self._private = None
        for name, chunks in self._written.items():
            for piece in _slices(chunks):
                keys = catalog.add_chunks(self._namespace, self._own_packs[name], piece, self._at)
                self._known |= {chunk.id: key for chunk, key in zip(piece, keys, strict=True)}
        self._written = {}

    def _found(self, chunk_id: bytes) -> bool:
        """Whether another save brought this chunk since `ingest` looked."""
        placed = self._shelf.placed.get((self._namespace, chunk_id))
        if placed is not None:
            self._placed[chunk_id] = placed
            return True
        row = self._shelf.reader.find_chunk(self._namespace, chunk_id)
        if row is not None:
            self._known[chunk_id] = row.key
        return row is not None

    def record(self) -> Sequence[ManifestPart]:
        """Rows for chunks and bodies, in the batch's transaction and after its sync; the parts with their bodies."""
        keys = {**self._known, **self._record_chunks()}
        catalog = self._shelf.catalog
        return [
            replace(
                part,
                bodies=tuple(
                    catalog.add_body(self._namespace, body.hash, body.plain_bytes, [keys[one] for one in body.ids])
                    for body in bodies
                ),
            )
            for part, bodies in zip(self.parts, self._bodies, strict=True)
        ]

    def _record_chunks(self) -> Mapping[bytes, ChunkKey]:
        by_pack: dict[PackKey, list[NewChunk]] = {}
        for pack, chunk in self._placed.values():
            by_pack.setdefault(pack, []).append(chunk)
        keys: dict[bytes, ChunkKey] = {}
        for pack, chunks in by_pack.items():
            found = self._shelf.catalog.add_chunks(self._namespace, pack, chunks, self._at)
            keys |= {chunk.id: key for chunk, key in zip(chunks, found, strict=True)}
        return keys

    def release(self) -> None:
        """Let go: the save has its references or never will. On the committer's thread, or where `place` never was.

        May be repeated. What was written for a save that never came to be placed is removed.
        """
        for chunk_id in self._brought:
            del self._shelf.placed[self._namespace, chunk_id]
        self._brought = []
        self._shelf.holds.release(self._namespace, self._held)
        self._held = []
        if self._private is not None:
            private, self._private = self._private, None
            private.abandon()


def bodies_of(ids: Sequence[tuple[bytes, int]]) -> Sequence[Body]:
    """The bodies of a part from its chunks, (id, plain bytes) in order."""
    return [
        Body(tuple(one for one, _ in piece), sum(size for _, size in piece)) for piece in _slices(ids, BODY_CHUNKS_MAX)
    ]


def _slices(items: Sequence[T], count: int = SLICE_CHUNKS) -> Iterator[Sequence[T]]:
    for begin in range(0, len(items), count):
        yield items[begin : begin + count]


def new_chunk(record: Record, location: Location) -> NewChunk:
    """The row to be of a chunk's record."""
    assert len(record.id) == ID_BYTES
    base = None if record.base == NO_BASE else record.base
    return NewChunk(record.id, location.offset, len(record.stored), record.plain_bytes, record.encoding, base)
