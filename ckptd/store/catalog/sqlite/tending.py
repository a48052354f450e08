"""What goes for good: the trash, the journals of earlier lives, in slices.

Each function is the inside of one transaction and touches a bounded number of rows: deleting half a million at once
took ten seconds, during which nothing could be saved.
"""

from collections.abc import Sequence

import apsw

from ckptd.core.change import Place
from ckptd.core.ids import CheckpointKey
from ckptd.store.catalog.interface import Proof
from ckptd.store.catalog.sqlite import archiving
from ckptd.store.catalog.sqlite.bodies import drop_notes
from ckptd.store.catalog.sqlite.checkpoints import FLOOR
from ckptd.store.catalog.sqlite.counting import PLACE
from ckptd.store.catalog.sqlite.standing import Dooming
from ckptd.store.catalog.sqlite.transaction import Transaction


def condemn(
    connection: apsw.Connection, keys: Sequence[CheckpointKey], now: int, abandoned_after: int, ended_by: int | None
) -> Sequence[CheckpointKey]:
    """See `Catalog.condemn`."""
    dooming, transaction = Dooming(connection, now, abandoned_after), Transaction(connection)
    moved: list[CheckpointKey] = []
    for key in keys:
        row = dooming.row(key, ended_by)
        if row is not None:
            transaction.checkpoints.transfer(key, row, Place.LIVE, Place.TRASH, now)
            moved.append(key)
    transaction.flush()
    return moved


def empty_trash(connection: apsw.Connection, before: int, limit: int) -> tuple[int, bool]:
    """See `Catalog.empty_trash`."""
    rows = list(
        connection.execute(
            "SELECT c.k,p.uid,c.logical,coalesce(length(c.small),0),c.alias FROM checkpoint c CROSS JOIN process p "
            "ON p.k=c.process WHERE c.place=1 AND c.ended_at<=? ORDER BY c.ended_at LIMIT ?",
            (before, limit),
        )
    )
    keys = [(row[0],) for row in rows]
    many = connection.executemany
    bodies = [body for key in keys for body in connection.execute("SELECT body FROM part WHERE checkpoint=?", key)]
    many("UPDATE body SET refs=refs-1 WHERE k=?", bodies)
    for table in ("part", "tag", "dependency"):
        many(f"DELETE FROM {table} WHERE checkpoint=?", keys)
    many(
        "DELETE FROM alias WHERE id=? AND uid=? AND checkpoint=?",
        [(alias, uid, key) for key, uid, _, _, alias in rows if alias is not None],
    )
    archiving.doom(connection, [key for (key,) in keys])
    many("DELETE FROM checkpoint WHERE k=?", keys)
    drop_notes(connection, [key for (key,) in keys])
    _raise_floor(connection, max((key for (key,) in keys), default=0))
    many(
        f"UPDATE counter SET n=n-1,logical=logical-?,stored=stored-? WHERE uid=? AND dim={PLACE} AND value={Place.TRASH:d}",
        [(logical, stored, uid) for _, uid, logical, stored, _ in rows],
    )
    return len(rows), len(rows) == limit


def _raise_floor(connection: apsw.Connection, dropped: int) -> None:
    if dropped > connection.execute("SELECT coalesce(max(k),0) FROM checkpoint").get:
        connection.execute(
            "INSERT INTO store VALUES(?,?) ON CONFLICT DO UPDATE SET v=max(v,excluded.v)", (FLOOR, dropped)
        )


_HISTORY = {
    "journal": "pos",
    "journal_item": "ordinal,digest",
    "journal_cut": "after_pos,after_seq",
    "suspect": "item",
    "member": "epoch,member",
}
"""Tables of a process's history, with what tells their rows of one process apart."""


def drop_journal(connection: apsw.Connection, limit: int) -> bool:
    """See `Catalog.drop_journal`."""
    row = connection.execute(
        "SELECT k FROM process p WHERE now=0 AND checkpoints=0 "
        "AND NOT EXISTS(SELECT 1 FROM checkpoint WHERE process=p.k) LIMIT 1"
    ).fetchone()
    if row is None:
        return False
    left = limit
    for table, names in _HISTORY.items():
        connection.execute(
            f"DELETE FROM {table} WHERE process=?1 AND ({names}) IN "
            f"(SELECT {names} FROM {table} WHERE process=?1 LIMIT ?2)",
            (row[0], left),
        )
        left -= connection.changes()
        if left <= 0:
            return True
    for table, column in (("proof", "process"), ("process", "k")):
        connection.execute(f"DELETE FROM {table} WHERE {column}=?", (row[0],))
    return True


def prove(connection: apsw.Connection, proofs: Sequence[Proof]) -> None:
    """See `Catalog.prove`."""
    connection.executemany(
        "INSERT OR REPLACE INTO proof VALUES(?,?,?,?,?,?)",
        [(one.process, one.tried_at, one.proven_at, one.checkpoint, one.seq, one.damaged) for one in proofs],
    )
    connection.executemany(
        "UPDATE checkpoint SET proven_at=? WHERE k=?",
        [(one.proven_at, one.checkpoint) for one in proofs if one.checkpoint is not None],
    )


def trim(connection: apsw.Connection, events_kept: int, requests_before: int) -> None:
    """See `Catalog.trim`."""
    connection.execute("DELETE FROM event WHERE seq<=(SELECT max(seq) FROM event)-?", (events_kept,))
    connection.execute("DELETE FROM request WHERE at<?", (requests_before,))
