"""A catalog made anew from packs alone, when the old one is lost; owns the term *rebuild*.

What packs have: the chunks, and a note of each checkpoint whose payload is stored in packs, written when it was about to
be committed. What they don't have: checkpoints that lay inline, result journals, epochs, pins, tags, ends; and whether a
checkpoint was committed, or deleted since. So each one that is rebuilt has the tag `maybe-deleted` and no end, and belongs
to a process that nobody holds, from which a worker that registers its id goes on. Bytes are compared by the records' own
checks; `verify` of the outcome compares them with their ids. Nothing is taken that isn't whole, and nothing is repaired.
Not for: where the packs lie, or the files of the new store (`compose`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import Final

from ckptclient.errors import CkptdError, Damaged
from ckptd.core.change import Change, CheckpointType, Claim, Guard, ManifestPart, NewCheckpoint, NotePlace
from ckptd.core.ids import ChunkKey, PackKey
from ckptd.core.manifest import bodies_hash, checksum, unpack
from ckptd.core.process_table import Act
from ckptd.store.catalog.interface import Catalog, NewChunk
from ckptd.store.chains import Chains
from ckptd.store.chunks.interface import ChunkStore, Location
from ckptd.store.encodings import RAW
from ckptd.store.prepared import Body, bodies_of, new_chunk
from ckptd.store.records import ID_BYTES, PACK_HEADER_BYTES, Found, Note, RecordKind, name_of, parse_note, walk

TAG: Final = "maybe-deleted"
DESCRIPTION: Final = "rebuilt from packs"

SLICE: Final = 1000
"""Chunks of one transaction."""

Name = tuple[int, bytes]
"""A chunk's namespace and id."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What could not be had: a place of a pack, or a checkpoint (`process@seq`), and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild made, and what it could not."""

    packs: int
    chunks: int
    checkpoints: int
    lost: Sequence[Lost]


@dataclass(frozen=True, slots=True)
class _Chunk:
    pack: str
    new: NewChunk


@dataclass(frozen=True, slots=True)
class _Noted:
    namespace: int
    note: Note
    location: Location
    stored_bytes: int

    @property
    def name(self) -> str:
        return f"{self.note.process_id}@{self.note.seq}"


