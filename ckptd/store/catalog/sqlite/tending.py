"""Giving space back, in slices: expiry, trash, bodies and chunks without references, old journals.

Each function is the inside of one transaction and touches a bounded number of rows: deleting half a million at once
took ten seconds, during which nothing could be saved.
"""

import apsw

from ckptd.core.change import Place
from ckptd.core.ids import CheckpointKey
from ckptd.core.process_table import State
from ckptd.store.catalog.interface import Expired
from ckptd.store.catalog.sqlite.reading import candidate_keys
from ckptd.store.catalog.sqlite.rows import unpack_keys
from ckptd.store.catalog.sqlite.transaction import PLACE, Transaction

LIVE, ZERO, CONDEMNED = 0, 1, 2
"""A chunk's life. Each step is a transaction; a save that meets a CONDEMNED chunk writes it anew."""


def expire(connection: apsw.Connection, now: int, abandoned_after: int, cursor: tuple[int, int], limit: int) -> Expired:
    """See `Catalog.expire`."""
    rows = connection.execute(
        "SELECT k,process,expires_at FROM checkpoint WHERE place=0 AND pinned=0 AND expires_at<=? AND (expires_at,k)>(?,?) "
        "ORDER BY expires_at,k LIMIT ?",
        (now, *cursor, limit),
    ).fetchall()
    transaction = Transaction(connection)
    protected: dict[object, set[CheckpointKey]] = {}
    due = []
    for key, process, _ in rows:
        if process not in protected:
            protected[process] = _protected(connection, process, now, abandoned_after)
        if key not in protected[process] and not _needed(connection, key):
            due.append(CheckpointKey(key))  # type: ignore[arg-type]
    count = transaction.trash(due, now)
    transaction.flush()
    last = rows[-1] if len(rows) == limit else None
    return Expired(count, (last[2], last[0]) if last else None)  # type: ignore[arg-type]


def _protected(connection: apsw.Connection, process: object, now: int, abandoned_after: int) -> set[CheckpointKey]:
    """The newest restorable of an unfinished process, and the newest with application state, unless abandoned."""
    row = connection.execute(
        "SELECT state,epoch,coalesce(ended_at,progress_at),coalesce(abandon_after,?) FROM process WHERE k=?",
        (abandoned_after, process),
    ).fetchone()
    if row is None or row[0] == State.COMPLETED or row[1] == 0:
        return set()
    if row[0] != State.RUNNING and row[2] + row[3] <= now:  # type: ignore[operator]
        return set()
    newest = candidate_keys(connection, process, False, 1) + candidate_keys(connection, process, True, 1)
    return set(newest)


def _needed(connection: apsw.Connection, key: object) -> bool:
    return bool(
        connection.execute(
            "SELECT 1 FROM dependency d JOIN checkpoint c ON c.k=d.checkpoint WHERE d.needs=? AND c.place!=1 LIMIT 1",
            (key,),
        ).fetchone()
    )


def empty_trash(connection: apsw.Connection, before: int, limit: int) -> tuple[int, bool]:
    """See `Catalog.empty_trash`."""
    rows = connection.execute(
        "SELECT c.k,p.uid,c.logical,coalesce(length(c.small),0),c.alias FROM checkpoint c JOIN process p ON p.k=c.process "
        "WHERE c.place=1 AND c.ended_at<=? ORDER BY c.ended_at LIMIT ?",
        (before, limit),
    ).fetchall()
    keys = [(row[0],) for row in rows]
    bodies = [
        body for key in keys for body in connection.execute("SELECT body FROM part WHERE checkpoint=?", key).fetchall()
    ]
    many = connection.executemany
    many("UPDATE body SET refs=refs-1 WHERE k=?", bodies)
    for table in ("part", "tag", "dependency"):
        many(f"DELETE FROM {table} WHERE checkpoint=?", keys)  # noqa: S608 - names of ours
    many(
        "DELETE FROM alias WHERE uid=? AND id=? AND checkpoint=?",
        [(r[1], r[4], r[0]) for r in rows if r[4] is not None],
    )
    many("DELETE FROM checkpoint WHERE k=?", keys)
    many(
        f"UPDATE counter SET n=n-1,logical=logical-?,stored=stored-? WHERE uid=? AND dim={PLACE} AND value={Place.TRASH:d}",  # noqa: S608
        [(r[2], r[3], r[1]) for r in rows],
    )
    return len(rows), len(rows) == limit


