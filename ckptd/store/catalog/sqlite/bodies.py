"""Packs, chunks and bodies: rows for bytes that are on disk already, and how they go when nothing refers to them.

A chunk's life: ZERO until a body or a delta refers to it, LIVE, ZERO again, CONDEMNED, gone. Each step is a
transaction; a save that meets a CONDEMNED chunk brings its bytes anew, and the row gets the new place. A delta refers
to its base as long as it has a row, CONDEMNED or not: until then it may be read.
"""

from collections.abc import Sequence

import apsw

from ckptd.core.change import NotePlace
from ckptd.core.ids import BodyKey, ChunkKey, PackKey
from ckptd.store.catalog.interface import NewChunk
from ckptd.store.catalog.sqlite.quarantining import AT_DAMAGE, forget_bodies
from ckptd.store.catalog.sqlite.rows import CONDEMNED, LIVE, ZERO, pack_keys, unpack_keys
from ckptd.store.records import PACK_HEADER_BYTES, RECORD_HEADER_BYTES

_DYING = "chunk WHERE state=? AND state>0"
"""The second condition is that of the partial index, which SQLite takes only where it stands in the question too."""


def add_pack(connection: apsw.Connection, name: str, at: int, lifetime: int, tight: bool) -> PackKey:
    """See `Catalog.add_pack`."""
    connection.execute(
        "INSERT INTO pack(name,ns,class,state,bytes,live,created_at) VALUES(?,0,?,?,?,0,?)",
        (name, lifetime, tight, PACK_HEADER_BYTES, at),
    )
    return PackKey(connection.last_insert_rowid())


def add_chunks(
    connection: apsw.Connection, namespace: int, pack: PackKey, chunks: Sequence[NewChunk], at: int
) -> Sequence[ChunkKey]:
    """See `Catalog.add_chunks`."""
    keys, live = [], 0
    for chunk in chunks:
        key, is_used = _add_chunk(connection, namespace, pack, chunk, at)
        keys.append(key)
        live += RECORD_HEADER_BYTES + chunk.stored_bytes if is_used else 0
    end = max((chunk.offset + RECORD_HEADER_BYTES + chunk.stored_bytes for chunk in chunks), default=0)
    connection.execute("UPDATE pack SET live=live+?,bytes=max(bytes,?) WHERE k=?", (live, end, pack))
    return keys


def add_note(connection: apsw.Connection, checkpoint: int, place: NotePlace) -> None:
    """A checkpoint's record lies in a pack, and is live as long as the checkpoint has a row."""
    size = RECORD_HEADER_BYTES + place.stored_bytes
    connection.execute("INSERT INTO note VALUES(?,?,?,?)", (checkpoint, place.pack, place.offset, place.stored_bytes))
    connection.execute(
        "UPDATE pack SET live=live+?,bytes=max(bytes,?) WHERE k=?", (size, place.offset + size, place.pack)
    )


def drop_notes(connection: apsw.Connection, checkpoints: Sequence[int]) -> None:
    """Checkpoints are gone, and so are their records."""
    for key in checkpoints:
        for pack, stored in connection.execute("DELETE FROM note WHERE checkpoint=? RETURNING pack,stored", (key,)):
            dies(connection, [(pack, stored)])


def dies(connection: apsw.Connection, records: Sequence[tuple[int, int]]) -> None:
    """Records, each as its pack and its stored bytes, are dead bytes from now on."""
    connection.executemany(
        f"UPDATE pack SET live=live-?-{RECORD_HEADER_BYTES} WHERE k=?", [(stored, pack) for pack, stored in records]
    )


def _add_chunk(
    connection: apsw.Connection, namespace: int, pack: PackKey, chunk: NewChunk, at: int
) -> tuple[ChunkKey, bool]:
    """(key, whether these bytes are the ones that count: of two saves with the same new chunk the first one's do)."""
    row = connection.execute(
        f"SELECT k,state,pack,stored,base,since,{AT_DAMAGE} FROM chunk WHERE ns=? AND id=?", (namespace, chunk.id)
    ).fetchone()
    if row is not None and row[1] != CONDEMNED and not row[6]:
        return row[0], False
    base, depth = _refer(connection, namespace, chunk.base)
    # One that is quarantined is repaired by this: what refers to it goes on doing so.
    state, since = (ZERO, at) if row is None or row[1] == CONDEMNED else (row[1], row[5])
    assert base is None or row is None or row[1] == CONDEMNED, "a chunk that others may stand on is repaired by itself"
    place = (state, since, pack, chunk.offset, chunk.stored_bytes, chunk.encoding, base, depth)
    if row is None:
        connection.execute(
            "INSERT INTO chunk(state,since,pack,at,stored,encoding,base,depth,ns,id,refs,bytes)"
            " VALUES(?,?,?,?,?,?,?,?,?,?,0,?)",
            (*place, namespace, chunk.id, chunk.plain_bytes),
        )
        return ChunkKey(connection.last_insert_rowid()), True
    key, _, old_pack, old_stored, old_base, *_ = row
    dies(connection, [(old_pack, old_stored)])
    connection.execute(
        "UPDATE chunk SET state=?,since=?,pack=?,at=?,stored=?,encoding=?,base=?,depth=? WHERE k=?", (*place, key)
    )
    if old_base is not None:
        unrefer(connection, [old_base], at)
    return key, True


