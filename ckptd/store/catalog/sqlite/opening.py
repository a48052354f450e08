"""Open or make a catalog: which SQLite, which settings, which format. Not for: locking the store (`medium` does)."""

from pathlib import Path

import apsw

from ckptd.errors import StartRefused, StoreUnusable
from ckptd.store.catalog.sqlite.failing import LOCK_WAIT_MS
from ckptd.store.catalog.sqlite.schema import FORMAT, SCHEMA
from ckptd.store.catalog.sqlite.writer import SqliteCatalog

SQLITE_MIN = (3, 51, 3)
"""Before it, resetting the WAL could corrupt the file (fixed in SQLite 3.51.3)."""

RETRY = 75
"""Exit status: it may work later."""

_PRAGMAS = (
    "page_size=4096",
    "journal_mode=WAL",
    "synchronous=FULL",
    "wal_autocheckpoint=0",  # the committer moves the log when there is a moment, never in the middle of a batch
    "journal_size_limit=67108864",
    "cache_size=-16384",
    "foreign_keys=OFF",
    "temp_store=MEMORY",
)


def open_catalog(path: Path, lineage: bytes, chunk_key: bytes, now: int, vfs: str | None = None) -> SqliteCatalog:
    """Open the catalog at `path`, or make one with this lineage and key of chunk ids.

    Raises StartRefused for a library that is too old, a format that is too new, a file that is no catalog of ours, and
    a directory that can't be written. `vfs` names another way to the disk; the tests' way fails when they want it to.
    """
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < SQLITE_MIN:
        raise StartRefused(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt a catalog, 3.51.3 or newer is needed",
            hint="pip install --upgrade 'ckptd[daemon]'",
        )
    try:
        connection = apsw.Connection(str(path), vfs=vfs)
    except apsw.CantOpenError as error:
        raise _unusable(path, error) from error
    try:
        _prepare(connection, path, {"format": FORMAT, "lineage": lineage, "chunk_key": chunk_key, "created_at": now})
        return SqliteCatalog(connection, str(path))
    except apsw.NotADBError as error:
        connection.close()
        raise StartRefused(
            f"{path} is not a catalog", hint="restore it from its backup, or move it away to begin an empty store"
        ) from error
    except apsw.Error as error:
        connection.close()
        raise _unusable(path, error) from error
    except BaseException:
        connection.close()
        raise


def _prepare(connection: apsw.Connection, path: Path, first_rows: dict[str, int | bytes]) -> None:
    connection.set_busy_timeout(LOCK_WAIT_MS)
    # Else a statement is planned anew with each value that a partial index might go by: a tenth of a save's time.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    if tables:
        # First of all: a file that isn't ours is left as it is.
        check_format(connection, path, "store" in tables)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if not tables:
        with connection:
            connection.execute(SCHEMA)
            connection.executemany("INSERT INTO store VALUES(?,?)", list(first_rows.items()))


def check_format(connection: apsw.Connection, path: Path, has_store: bool) -> None:
    """StartRefused where the catalog is of another format, or none of ours."""
    found = connection.execute("SELECT v FROM store WHERE k='format'").fetchall() if has_store else []
    if not found or found[0][0] != FORMAT:
        told = found[0][0] if found else "none"
        raise StartRefused(
            f"{path} has format {told}, this release reads and writes format {FORMAT}",
            hint="install the release of ckptd that wrote it; nothing was changed",
        )


def _unusable(path: Path, error: apsw.Error) -> StartRefused:
    if isinstance(error, apsw.CorruptError):
        return StoreUnusable(f"{path} is damaged: {error}", hint="restore it from its backup", sysexit=RETRY)
    return StoreUnusable(
        f"{path} can't be used: {error}",
        hint="it must lie in a directory that ckptd may write, on a disk with room, locked by nobody else",
        sysexit=RETRY,
    )
