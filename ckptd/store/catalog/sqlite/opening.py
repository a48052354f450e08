"""Open or make a catalog: which SQLite, which settings, which format. Not for: locking the store (`medium` does)."""

from pathlib import Path

import apsw

from ckptd.errors import StartRefused
from ckptd.store.catalog.sqlite.schema import FORMAT, SCHEMA
from ckptd.store.catalog.sqlite.writer import SqliteCatalog

SQLITE_MIN = (3, 51, 3)
"""Before it, resetting the WAL could corrupt the file (fixed in SQLite 3.51.3)."""


def open_catalog(path: Path, lineage: bytes, chunk_key: bytes, now: int) -> SqliteCatalog:
    """Open the catalog at `path`, or make one with this lineage and key of chunk ids.

    Raises StartRefused for a library that is too old, a format that is too new, and a file that is no catalog of ours.
    """
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < SQLITE_MIN:
        raise StartRefused(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt a catalog, 3.51.3 or newer is needed",
            hint="pip install --upgrade 'ckptd[daemon]'",
        )
    connection = apsw.Connection(str(path))
    try:
        _configure(connection)
        if not _exists(connection):
            with connection:
                connection.execute(SCHEMA)
                rows = {"format": FORMAT, "lineage": lineage, "chunk_key": chunk_key, "created_at": now}
                connection.executemany("INSERT INTO store VALUES(?,?)", list(rows.items()))
        _check_format(connection, path)
    except apsw.NotADBError as error:
        connection.close()
        raise StartRefused(
            f"{path} is not a catalog", hint="restore it from its backup, or move it away to begin an empty store"
        ) from error
    except BaseException:
        connection.close()
        raise
    return SqliteCatalog(connection, path)


def _configure(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(0)
    for pragma in (
        "page_size=4096",
        "journal_mode=WAL",
        "synchronous=FULL",
        "wal_autocheckpoint=0",  # the committer moves the log when there is a moment, never in the middle of a batch
        "journal_size_limit=67108864",
        "cache_size=-16384",
        "foreign_keys=OFF",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _exists(connection: apsw.Connection) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_schema WHERE name='store'").fetchall())


def _check_format(connection: apsw.Connection, path: Path) -> None:
    found = connection.execute("SELECT v FROM store WHERE k='format'").fetchall()
    if not found or found[0][0] != FORMAT:
        told = found[0][0] if found else "none"
        raise StartRefused(
            f"{path} has format {told}, this release reads and writes format {FORMAT}",
            hint="install the release of ckptd that wrote it; nothing was changed",
        )
