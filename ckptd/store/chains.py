"""Reading one chunk, with the chunks that it is the difference to; verified, every time.

A chain is decoded from its far end, one chunk after the other, with two of them in memory. Lengths and what stands on
what come from the catalog, never from the stored bytes. A small memory of chunks that were read or saved last, bounded
in bytes, spares a save the decoding of its base's chain, and whoever reads version after version the same; what is in
it was verified. Not for: parts and their order (`reader`), or reading once more past the page cache, which is for the
caller to ask for (`fresh`).
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from blake3 import blake3

from ckptclient.errors import Damaged
from ckptd.core.ids import PackKey
from ckptd.store import encodings
from ckptd.store.catalog.interface import CatalogReader, ChunkRow
from ckptd.store.chunks.interface import ChunkStore, Location

KEPT_BYTES_MAX: Final = 32 << 20
"""Plain bytes that are kept in memory; a chunk that is larger alone isn't."""


class Chains:
    """Reads chunks of one store. Any thread may, each with a catalog reader of its own."""

    def __init__(self, chunks: ChunkStore, chunk_key: bytes, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._chunks = chunks
        self._key = chunk_key
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._kept_bytes_max = kept_bytes_max

    def id_of(self, plain: bytes) -> bytes:
        """The id of a chunk of these bytes."""
        return blake3(plain, key=self._key).digest()

    def read(
        self,
        catalog: CatalogReader,
        row: ChunkRow,
        packs: Mapping[PackKey, str],
        *,
        remembered: bool = True,
        fresh: bool = False,
    ) -> bytes:
        """The plain bytes of a chunk, read from its pack. `packs` are the catalog's.

        What it stands on may be `remembered`; `fresh` reads past every cache, the kernel's too. Damaged where the bytes
        can't be had: its details name pack, offset and id of the chunk at fault, which for a delta may be one that it
        stands on. Which one that is, is only looked for where `fresh` is asked for.
        """
        links, base = self._links(catalog, row, remembered=remembered and not fresh)
        for link in reversed(links):
            base = self._decoded(link, packs, base, fresh=fresh, verify=fresh or link is row)
        assert base is not None
        if row.base is not None:
            self.keep(row.id, base)
        return base

    def _links(
        self, catalog: CatalogReader, row: ChunkRow, *, remembered: bool
    ) -> tuple[Sequence[ChunkRow], bytes | None]:
        """What has to be decoded for a chunk, itself first, and the plain bytes that the last of it stands on."""
        if row.base is None:
            return [row], None
        links = [row]
        for link in catalog.chain(row.base):
            plain = self.kept(link.id) if remembered else None
            if plain is not None:
                return links, plain
            links.append(link)
        if links[-1].base is not None:
            raise _damaged(links[-1], "", "what it is the difference to isn't in the catalog")
        return links, None

    def _decoded(
        self, row: ChunkRow, packs: Mapping[PackKey, str], base: bytes | None, *, fresh: bool, verify: bool
    ) -> bytes:
        pack = packs.get(row.pack)
        if pack is None:
            raise _damaged(row, "", "its pack isn't in the catalog")
        try:
            stored = self._chunks.read(Location(pack, row.offset), row.stored_bytes, fresh=fresh)
            if len(stored) != row.stored_bytes:
                raise Damaged(f"its pack gives {len(stored)} of {row.stored_bytes} bytes")
            plain = encodings.decode(row.encoding, stored, row.plain_bytes, base)
        except Damaged as damage:
            raise _damaged(row, pack, damage.message) from damage
        if verify and self.id_of(plain) != row.id:
            raise _damaged(row, pack, "the chunk's bytes don't have its id")
        return plain

    # What was read or saved last

    def kept(self, chunk_id: bytes) -> bytes | None:
        """A chunk's plain bytes, where they are in memory."""
        with self._lock:
            plain = self._kept.get(chunk_id)
            if plain is not None:
                self._kept.move_to_end(chunk_id)
            return plain

    def keep(self, chunk_id: bytes, plain: bytes) -> None:
        """Keep bytes that have this id, instead of those that weren't asked for longest."""
        if len(plain) > self._kept_bytes_max:
            return
        with self._lock:
            if chunk_id in self._kept:
                return
            self._kept[chunk_id] = plain
            self._kept_bytes += len(plain)
            while self._kept_bytes > self._kept_bytes_max:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= len(oldest)


def _damaged(row: ChunkRow, pack: str, message: str) -> Damaged:
    return Damaged(message, details={"pack": pack, "offset": row.offset, "chunk": row.id.hex()})
