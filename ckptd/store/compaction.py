"""Copying what is alive in some packs into a new one; owns the steps, and what must be true before an old pack may go.

Order: copy each live record, checked by itself; sync the new pack; read all of it back past the page cache; and only then
let the catalog's rows name the copies, in slices. A pack that no row names any more is unlinked by whoever looks for
dead ones. Killed at any point, a store has a new pack without a row, which the next start removes, or rows of which
some name the copy and some the old place: both are there. What doesn't verify stops everything (Damaged), and the old
packs stay as they are.

A record may be rewritten on the way (`Rewrite`); what it stands for is then compared before anything is written.
Not for: which packs (`core.compaction`), how fast (`service.compacting`), or deleting anything.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from ckptclient.errors import Damaged
from ckptd.core.ids import PackKey
from ckptd.store.catalog.interface import Catalog, CatalogReader, ChunkRow, Move, PackRow, PlacedNote
from ckptd.store.chunks.interface import ChunkStore, Location
from ckptd.store.records import RECORD_HEADER_BYTES, Record, RecordKind, name_of, record_in

SLICE_BYTES: Final = 4 << 20
"""What a step copies or reads back, give or take a record: a few tens of milliseconds."""

SLICE_ROWS: Final = 250
"""Rows that are moved in one transaction."""

_PAGE_ROWS: Final = 500

Rewrite = Callable[[CatalogReader, ChunkRow, Record], Record]
"""Makes another record of a chunk's, or gives the same back."""

Row = ChunkRow | PlacedNote


@dataclass(slots=True)
class _Copied:
    """A record in its new pack."""

    source: PackKey
    row: Row
    location: Location
    stored_bytes: int
    encoding: int


@dataclass(slots=True)
class Figures:
    """What a copy came to: records, their bytes before and after, and whose checkpoints' own ones they were."""

    records: int = 0
    before_bytes: int = 0
    after_bytes: int = 0
    checkpoints: int = 0


class Copy:
    """The live records of `sources` on their way into new packs of one lifetime class, `tight` for the optimizer's.

    `copy` is called until it gives 0, then `verify` likewise, from any thread but one at a time; then `moves`. Any error
    means `abandon`, which may also be called while a step runs in another thread: it waits for that.
    """

    def __init__(
        self, chunks: ChunkStore, sources: Sequence[PackRow], rewrite: Rewrite | None = None, *, tight: bool = False
    ) -> None:
        self.figures = Figures()
        self._chunks = chunks
        self._sources = sources
        self._rewrite = rewrite
        self._tight = tight
        self._packs = chunks.private(sum(source.live_bytes for source in sources), sources[0].lifetime)
        self._left = deque(sources)
        self._begin: int | None = 0
        self._page: deque[Row] = deque()
        self._copied: list[_Copied] = []
        self._unverified: deque[_Copied] = deque()
        self._lock = threading.Lock()
        self._abandoned = False

    def copy(self, catalog: CatalogReader) -> int:
        """Copy a slice; how many bytes that were, 0 where all are copied and synced.

        Damaged where a record isn't what the catalog says, or isn't whole; its details name the pack. NoSpace.
        """
        with self._lock:
            done = 0
            while done < SLICE_BYTES and not self._abandoned and self._more(catalog):
                done += self._copy_one(catalog, self._left[0], self._page.popleft())
            if not done and not self._abandoned:
                self._packs.close()
                self._unverified.extend(self._copied)
            return done

    def _more(self, catalog: CatalogReader) -> bool:
        """Whether a record is left to copy; looks up the next page of them where it must."""
        while not self._page and self._left:
            if self._begin is None:
                self._left.popleft()
                self._begin = 0
            else:
                self._page, self._begin = _page(catalog, self._left[0].key, self._begin)
        return bool(self._page)

    def _copy_one(self, catalog: CatalogReader, source: PackRow, row: Row) -> int:
        record = _read(self._chunks, Location(source.name, row.offset), row.stored_bytes)
        if not _is_of(record, row):
            raise _damaged(source.name, row.offset, "the record there is another one")
        written = record
        if self._rewrite is not None and isinstance(row, ChunkRow):
            written = self._rewrite(catalog, row, record)
        location = self._packs.add(written)
        self._copied.append(_Copied(source.key, row, location, len(written.stored), written.encoding))
        self.figures.records += 1
        self.figures.before_bytes += record.size_bytes
        self.figures.after_bytes += written.size_bytes
        self.figures.checkpoints += isinstance(row, PlacedNote)
        return record.size_bytes

    def verify(self) -> int:
        """Read a slice back from the medium; how many bytes that were, 0 where all are as they were written."""
        with self._lock:
            done = 0
            while self._unverified and done < SLICE_BYTES and not self._abandoned:
                one = self._unverified.popleft()
                record = _read(self._chunks, one.location, one.stored_bytes)
                if not _is_of(record, one.row, one.encoding):
                    raise _damaged(one.location.pack, one.location.offset, "another record than was written there")
                done += record.size_bytes
            return done

    def moves(self, at: int) -> Iterator[Callable[[Catalog], int]]:
        """Transactions that let rows name the copies, each a slice to be run by the committer; all of them, in order."""
        assert not self._left, "everything is copied first"
        assert not self._unverified, "and read back"
        targets: dict[str, PackKey] = {}
        for source, pack, some in _slices(self._copied):
            moves = [Move(one.row, one.location.offset, one.stored_bytes, one.encoding) for one in some]

            def work(
                catalog: Catalog, source: PackKey = source, pack: str = pack, moves: Sequence[Move] = moves
            ) -> int:
                with catalog.transaction():
                    target = targets.get(pack)
                    if target is None:
                        # With its first rows: one without any would be a dead pack.
                        target = catalog.add_pack(pack, at, self._sources[0].lifetime, tight=self._tight)
                    moved = catalog.move(source, target, moves, at)
                targets[pack] = target
                return moved

            yield work

    def abandon(self) -> None:
        """Remove what was written; before the first of `moves` was begun. May be repeated."""
        self._abandoned = True
        with self._lock:
            self._packs.abandon()


