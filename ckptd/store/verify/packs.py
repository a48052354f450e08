"""Packs, record by record, from the medium: what was written must be there, where the catalog says, whole.

A slice is read past the page cache. For each chunk that the catalog has in it, the record at that place must be whole by
its own check, and the very one that the row means: a record that was swapped with another, written twice, or is an older
one of the same place is whole and wrong. With `decode`, its plain bytes must have its id. What stands between, notes of
checkpoints and chunks that nothing refers to any more, must be whole too, up to the last good record: behind that lies
what a crash cut short, or what is being written.

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
from ckptd.store.catalog.interface import CatalogReader, ChunkRow, PackRow, Placed
from ckptd.store.chains import Chains
from ckptd.store.chunks.interface import ChunkStore
from ckptd.store.records import (
    NO_BASE,
    PACK_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    Found,
    Gap,
    RecordKind,
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
    gaps: Sequence[Gap]
    rows: Sequence[Placed]
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
        findings += self._between(pack, part)
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
        rows = catalog.placed(pack.key, begin, ROWS)
        all_rows = len(rows) < ROWS
        rows_end = None if all_rows else rows[-1].row.offset
        size_bytes = self._chunks.size_bytes(pack.name)
        found: dict[int, Found] = {}
        gaps: list[Gap] = []
        end = begin
        for one in walk(partial(self._chunks.image, pack.name), begin, size_bytes, name_of(pack.name)):
            if end - begin >= SLICE_BYTES or (rows_end is not None and one.offset >= rows_end):
                return _Part(found, gaps, _before(rows, end), end, last=False)
            if isinstance(one, Found):
                found[one.offset], end = one, one.end
            else:
                gaps.append(one)
                end = one.offset + one.size_bytes
            if rows_end is not None and end > rows_end:
                # Rows that weren't asked for may lie in it: the next slice begins at the first of them.
                end = rows_end
        if rows_end is not None and rows_end > end:  # the pack ends before its chunks do
            return _Part(found, gaps, _before(rows, rows_end), rows_end, last=False)
        return _Part(found, gaps, rows, end, last=all_rows)

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

    def _between(self, pack: PackRow, part: _Part) -> Iterator[Finding]:
        """What is damaged and no chunk's: up to the last record that is whole."""
        named = {placed.row.offset for placed in part.rows}
        whole_end = max((one.offset for one in part.found.values() if one.intact), default=0)
        if not part.last:
            whole_end = part.end
        for one in part.found.values():
            if not one.intact and one.offset not in named and one.offset < whole_end:
                raw = self._chunks.image(pack.name, one.offset, one.end - one.offset)
                again = record_in(raw, one.offset, name_of(pack.name))
                if again is None or not again.intact:
                    what = (
                        "a checkpoint's note" if one.record.kind is RecordKind.CHECKPOINT else "a chunk without a row"
                    )
                    yield Finding(f"{what} is damaged", pack.key, pack.name, one.offset, one.end - one.offset)
        for gap in part.gaps:
            hit = any(gap.offset <= offset < gap.offset + gap.size_bytes for offset in named)
            if not hit and gap.offset < whole_end:
                yield Finding("no record", pack.key, pack.name, gap.offset, gap.size_bytes)


def name_of(pack_name: str) -> bytes:
    """The random name of a pack, from its file's."""
    return bytes.fromhex(pack_name.partition(".")[0])


def _before(rows: Sequence[Placed], end: int) -> Sequence[Placed]:
    return list(takewhile(lambda placed: placed.row.offset < end, rows))


def _of_chunk(pack: PackRow, row: ChunkRow, problem: str) -> Finding:
    size_bytes = RECORD_HEADER_BYTES + row.stored_bytes
    return Finding(problem, pack.key, pack.name, row.offset, size_bytes, row.key, row.id)
