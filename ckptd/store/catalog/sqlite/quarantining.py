"""Places that are damaged, and what the scrub writes; owns the term *quarantine* in the catalog.

Damage is known by its place, pack and offset: a chunk whose row names another place by now is whole again, without
anybody having to unmark it. Rows go with their pack.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

import apsw

from ckptd.core.ids import BodyKey, ChunkKey, PackKey
from ckptd.store.catalog.interface import Audit, Damage

AT_DAMAGE: Final = "EXISTS(SELECT 1 FROM damage d WHERE d.pack=chunk.pack AND d.at=chunk.at)"
"""Of a row of `chunk`: whether it lies at a damaged place."""

STANDS: Final = "(d.chunk IS NULL OR EXISTS(SELECT 1 FROM chunk c WHERE c.k=d.chunk AND c.pack=d.pack AND c.at=d.at))"
"""Of a row `d` of `damage`: whether what lay there still does."""


def quarantine(
    connection: apsw.Connection, damage: Sequence[Damage], bodies: Mapping[ChunkKey, Sequence[BodyKey]]
) -> int:
    """See `Catalog.quarantine`."""
    new = 0
    for one in damage:
        if one.chunk is not None and not _lies_there(connection, one.chunk, one):
            continue
        connection.execute(
            "INSERT OR IGNORE INTO damage(pack,at,bytes,chunk,found_at,how,state) VALUES(?,?,?,?,?,?,0)",
            (one.pack, one.offset, one.size_bytes, one.chunk, one.at, one.how),
        )
        new += connection.changes()
        if one.chunk is not None:
            # Keys are given again: what an earlier chunk of this key was needed for says nothing.
            connection.execute("DELETE FROM body_of WHERE chunk=?", (one.chunk,))
            needed = [(one.chunk, body) for body in bodies.get(one.chunk, ())]
            connection.executemany("INSERT OR IGNORE INTO body_of VALUES(?,?)", needed)
    return new


def _lies_there(connection: apsw.Connection, chunk: ChunkKey, one: Damage) -> bool:
    sql = "SELECT 1 FROM chunk WHERE k=? AND pack=? AND at=?"
    return connection.execute(sql, (chunk, one.pack, one.offset)).fetchone() is not None


def release(connection: apsw.Connection, pack: PackKey, offsets: Sequence[int]) -> None:
    """See `Catalog.release`."""
    connection.executemany("DELETE FROM damage WHERE pack=? AND at=?", [(pack, offset) for offset in offsets])


def forget_bodies(connection: apsw.Connection, bodies: Sequence[int]) -> None:
    """Bodies are gone, and their keys are given again."""
    connection.execute("DELETE FROM body_of WHERE body IN (SELECT value FROM json_each(?))", (json.dumps(bodies),))


def raise_references(connection: apsw.Connection, audit: Audit) -> None:
    """See `Catalog.raise_references`: by the difference, because counts have moved since; none that is another row now."""
    connection.executemany(
        "UPDATE chunk SET refs=refs+?,state=0 WHERE k=? AND id=?", [(one.by, one.key, one.name) for one in audit.chunks]
    )
    connection.executemany(
        "UPDATE body SET refs=refs+? WHERE k=? AND hash=?", [(one.by, one.key, one.name) for one in audit.bodies]
    )
