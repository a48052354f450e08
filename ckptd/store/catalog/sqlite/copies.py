"""Copies of a catalog as single files: taken while it is written, or while nobody does; made a store's own again.

A copy is one file, without a log beside it, and can be looked at on a medium that can't be written.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from ckptclient.errors import Damaged, NoSpace, Unavailable
from ckptd.core.process_table import State
from ckptd.store import durable
from ckptd.store.catalog.sqlite.reading import SqliteReader
from ckptd.store.catalog.sqlite.schema import FORMAT

STEP_PAGES = 256
"""A MiB at a time: whoever asks for the progress hears of it, and a thread that wants the interpreter gets it."""


class SqliteCopies:
    """See `CatalogCopies`; holds nothing."""

    def copy(self, catalog: Path, target: Path, told: Callable[[int, int], None]) -> None:
        """See `CatalogCopies`. One read transaction from begin to end: writers go on, and the copy begins once."""
        with _failing(target):
            source = apsw.Connection(str(catalog), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                source.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                source.set_busy_timeout(5000)
                # Without a transaction of its own, each commit of the daemon would begin the copy anew.
                source.execute("BEGIN; SELECT count(*) FROM sqlite_schema").fetchall()
                self._copy(source, target, told)
            finally:
                source.close()

    def _copy(self, source: apsw.Connection, target: Path, told: Callable[[int, int], None]) -> None:
        os.close(durable.create_exclusive(target))
        copy = apsw.Connection(str(target))
        try:
            # A crash leaves a draft, which nobody believes: the file is synced once, at its end.
            copy.execute("PRAGMA synchronous=OFF; PRAGMA page_size=4096").fetchall()
            with copy.backup("main", source, "main") as going:
                while not going.done:
                    going.step(STEP_PAGES)
                    told(going.page_count - going.remaining, going.page_count)
            copy.execute("PRAGMA journal_mode=DELETE").fetchall()
        finally:
            copy.close()

    def copy_cold(self, catalog: Path, target: Path) -> None:
        """See `CatalogCopies`. Nothing is written beside the catalog, which may lie on a read-only file system."""
        with _failing(target):
            os.close(durable.create_exclusive(target))
            shutil.copyfile(catalog, target)
            log = catalog.with_name(catalog.name + "-wal")
            beside = target.with_name(target.name + "-wal")
            with suppress(FileNotFoundError):
                shutil.copyfile(log, beside)
            copy = apsw.Connection(str(target))
            try:
                copy.execute("PRAGMA journal_mode=DELETE").fetchall()
            finally:
                copy.close()

    @contextmanager
    def look(self, copy: Path) -> Iterator[SqliteReader]:
        """See `CatalogCopies`. `immutable`: no lock, no log, nothing is made beside it."""
        reader = SqliteReader(f"file:{_quoted(copy)}?immutable=1")
        try:
            yield reader
        finally:
            reader.close()

    def check(self, copy: Path) -> Sequence[str]:
        """See `CatalogCopies`."""
        try:
            connection = apsw.Connection(
                f"file:{_quoted(copy)}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
            )
        except apsw.Error as error:
            return [str(error)]
        try:
            (found,) = connection.execute("SELECT v FROM store WHERE k='format'").fetchone() or (None,)
            if found != FORMAT:
                return [f"it has format {found}, this release reads and writes format {FORMAT}"]
            rows = list(connection.execute("PRAGMA quick_check(10)"))
        except apsw.Error as error:
            return [str(error)]
        finally:
            connection.close()
        return [line for (line,) in rows if line != "ok"]

    def renew(self, copy: Path, lineage: bytes, at: int) -> None:
        """See `CatalogCopies`."""
        with _failing(copy):
            connection = apsw.Connection(str(copy))
            try:
                connection.execute("PRAGMA synchronous=FULL").fetchall()
                with connection:
                    connection.execute("UPDATE store SET v=? WHERE k='lineage'", (lineage,))
                    connection.execute("DELETE FROM backup_pack")
                    connection.execute("DELETE FROM backup WHERE checksum IS NULL")
                    connection.execute(
                        "UPDATE process SET state=?,ended_at=?,boot_id=NULL,holder_pid=NULL,holder_start=NULL,session=NULL "
                        "WHERE state=?",
                        (State.INTERRUPTED, at, State.RUNNING),
                    )
            finally:
                connection.close()


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    """What goes wrong with a copy harms no store: it is said, and nobody dies of it."""
    try:
        yield
    except apsw.FullError as error:
        raise NoSpace(f"no room for {path}", hint="make room there") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise Damaged(f"the catalog can't be copied to {path}: {error}", hint="ckptctl verify") from error
    except (apsw.Error, OSError) as error:
        raise Unavailable(
            f"the catalog can't be copied to {path}: {error}", hint="see that both can be read and written"
        ) from error