def _page(catalog: CatalogReader, pack: PackKey, begin: int) -> tuple[deque[Row], int | None]:
    """The live records of a pack from an offset on, in order, and where the next page begins (None: nowhere)."""
    placed = catalog.placed(pack, begin, _PAGE_ROWS)
    notes = catalog.notes(pack, begin, _PAGE_ROWS)
    # A full page may have more behind it: what lies beyond its end belongs to the next one.
    ends = [placed[-1].row.offset] if len(placed) == _PAGE_ROWS else []
    ends += [notes[-1].offset] if len(notes) == _PAGE_ROWS else []
    end = min(ends, default=None)
    found: list[Row] = [one.row for one in placed if not one.condemned]
    found += notes
    within = [row for row in found if end is None or row.offset <= end]
    return deque(sorted(within, key=lambda row: row.offset)), None if end is None else end + 1


def _read(chunks: ChunkStore, location: Location, stored_bytes: int) -> Record:
    """A whole record from the medium, whatever the page cache has."""
    raw = chunks.image(location.pack, location.offset, RECORD_HEADER_BYTES + stored_bytes)
    found = record_in(raw, location.offset, name_of(location.pack))
    if found is None or not found.intact or found.stored_bytes != stored_bytes:
        raise _damaged(location.pack, location.offset, "no whole record lies there")
    return found.record


def _is_of(record: Record, row: Row, encoding: int | None = None) -> bool:
    if isinstance(row, PlacedNote):
        return record.kind is RecordKind.CHECKPOINT
    wanted = row.encoding if encoding is None else encoding
    return (record.kind, record.id, record.encoding, record.plain_bytes) == (
        RecordKind.CHUNK,
        row.id,
        wanted,
        row.plain_bytes,
    )


def _damaged(pack: str, offset: int, message: str) -> Damaged:
    return Damaged(f"pack {pack} at {offset}: {message}", details={"pack": pack, "offset": offset})


def _slices(copied: Sequence[_Copied]) -> Iterator[tuple[PackKey, str, Sequence[_Copied]]]:
    """Runs of records from one pack to another, some rows at a time."""
    for (source, pack), run in groupby(copied, key=lambda one: (one.source, one.location.pack)):
        rows = list(run)
        for begin in range(0, len(rows), SLICE_ROWS):
            yield source, pack, rows[begin : begin + SLICE_ROWS]
