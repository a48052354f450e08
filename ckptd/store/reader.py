"""Reading parts back: look up, read, decode, and verify, every time.

Nothing is served that doesn't verify: the list of a part's chunks against the hash in its manifest, each chunk
against its id. A chunk that doesn't is read once more, from the medium and not from the page cache, at the place that
the catalog names then; only after that it is Damaged. No read needs a write. Not for: inline parts, which the catalog
gives whole, or who may read what (the service).
"""

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ckptclient.errors import BadRequest, Damaged
from ckptd.core.change import ManifestPart
from ckptd.core.ids import BodyKey, PackKey
from ckptd.core.manifest import body_hash
from ckptd.store.catalog.interface import CatalogReader, ChunkRow
from ckptd.store.chains import Chains

PIECE_BYTES: Final = 1 << 20
"""What `pieces` gives at a time."""

_LAYOUTS_KEPT: Final = 4


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the chunks of a part lie: each one's row, and the offset in the part at which it begins."""

    rows: Sequence[ChunkRow]
    begins: Sequence[int]
    packs: Mapping[PackKey, str]


class PartReader:
    """Reads parts of one store; any thread may, each with a catalog reader of its own.

    Two small memories serve the reader of a part in pieces: where the chunks of the last parts lie, by the part's hash,
    and in `chains` the chunk in which the last reads stopped. Where chunks lie is not believed: what is found there is
    verified like the rest.
    """

    def __init__(self, chains: Chains, noticed: Callable[[str, int], None] = lambda pack, offset: None) -> None:
        """`noticed` hears of each place of a pack that is damaged, from any thread."""
        self._chains = chains
        self._noticed = noticed
        self._lock = threading.Lock()
        self._layouts: OrderedDict[bytes, _Layout] = OrderedDict()

    def read(self, catalog: CatalogReader, part: ManifestPart, offset: int, size_bytes: int) -> bytes:
        """A range of a part; shorter where the part ends. `part` has its bodies.

        BadRequest for a range outside of the part; Damaged, with pack, offset and chunk in the details.
        """
        if not 0 <= offset <= part.size_bytes or size_bytes < 0:
            raise BadRequest(f"offset {offset} lies outside of part {part.name!r}, which has {part.size_bytes} bytes")
        end = min(offset + size_bytes, part.size_bytes)
        return b"".join(self._ranges(catalog, part, offset, end))

    def pieces(self, catalog: CatalogReader, part: ManifestPart) -> Iterator[bytes]:
        """A whole part, a MiB at a time in constant memory. Damaged as `read`."""
        for offset in range(0, part.size_bytes, PIECE_BYTES):
            yield self.read(catalog, part, offset, PIECE_BYTES)

    def verify(self, catalog: CatalogReader, parts: Sequence[ManifestPart]) -> None:
        """Read every byte of these parts and drop it; Damaged at the first chunk that doesn't verify."""
        for part in parts:
            layout = self._layout(catalog, part)
            for index in range(len(layout.rows)):
                self._chunk(catalog, part, layout, index, remembered=False)

    def chunks_count(self, catalog: CatalogReader, part: ManifestPart) -> int:
        """Of how many chunks a part is. Damaged where the catalog's list of them doesn't match its manifest."""
        return len(self._layout(catalog, part).rows)

    def prove(self, catalog: CatalogReader, part: ManifestPart, index: int) -> int:
        """Read one chunk of a part from the medium, past every cache, and verify it; its plain bytes. Damaged as `read`."""
        layout = self._layout(catalog, part)
        try:
            return len(self._chains.read(catalog, layout.rows[index], layout.packs, fresh=True))
        except Damaged:
            return len(self._from_medium(catalog, part, index))

    def _ranges(self, catalog: CatalogReader, part: ManifestPart, offset: int, end: int) -> Iterator[bytes]:
        if offset == end:
            return
        layout = self._layout(catalog, part)
        index = bisect_right(layout.begins, offset) - 1
        while offset < end:
            row, begin = layout.rows[index], layout.begins[index]
            # A reader in pieces comes back for the rest of the chunk in which it stopped, and for no other.
            plain = self._chains.kept(row.id) if offset > begin else None
            if plain is None:
                plain = self._chunk(catalog, part, layout, index)
            stop = min(end, begin + row.plain_bytes)
            if stop < begin + row.plain_bytes:
                self._chains.keep(row.id, plain)
            yield plain[offset - begin : stop - begin]
            offset, index = stop, index + 1

    def _chunk(
        self, catalog: CatalogReader, part: ManifestPart, layout: _Layout, index: int, *, remembered: bool = True
    ) -> bytes:
        row = layout.rows[index]
        try:
            return self._chains.read(catalog, row, layout.packs, remembered=remembered)
        except Damaged:
            return self._from_medium(catalog, part, index)

    def _from_medium(self, catalog: CatalogReader, part: ManifestPart, index: int) -> bytes:
        """The bytes in the cache may be bad, or the chunk may lie elsewhere by now."""
        with self._lock:
            self._layouts.pop(part.hash, None)
        layout = self._layout(catalog, part)
        row = layout.rows[index]
        try:
            return self._chains.read(catalog, row, layout.packs, fresh=True)
        except Damaged as damage:
            base = "" if damage.details["chunk"] == row.id.hex() else "what it is the difference to: "
            place = damage.details
            if isinstance(place["pack"], str) and isinstance(place["offset"], int) and place["pack"]:
                self._noticed(place["pack"], place["offset"])
            raise Damaged(
                f"part {part.name!r} is damaged at byte {layout.begins[index]}: {base}{damage.message}",
                hint="recover the process: it goes back to the newest checkpoint that is whole",
                details={"part": part.name, **damage.details},
            ) from damage

    def _layout(self, catalog: CatalogReader, part: ManifestPart) -> _Layout:
        with self._lock:
            found = self._layouts.get(part.hash)
            if found is not None:
                self._layouts.move_to_end(part.hash)
                return found
        found = _look_up(catalog, part)
        with self._lock:
            self._layouts[part.hash] = found
            while len(self._layouts) > _LAYOUTS_KEPT:
                self._layouts.popitem(last=False)
        return found


def _look_up(catalog: CatalogReader, part: ManifestPart) -> _Layout:
    rows: list[ChunkRow] = []
    hashes = sha256()
    for body in part.bodies:
        its = catalog.body_chunks(BodyKey(body))
        hashes.update(body_hash(row.id for row in its))
        rows += its
    begins: list[int] = []
    total = 0
    for row in rows:
        begins.append(total)
        total += row.plain_bytes
    if hashes.digest() != part.hash or total != part.size_bytes:
        raise Damaged(
            f"the catalog's list of chunks of part {part.name!r} doesn't match its manifest",
            hint="the catalog itself is damaged: restore it from its backup",
            details={"part": part.name},
        )
    return _Layout(rows, begins, catalog.packs())
