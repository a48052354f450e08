"""What ends: expiry, the trash, the journals of earlier lives, in slices.

Each function is the inside of one transaction and touches a bounded number of rows: deleting half a million at once
took ten seconds, during which nothing could be saved.
"""

import apsw

from ckptd.core.change import Place
from ckptd.core.ids import CheckpointKey
from ckptd.core.process_table import State
from ckptd.store.catalog.interface import EXPIRE_FROM_START, Expired
from ckptd.store.catalog.sqlite.checkpoints import FLOOR, MOVED
from ckptd.store.catalog.sqlite.counting import PLACE
from ckptd.store.catalog.sqlite.reading import candidate_keys
from ckptd.store.catalog.sqlite.transaction import Transaction

_DUE = (
    f"SELECT k,expires_at,EXISTS(SELECT 1 FROM dependency WHERE needs=c.k),{MOVED} FROM checkpoint c WHERE place=0 "
    "AND pinned=0 AND expires_at IS NOT NULL AND (expires_at,k)<(?,?) ORDER BY expires_at DESC,k DESC LIMIT ?"
)
_NEEDED = "SELECT 1 FROM dependency d JOIN checkpoint c ON c.k=d.checkpoint WHERE d.needs=? AND c.place!=1 LIMIT 1"


def expire(connection: apsw.Connection, now: int, abandoned_after: int, cursor: tuple[int, int], limit: int) -> Expired:
    """See `Catalog.expire`. The latest first: what depends on others goes before these, which then may go too."""
    begin = (now + 1, 0) if cursor == EXPIRE_FROM_START else cursor
    rows = list(connection.execute(_DUE, (*begin, limit)))
    transaction = Transaction(connection)
    protected: dict[int, set[CheckpointKey]] = {}
    count = 0
    for key, _, has_dependents, *row in rows:
        process = row[0]
        if process not in protected:
            protected[process] = _protected(connection, process, now, abandoned_after)
        if key in protected[process] or (has_dependents and connection.execute(_NEEDED, (key,)).fetchone()):
            continue
        transaction.checkpoints.transfer(key, row, Place.LIVE, Place.TRASH, now)
        count += 1
    transaction.flush()
    return Expired(count, (rows[-1][1], rows[-1][0]) if len(rows) == limit else None)


def _protected(connection: apsw.Connection, process: int, now: int, abandoned_after: int) -> set[CheckpointKey]:
    """What a recovery would ask for: the newest restorable one, and the newest with application state.

    `retention.protects` in SQL; besides, nobody recovers an earlier life.
    """
    row = connection.execute(
        "SELECT state,epoch,coalesce(ended_at,progress_at),coalesce(abandon_after,?) FROM process WHERE k=? AND now=1",
        (abandoned_after, process),
    ).fetchone()
    if row is None:
        return set()
    state, epoch, left_at, patience = row
    abandoned = state != State.RUNNING and patience > 0 and left_at + patience <= now
    if state == State.COMPLETED or epoch == 0 or abandoned:
        return set()
    return {*candidate_keys(connection, process, False, 1), *candidate_keys(connection, process, True, 1)}


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
    many("DELETE FROM checkpoint WHERE k=?", keys)
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
    connection.execute("DELETE FROM process WHERE k=?", (row[0],))
    return True


def trim(connection: apsw.Connection, events_kept: int, requests_before: int) -> None:
    """See `Catalog.trim`."""
    connection.execute("DELETE FROM event WHERE seq<=(SELECT max(seq) FROM event)-?", (events_kept,))
    connection.execute("DELETE FROM request WHERE at<?", (requests_before,))