class Rebuild:
    """Reads the packs of `chunks` and fills `catalog`, which is new, in two steps: `scan`, then `record`."""

    def __init__(self, chunks: ChunkStore, catalog: Catalog, chains: Chains, at: int) -> None:
        self._store = chunks
        self._catalog = catalog
        self._chains = chains
        self._at = at
        self._chunks: dict[Name, _Chunk] = {}
        self._notes: dict[tuple[int, str, int], _Noted] = {}
        self._lost: list[Lost] = []
        self._ids_right = self._ids_wrong = 0

    def scan(self) -> Iterator[int]:
        """Look at every record; gives the bytes that were read as it goes. Damaged where the key isn't of these packs."""
        for pack in sorted(self._store.names()):
            end = self._store.size_bytes(pack)
            begin = PACK_HEADER_BYTES
            for one in walk(partial(self._store.image, pack), begin, end, name_of(pack)):
                if isinstance(one, Found):
                    self._take(pack, one)
                    yield one.end - one.offset
                    continue
                if not one.torn:
                    self._lost.append(Lost(f"{pack} at {one.offset}", f"{one.size_bytes} bytes are no record"))
                yield one.size_bytes
        if self._ids_wrong > self._ids_right:
            raise Damaged(
                "the key of chunk ids isn't that of these packs", hint="the file chunk-key of their store has it"
            )

    def _take(self, pack: str, found: Found) -> None:
        record, location = found.record, Location(pack, found.offset)
        if not found.intact:
            self._lost.append(Lost(f"{pack} at {found.offset}", "the record's bytes aren't those that were written"))
        elif record.kind is RecordKind.CHUNK:
            name, chunk = (record.namespace, record.id), _Chunk(pack, new_chunk(record, location))
            known = self._chunks.get(name)
            # Compaction may have written a chunk twice, and the optimizer with another base: the one without is surer.
            if known is None or (known.new.base is not None and chunk.new.base is None):
                self._chunks[name] = chunk
            if record.encoding == RAW:
                right = self._chains.id_of(record.stored) == record.id
                self._ids_right, self._ids_wrong = self._ids_right + right, self._ids_wrong + (not right)
        else:
            try:
                note = parse_note(record.stored)
            except Damaged as damage:
                self._lost.append(Lost(f"{pack} at {found.offset}", damage.message))
            else:
                self._note(_Noted(record.namespace, note, location, len(record.stored)))

    def _note(self, noted: _Noted) -> None:
        """Of a checkpoint that is noted twice, because its note was carried along, the newest counts."""
        key = (noted.namespace, noted.note.process_id, noted.note.seq)
        known = self._notes.get(key)
        if known is None or known.note.created_at <= noted.note.created_at:
            self._notes[key] = noted

    def record(self) -> Rebuilt:
        """Write rows for all of it."""
        used = {chunk.pack for chunk in self._chunks.values()} | {one.location.pack for one in self._notes.values()}
        packs = {name: self._catalog.add_pack(name, self._at) for name in sorted(used)}
        keys = self._record_chunks(packs)
        count = 0
        for _, noted in sorted(self._notes.items(), key=lambda item: item[0]):
            try:
                self._checkpoint(noted, packs, keys)
                count += 1
            except CkptdError as error:
                self._lost.append(Lost(noted.name, error.message))
        return Rebuilt(len(packs), len(keys), count, self._lost)

    def _record_chunks(self, packs: Mapping[str, PackKey]) -> Mapping[Name, ChunkKey]:
        """A chunk that others stand on goes ahead of them; what stands on nothing that is there is left out."""
        keys: dict[Name, ChunkKey] = {}
        left = self._chunks
        while ready := {n: c for n, c in left.items() if c.new.base is None or (n[0], c.new.base) in keys}:
            ordered = sorted(ready.items(), key=lambda item: (item[1].pack, item[0][0], item[1].new.offset))
            for (pack, namespace), some in groupby(ordered, key=lambda item: (item[1].pack, item[0][0])):
                while piece := list(islice(some, SLICE)):
                    new = [chunk.new for _, chunk in piece]
                    found = self._catalog.add_chunks(namespace, packs[pack], new, self._at)
                    keys.update(zip((name for name, _ in piece), found, strict=True))
            left = {name: chunk for name, chunk in left.items() if name not in ready}
        return keys

    def _checkpoint(self, noted: _Noted, packs: Mapping[str, PackKey], keys: Mapping[Name, ChunkKey]) -> None:
        note, uid = noted.note, noted.namespace
        parts = unpack(note.manifest)
        if len(parts) != len(note.chunks):
            raise Damaged("its note and its manifest name different parts")
        bodies = [self._bodies(uid, part, ids, keys) for part, ids in zip(parts, note.chunks, strict=True)]
        add = self._catalog.add_body
        with self._catalog.transaction():
            recorded = tuple(
                ManifestPart(
                    part.name,
                    part.form,
                    part.size_bytes,
                    part.hash,
                    tuple(add(uid, one.hash, one.plain_bytes, [keys[uid, id_] for id_ in one.ids]) for one in its),
                )
                for part, its in zip(parts, bodies, strict=True)
            )
            place = NotePlace(packs[noted.location.pack], noted.location.offset, noted.stored_bytes)
            (outcome,) = self._catalog.apply([self._change(uid, note, recorded, place)])
            if isinstance(outcome, CkptdError):
                raise outcome

    def _bodies(self, uid: int, part: ManifestPart, packed: bytes, keys: Mapping[Name, ChunkKey]) -> Sequence[Body]:
        ids = [packed[at : at + ID_BYTES] for at in range(0, len(packed), ID_BYTES)]
        missing = [one for one in ids if (uid, one) not in keys]
        if missing:
            raise Damaged(f"{len(missing)} of {len(ids)} chunks of part {part.name} aren't there, or not whole")
        its = bodies_of([(one, self._chunks[uid, one].new.plain_bytes) for one in ids])
        if bodies_hash(one.hash for one in its) != part.hash or sum(one.plain_bytes for one in its) != part.size_bytes:
            raise Damaged(f"the chunks of part {part.name} aren't those that its manifest names")
        return its

    def _change(self, uid: int, note: Note, parts: tuple[ManifestPart, ...], place: NotePlace) -> Change:
        reader = self._catalog.reader()
        try:
            process = reader.process(uid, note.process_id)
        finally:
            reader.close()
        checkpoint = NewCheckpoint(
            seq=note.seq,
            type=CheckpointType(note.type),
            created_at=note.created_at,
            expires_at=None,
            task_id="",
            description=DESCRIPTION,
            metadata=b"",
            tags=(TAG,),
            depends=(),
            manifest=note.manifest,
            checksum=checksum(note.manifest),
            parts=parts,
            small=None,
            logical_bytes=sum(part.size_bytes for part in parts),
            own_bytes=0,
            journal_position=note.journal_position,
            has_state=note.has_state,
            schema_version=note.schema_version,
            note=place,
        )
        if process is None:
            claim = Claim(uid, note.process_id, None, None, None, Act.SAVE)
            return Change(self._at, uid, claim=claim, checkpoint=checkpoint)
        return Change(self._at, uid, guard=Guard(process.key, None), checkpoint=checkpoint)
