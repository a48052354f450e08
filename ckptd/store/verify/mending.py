"""Good copies of damaged chunks, out of packs of the same names elsewhere: a backup's; owns the term *mend*.

A copy is believed only when it is the very chunk: whole by its record's check, and its plain bytes have its id. It is
written to a pack of its own, by itself and to no base, since others may stand on it; a row then names the new place, and
all that refers to it is whole again. Not for: which chunks are damaged (the catalog's quarantine).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ckptclient.errors import Damaged
from ckptd.store import encodings
from ckptd.store.catalog.interface import Catalog, CatalogReader, Damage, Placed
from ckptd.store.chains import Chains
from ckptd.store.chunks.interface import ChunkStore, Location, PrivatePacks
from ckptd.store.prepared import new_chunk
from ckptd.store.records import RECORD_HEADER_BYTES, Record, RecordKind, name_of, record_in


@dataclass(frozen=True, slots=True)
class Mended:
    """Copies that were found and written, by their places in the new packs; nothing refers to them yet."""

    copies: Sequence[tuple[str, int, Record]]
    packs: PrivatePacks


class Mending:
    """Fetches from `source` for the store of `chunks`."""

    def __init__(self, chunks: ChunkStore, source: ChunkStore, chains: Chains) -> None:
        self._chunks = chunks
        self._source = source
        self._chains = chains

    def fetch(self, catalog: CatalogReader, damage: Sequence[Damage]) -> Mended:
        """Write a good copy of each chunk that has one, and sync; in a reader's thread. NoSpace leaves nothing."""
        names = catalog.packs()
        packs = self._chunks.private(sum(one.size_bytes for one in damage))
        copies: list[tuple[str, int, Record]] = []
        try:
            for one in damage:
                rows = catalog.placed(one.pack, one.offset, 1) if one.chunk is not None else ()
                if not rows or rows[0].row.offset != one.offset:
                    continue
                record = self._copy(catalog, rows[0], names[one.pack])
                if record is not None:
                    location = packs.add(record)
                    copies.append((location.pack, location.offset, record))
            packs.close()
        except BaseException:
            packs.abandon()
            raise
        return Mended(copies, packs)

    def _copy(self, catalog: CatalogReader, placed: Placed, pack: str) -> Record | None:
        row = placed.row
        raw = self._source.image(pack, row.offset, RECORD_HEADER_BYTES + row.stored_bytes)
        found = record_in(raw, row.offset, name_of(pack))
        if found is None or not found.intact or found.record.kind is not RecordKind.CHUNK:
            return None
        record = found.record
        if (record.id, record.namespace) != (row.id, placed.namespace):
            return None
        try:
            base = self._base(catalog, placed)
            plain = encodings.decode(record.encoding, record.stored, row.plain_bytes, base)
        except Damaged:
            return None
        if self._chains.id_of(plain) != row.id:
            return None
        if base is None:
            return record
        return Record(RecordKind.CHUNK, placed.namespace, row.id, encodings.RAW, len(plain), plain)

    def _base(self, catalog: CatalogReader, placed: Placed) -> bytes | None:
        if placed.row.base is None:
            return None
        chain = catalog.chain(placed.row.base)
        if not chain:
            raise Damaged("what it is the difference to isn't in the catalog")
        return self._chains.read(catalog, chain[0], catalog.packs())


def mend(catalog: Catalog, mended: Mended, at: int) -> None:
    """Have the rows name the new places; on the committer's thread."""
    by_pack: dict[str, list[tuple[int, Record]]] = {}
    for pack, offset, one in mended.copies:
        by_pack.setdefault(pack, []).append((offset, one))
    with catalog.transaction():
        for pack, some in by_pack.items():
            key = catalog.add_pack(pack, at)
            for offset, one in some:
                catalog.add_chunks(one.namespace, key, [new_chunk(one, Location(pack, offset))], at)
