"""How packs end: records move to other packs, and packs that nothing refers to are named. Not for: copying bytes.

A row is moved only where it still says what was copied: key, id and place. Keys are given again, and so are packs'.
"""

from collections.abc import Sequence

import apsw

from ckptd.core.ids import PackKey
from ckptd.store.catalog.interface import ChunkRow, Move, PlacedNote
from ckptd.store.catalog.sqlite.bodies import dies, unrefer
from ckptd.store.catalog.sqlite.quarantining import AT_DAMAGE
from ckptd.store.records import RECORD_HEADER_BYTES

_MOVE_CHUNK = (
    "UPDATE chunk SET pack=?,at=?,stored=?,encoding=?,base=?,depth=? "
    f"WHERE k=? AND id=? AND pack=? AND at=? AND NOT {AT_DAMAGE}"
)
_MOVE_NOTE = "UPDATE note SET pack=?,at=?,stored=? WHERE checkpoint=? AND pack=? AND at=?"

_DEAD = (
    "SELECT k,name FROM pack p WHERE state IN (0,1) AND live=0 "
    "AND NOT EXISTS(SELECT 1 FROM chunk WHERE pack=p.k) AND NOT EXISTS(SELECT 1 FROM note WHERE pack=p.k) "
    "AND NOT EXISTS(SELECT 1 FROM backup_pack WHERE pack=p.k) "
    "AND NOT EXISTS(SELECT 1 FROM (SELECT max(pack) AS newest FROM backup_pack GROUP BY backup) WHERE newest<p.k) LIMIT ?"
)
"""The count finds them; the rows are believed. A backup holds what there was at its begin, and what came later."""


def move(connection: apsw.Connection, source: PackKey, target: PackKey, moves: Sequence[Move], at: int) -> int:
    """See `Catalog.move`."""
    left: list[tuple[int, int]] = []
    live = 0
    for one in moves:
        was = one.source
        moved = _move_note(connection, source, target, one, was) if isinstance(was, PlacedNote) else None
        if isinstance(was, ChunkRow):
            moved = _move_chunk(connection, source, target, one, was, at)
        if moved:
            left.append((source, was.stored_bytes))
            live += RECORD_HEADER_BYTES + one.stored_bytes
    end = max((one.offset + RECORD_HEADER_BYTES + one.stored_bytes for one in moves), default=0)
    connection.execute("UPDATE pack SET live=live+?,bytes=max(bytes,?) WHERE k=?", (live, end, target))
    dies(connection, left)
    return len(left)


def _move_chunk(
    connection: apsw.Connection, source: PackKey, target: PackKey, one: Move, was: ChunkRow, at: int
) -> bool:
    stays = one.encoding == was.encoding
    base, depth = (was.base, was.depth) if stays else (None, 0)
    place = (target, one.offset, one.stored_bytes, one.encoding, base, depth)
    connection.execute(_MOVE_CHUNK, (*place, was.key, was.id, source, was.offset))
    moved = bool(connection.changes())
    if moved and was.base is not None and base is None:
        unrefer(connection, [was.base], at)
    return moved


def _move_note(connection: apsw.Connection, source: PackKey, target: PackKey, one: Move, was: PlacedNote) -> bool:
    connection.execute(_MOVE_NOTE, (target, one.offset, one.stored_bytes, was.checkpoint, source, was.offset))
    return bool(connection.changes())


def settle(connection: apsw.Connection, pack: PackKey) -> None:
    """See `Catalog.settle`."""
    connection.execute("UPDATE pack SET state=1 WHERE k=?", (pack,))


def dead_packs(connection: apsw.Connection, limit: int) -> Sequence[tuple[PackKey, str]]:
    """See `Catalog.dead_packs`."""
    return [(PackKey(key), name) for key, name in connection.execute(_DEAD, (limit,))]