def _refer(connection: apsw.Connection, namespace: int, base: bytes | None) -> tuple[int | None, int]:
    """Count a delta as a reference to its base: (the base's key, the delta's depth)."""
    if base is None:
        return None, 0
    row = connection.execute(
        "UPDATE chunk SET refs=refs+1,state=0 WHERE ns=? AND id=? AND state<2 RETURNING k,depth", (namespace, base)
    ).fetchone()
    # The holds see to it, as they do for a new body's chunks.
    assert row is not None, "the base of a new delta is condemned or gone"
    return row[0], row[1] + 1


def unrefer(connection: apsw.Connection, chunks: Sequence[int], now: int) -> None:
    """A reference less, for each time that a chunk is named; one without any is ZERO."""
    connection.executemany("UPDATE chunk SET refs=refs-1 WHERE k=?", [(key,) for key in chunks])
    connection.executemany(
        "UPDATE chunk SET state=?,since=? WHERE k=? AND refs=0 AND state=?",
        [(ZERO, now, key, LIVE) for key in dict.fromkeys(chunks)],
    )


def add_body(
    connection: apsw.Connection, namespace: int, hash: bytes, plain_bytes: int, chunks: Sequence[ChunkKey]
) -> BodyKey:
    """See `Catalog.add_body`."""
    row = connection.execute("SELECT k FROM body WHERE ns=? AND hash=?", (namespace, hash)).fetchone()
    if row is not None:
        return BodyKey(row[0])
    connection.execute(
        "INSERT INTO body(ns,hash,bytes,refs,chunks) VALUES(?,?,?,0,?)",
        (namespace, hash, plain_bytes, pack_keys(chunks)),
    )
    key = BodyKey(connection.last_insert_rowid())
    before = connection.total_changes()
    connection.executemany("UPDATE chunk SET refs=refs+1,state=0 WHERE k=? AND state<2", [(chunk,) for chunk in chunks])
    # The holds see to it; a body that refers to bytes on their way out would be a checkpoint that can't be read.
    assert connection.total_changes() - before == len(chunks), "a chunk of a new body is condemned or gone"
    return key


def sweep(connection: apsw.Connection, held: frozenset[bytes], now: int, limit: int) -> bool:
    """See `Catalog.sweep`: bodies without a reference go, chunks go ZERO, CONDEMNED and then are deleted.

    A body without a reference can't be one that is about to get its first: making it and referring to it are one
    transaction.
    """
    freed = _free_bodies(connection, now, limit)
    dying = list(connection.execute(f"SELECT k,pack,stored,base FROM {_DYING} LIMIT ?", (CONDEMNED, limit)))
    connection.executemany("DELETE FROM chunk WHERE k=?", [(key,) for key, *_ in dying])
    dies(connection, [(pack, stored) for _, pack, stored, _ in dying])
    unrefer(connection, [base for *_, base in dying if base is not None], now)
    condemned: list[int] = []
    for key, id_ in connection.execute(f"SELECT k,id FROM {_DYING}", (ZERO,)):
        if id_ not in held:
            condemned.append(key)
            if len(condemned) == limit:
                break
    connection.executemany("UPDATE chunk SET state=?,since=? WHERE k=?", [(CONDEMNED, now, key) for key in condemned])
    return bool(freed or condemned or len(dying) == limit)


def _free_bodies(connection: apsw.Connection, now: int, limit: int) -> int:
    """Drop bodies without a reference until they had `limit` chunks; how many."""
    bodies: list[int] = []
    chunks: list[int] = []
    for key, packed in connection.execute("SELECT k,chunks FROM body WHERE refs=0 LIMIT ?", (limit,)):
        bodies.append(key)
        chunks += unpack_keys(packed)
        if len(chunks) >= limit:
            break
    connection.executemany("DELETE FROM body WHERE k=?", [(key,) for key in bodies])
    forget_bodies(connection, bodies)
    unrefer(connection, chunks, now)
    return len(bodies)
