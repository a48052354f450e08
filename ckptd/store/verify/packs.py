"""Packs, record by record, from the medium: what was written must be there, where the catalog says, whole.

A slice is read past the page cache. For each chunk that the catalog has in it, the record at that place must be whole by
its own check, and the very one that the row means: a record that was swapped with another, written twice, or is an older
one of the same place is whole and wrong. With `decode`, its plain bytes must have its id. The notes of checkpoints that are
there must be whole too. Whatever else lies in a pack is nobody's: chunks that have died or were repaired, what a crash cut
short, what is being written; its damage hurts nobody.

What seems wrong is read once more, and looked up once more, before it is said to be: the chunk may have moved or gone
meanwhile, and a read may go wrong once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Final

from ckptclient.errors import CkptdError, Damaged
from ckptd.store import encodings
from ckptd.store.catalog.interface import CatalogReader, ChunkRow, PackRow, Placed, PlacedNote
from ckptd.store.chains import Chains
from ckptd.store.chunks.interface import ChunkStore
from ckptd.store.records import (
    NO_BASE,
    PACK_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    Found,
    RecordKind,
    name_of,
    parse_pack_header,
    record_in,
    walk,
)
from ckptd.store.verify.findings import Finding

SLICE_BYTES: Final = 4 << 20
"""About what one slice reads: some milliseconds of a disk."""

ROWS: Final = 1024
"""Chunks that one slice looks at, at most."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A piece of a pack: what is wrong in it, the places that are whole, and where the next begins (None: nowhere)."""

    findings: Sequence[Finding]
    whole: Sequence[int]
    next: int | None
    read_bytes: int


@dataclass(frozen=True, slots=True)
class _Part:
    """What lies between two offsets of a pack, as its records say and as the catalog does."""

    found: Mapping[int, Found]
    rows: Sequence[Placed]
    notes: Sequence[PlacedNote]
    end: int
    last: bool


