"""The catalog of a store that is not to be written; owns the term *looking*.

SQLite reads a file in WAL mode only with the log's index beside it, which it makes itself where it may write. So there
are two ways: a catalog whose log is empty is opened as one that never changes; one with a log is copied, with its log,
to a directory for temporary files, and the copy is opened. To open the file alone would hide the newest commits.
Not for: deciding that nothing is written (`daemon` does), nor for offline tools, whose store may belong to a daemon.
"""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import apsw
from typing_extensions import override

from ckptd.errors import StartRefused, read_only
from ckptd.store.catalog.sqlite.opening import RETRY, check_format
from ckptd.store.catalog.sqlite.writer import SqliteCatalog

_FLAGS = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


class LookedAtCatalog(SqliteCatalog):
    """See `Catalog`; whatever would write is READ_ONLY."""

    def __init__(self, connection: apsw.Connection, name: str, why: str, copy: Path | None) -> None:
        super().__init__(connection, name)
        self._why = why
        self._copy = copy

    @override
    def transaction(self) -> NoReturn:
        raise read_only(self._why)

    @override
    def close(self) -> None:
        super().close()
        if self._copy is not None:
            shutil.rmtree(self._copy, ignore_errors=True)


def look_at_catalog(path: Path, why: str) -> LookedAtCatalog:
    """Open the catalog at `path` without writing beside it; `why` is what a writer is told.

    Raises StartRefused for one that can't be read, or has another format.
    """
    connection: apsw.Connection | None = None
    copy = _copied(path) if _log_bytes(path) else None
    name = _name(copy / path.name if copy is not None else path, immutable=not _log_bytes(path))
    try:
        connection = apsw.Connection(name, flags=_FLAGS)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        check_format(connection, path, has_store=True)
        return LookedAtCatalog(connection, name, why, copy)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if copy is not None:
            shutil.rmtree(copy, ignore_errors=True)
        if not isinstance(error, apsw.Error):
            raise
        raise StartRefused(
            f"{path} can be neither written ({why}) nor read: {error}",
            hint="repair the cause, or restore the store from its backup",
            sysexit=RETRY,
        ) from error


def _log_bytes(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.with_name(f"{path.name}-wal").stat().st_size
    return 0


def _copied(path: Path) -> Path | None:
    """A directory with a copy; None where there is no room for one, and the log's index has to be there already."""
    copy = Path(tempfile.mkdtemp(prefix="ckptd-catalog-"))
    try:
        for name in (path.name, f"{path.name}-wal"):
            shutil.copyfile(path.with_name(name), copy / name)
    except OSError:
        shutil.rmtree(copy, ignore_errors=True)
        return None
    return copy


def _name(path: Path, *, immutable: bool) -> str:
    return f"file:{quote(str(path))}?mode=ro{'&immutable=1' if immutable else ''}"