def sweep(connection: apsw.Connection, held: frozenset[bytes], now: int, limit: int) -> bool:
    """See `Catalog.sweep`: bodies without a reference go, chunks go ZERO, CONDEMNED and then, if still so, deleted."""
    bodies = connection.execute("SELECT k,chunks FROM body WHERE refs=0 LIMIT ?", (max(1, limit // 16),)).fetchall()
    free = [key for _, packed in bodies for key in unpack_keys(packed)]  # type: ignore[arg-type]
    # A body whose chunks a save holds was only just made, and is about to get its first reference.
    if held and free:
        keep = {key for key in set(free) if _is_held(connection, key, held)}
        bodies = [row for row in bodies if keep.isdisjoint(unpack_keys(row[1]))]  # type: ignore[arg-type]
        free = [key for _, packed in bodies for key in unpack_keys(packed)]  # type: ignore[arg-type]
    connection.executemany("DELETE FROM body WHERE k=?", [(row[0],) for row in bodies])
    connection.executemany("UPDATE chunk SET refs=refs-1 WHERE k=?", [(key,) for key in free])
    connection.executemany(
        "UPDATE chunk SET state=?,since=? WHERE k=? AND refs=0 AND state=?",
        [(ZERO, now, key, LIVE) for key in set(free)],
    )
    dying = connection.execute(
        "SELECT k,id,pack,stored FROM chunk WHERE state=? LIMIT ?", (CONDEMNED, limit)
    ).fetchall()
    gone = [(row[0],) for row in dying]
    connection.executemany("DELETE FROM chunk WHERE k=?", gone)
    connection.executemany("UPDATE pack SET live=live-? WHERE k=?", [(row[3], row[2]) for row in dying])
    zero = connection.execute("SELECT k,id FROM chunk WHERE state=? LIMIT ?", (ZERO, limit)).fetchall()
    condemned = [(CONDEMNED, now, row[0]) for row in zero if row[1] not in held]
    connection.executemany("UPDATE chunk SET state=?,since=? WHERE k=?", condemned)
    return bool(bodies or condemned or len(dying) == limit)


def _is_held(connection: apsw.Connection, key: int, held: frozenset[bytes]) -> bool:
    row = connection.execute("SELECT id FROM chunk WHERE k=?", (key,)).fetchone()
    return row is not None and row[0] in held


def drop_journal(connection: apsw.Connection, limit: int) -> bool:
    """See `Catalog.drop_journal`: an old life's records go once it has no checkpoint left, and then its row."""
    row = connection.execute(
        "SELECT k FROM process p WHERE now=0 AND NOT EXISTS(SELECT 1 FROM checkpoint WHERE process=p.k) LIMIT 1"
    ).fetchone()
    if row is None:
        return False
    left = limit
    for table in ("journal", "journal_item", "journal_cut", "suspect", "member"):
        key = {
            "journal": "pos",
            "journal_item": "digest",
            "journal_cut": "after_pos",
            "suspect": "item",
            "member": "epoch",
        }
        column = key[table]
        connection.execute(
            f"DELETE FROM {table} WHERE process=? AND {column} IN (SELECT {column} FROM {table} WHERE process=? LIMIT ?)",  # noqa: S608 - names of ours
            (row[0], row[0], left),
        )
        left -= connection.changes()
        if left <= 0:
            return True
    connection.execute("DELETE FROM process WHERE k=?", (row[0],))
    return True