class PackCheck:
    """Checks packs of one store. Any thread may, each with a catalog reader of its own."""

    def __init__(self, chunks: ChunkStore, chains: Chains, *, decode: bool) -> None:
        self._chunks = chunks
        self._chains = chains
        self._decode = decode

    def slice(self, catalog: CatalogReader, pack: PackRow, begin: int) -> Slice:
        """Look at a pack from an offset on, where a record begins; 0 is its header."""
        findings: list[Finding] = []
        if begin == 0:
            findings += self._header(catalog, pack)
            begin = PACK_HEADER_BYTES
        part = self._read(catalog, pack, begin)
        whole: list[int] = []
        for placed in part.rows:
            if placed.condemned:
                continue
            problem = self._problem(catalog, placed, part.found.get(placed.row.offset))
            if problem is not None:
                problem = self._again(catalog, pack, placed)
            if problem is None:
                whole.append(placed.row.offset)
            else:
                findings.append(_of_chunk(pack, placed.row, problem))
        findings += self._noted(catalog, pack, part)
        return Slice(findings, whole, None if part.last else part.end, part.end - begin)

    def _header(self, catalog: CatalogReader, pack: PackRow) -> Iterator[Finding]:
        raw = self._chunks.image(pack.name, 0, PACK_HEADER_BYTES)
        try:
            header, _ = parse_pack_header(raw)
            problem = None if header.name == name_of(pack.name) else "it is the header of another pack"
        except CkptdError as error:
            problem = error.message
        if problem is not None and pack.key in catalog.packs():
            if not raw:
                problem = "the pack isn't there, or can't be read"
            yield Finding(problem, pack.key, pack.name, 0, PACK_HEADER_BYTES)

    def _read(self, catalog: CatalogReader, pack: PackRow, begin: int) -> _Part:
        # Rows first: what the catalog names is on disk, and what is written later isn't looked for.
        rows, notes = catalog.placed(pack.key, begin, ROWS), catalog.notes(pack.key, begin, ROWS)
        ends = [rows[-1].row.offset] if len(rows) == ROWS else []
        ends += [notes[-1].offset] if len(notes) == ROWS else []
        # Behind it lies what wasn't asked for.
        known_end = min(ends, default=None)
        found: dict[int, Found] = {}
        end = begin
        size_bytes = self._chunks.size_bytes(pack.name)
        for one in walk(partial(self._chunks.image, pack.name), begin, size_bytes, name_of(pack.name)):
            if end - begin >= SLICE_BYTES or (known_end is not None and end >= known_end):
                break
            if isinstance(one, Found):
                found[one.offset] = one
            end = one.end
        else:
            if known_end is None:
                return _Part(found, rows, notes, end, last=True)
            end = known_end  # the pack ends before what should lie in it
        end = end if known_end is None else min(end, known_end)
        return _Part(
            found,
            list(takewhile(lambda placed: placed.row.offset < end, rows)),
            list(takewhile(lambda note: note.offset < end, notes)),
            end,
            last=False,
        )

    def _problem(self, catalog: CatalogReader, placed: Placed, found: Found | None) -> str | None:
        """What is wrong with the record that lies where a chunk should; None where it is that chunk, whole."""
        row = placed.row
        if found is None:
            return "no record begins there"
        record = found.record
        if (record.kind, record.id, record.namespace) != (RecordKind.CHUNK, row.id, placed.namespace):
            return "another record lies there"
        said = (found.stored_bytes, record.plain_bytes, record.encoding, record.base != NO_BASE)
        if said != (row.stored_bytes, row.plain_bytes, row.encoding, row.base is not None):
            return "the record and the catalog don't agree on it"
        if not found.intact:
            return "its stored bytes aren't those that were written"
        return self._decoded(catalog, row, record.stored) if self._decode else None

    def _decoded(self, catalog: CatalogReader, row: ChunkRow, stored: bytes) -> str | None:
        base = None
        if row.base is not None:
            try:
                base = self._base(catalog, row)
            except Damaged as damage:
                # A base that is damaged is found where it lies; one that isn't there at all is found here alone.
                return None if damage.details.get("pack") else damage.message
        try:
            plain = encodings.decode(row.encoding, stored, row.plain_bytes, base)
        except Damaged as damage:
            return damage.message
        if self._chains.id_of(plain) != row.id:
            return "the chunk's bytes don't have its id"
        self._chains.keep(row.id, plain)
        return None

    def _base(self, catalog: CatalogReader, row: ChunkRow) -> bytes:
        assert row.base is not None
        chain = catalog.chain(row.base)
        if not chain:
            raise Damaged("what it is the difference to isn't in the catalog")
        return self._chains.kept(chain[0].id) or self._chains.read(catalog, chain[0], catalog.packs())

    def _again(self, catalog: CatalogReader, pack: PackRow, placed: Placed) -> str | None:
        """Look once more; None where it is well now, or isn't there any more."""
        row = placed.row
        raw = self._chunks.image(pack.name, row.offset, RECORD_HEADER_BYTES + row.stored_bytes)
        found = record_in(raw, row.offset, name_of(pack.name))
        problem = self._problem(catalog, placed, found)
        now = catalog.placed(pack.key, row.offset, 1)
        return problem if now and now[0].row == row and not now[0].condemned else None

    def _noted(self, catalog: CatalogReader, pack: PackRow, part: _Part) -> Iterator[Finding]:
        """Notes of checkpoints that are there and can't be read: a catalog that is lost would be rebuilt without these."""
        for note in part.notes:
            if _is_note(note, part.found.get(note.offset)):
                continue
            size_bytes = RECORD_HEADER_BYTES + note.stored_bytes
            raw = self._chunks.image(pack.name, note.offset, size_bytes)
            again = record_in(raw, note.offset, name_of(pack.name))
            if not _is_note(note, again) and note in catalog.notes(pack.key, note.offset, 1):
                yield Finding("a checkpoint's note is damaged", pack.key, pack.name, note.offset, size_bytes)


def _is_note(note: PlacedNote, found: Found | None) -> bool:
    """Whether the record that lies where a note should is one, whole."""
    if found is None or not found.intact:
        return False
    return found.record.kind is RecordKind.CHECKPOINT and found.stored_bytes == note.stored_bytes


def _of_chunk(pack: PackRow, row: ChunkRow, problem: str) -> Finding:
    size_bytes = RECORD_HEADER_BYTES + row.stored_bytes
    return Finding(problem, pack.key, pack.name, row.offset, size_bytes, row.key, row.id)
