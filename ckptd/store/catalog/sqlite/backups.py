"""Backups that were begun, and the packs that they hold.

A running backup has a row in `backup_pack` for each pack that there was at its begin, and one for pack 0, so that the
highest is known also where there was none: packs beyond it came later, and are held with the others (`moving`). The
tool that copies looks at the catalog a moment after the begin and may meet them.
"""

from collections.abc import Sequence

import apsw

from ckptd.store.catalog.interface import BackupRow

RUNNING, DONE, FAILED = 1, 2, 3

KEPT = 1000
"""Rows of ended backups: three years of a daily one."""


def begin(connection: apsw.Connection, at: int) -> int:
    """See `Catalog.begin_backup`."""
    connection.execute("INSERT INTO backup(at,state) VALUES(?,?)", (at, RUNNING))
    key = connection.last_insert_rowid()
    connection.execute("INSERT INTO backup_pack SELECT ?1,0 UNION ALL SELECT ?1,k FROM pack", (key,))
    return key


def end(connection: apsw.Connection, backup: int, checksum: bytes | None) -> bool:
    """See `Catalog.end_backup`."""
    connection.execute("DELETE FROM backup_pack WHERE backup=?", (backup,))
    state = FAILED if checksum is None else DONE
    connection.execute("UPDATE backup SET state=?,checksum=? WHERE k=? AND state=?", (state, checksum, backup, RUNNING))
    ended = connection.changes() > 0
    connection.execute("DELETE FROM backup WHERE k<=(SELECT max(k) FROM backup)-? AND state!=?", (KEPT, RUNNING))
    return ended


def abandon(connection: apsw.Connection) -> int:
    """See `Catalog.abandon_backups`."""
    connection.execute("DELETE FROM backup_pack")
    connection.execute("UPDATE backup SET state=? WHERE state=?", (FAILED, RUNNING))
    return connection.changes()


def drilled(connection: apsw.Connection, checksum: bytes, at: int) -> None:
    """See `Catalog.drilled`."""
    connection.execute("UPDATE backup SET drilled_at=? WHERE checksum=?", (at, checksum))


def row(columns: Sequence[object]) -> BackupRow:
    """A row of `k,at,state,checksum,drilled_at`."""
    key, at, state, checksum, drilled_at = columns
    return BackupRow(key, at, state != RUNNING, checksum, drilled_at)  # type: ignore[arg-type]
