"""The writing side: transactions around `transaction` and `tending`, and what an error of SQLite means.

SQLITE_FULL has rolled back and is a clean refusal. SQLITE_IOERR, whatever its cause, means that the outcome is
unknown: a COMMIT that reported one was found committed after a restart. So is a corrupt page. Both are StoreFailed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar, cast

import apsw

from ckptclient.errors import NoSpace
from ckptd.core.change import Change
from ckptd.core.ids import BodyKey, ChunkKey, PackKey
from ckptd.errors import StoreFailed
from ckptd.store.catalog.interface import Expired, NewChunk, Outcome
from ckptd.store.catalog.sqlite import tending
from ckptd.store.catalog.sqlite.reading import SqliteReader
from ckptd.store.catalog.sqlite.rows import pack_keys
from ckptd.store.catalog.sqlite.transaction import Transaction

T = TypeVar("T")

WAL_PAGES_IDLE = 1000
WAL_PAGES_MAX = 16_000
"""The log is moved at 4 MiB when nothing else is to do, at 64 MiB whatever is to do: readers walk it."""


class SqliteCatalog:
    """See `Catalog`; one thread writes."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._wal_pages = 0
        connection.set_wal_hook(self._committed)
        self.lineage = self._setting("lineage")
        self.chunk_key = self._setting("chunk_key")

    def _committed(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _setting(self, key: str) -> bytes:
        row = self._connection.execute("SELECT v FROM store WHERE k=?", (key,)).fetchone()
        assert row is not None
        return cast("bytes", row[0])

    def reader(self) -> SqliteReader:
        """A connection of its own, for one thread at a time."""
        return SqliteReader(str(self._path))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction, durable when the block ends; inside another one, a part of that."""
        connection = self._connection
        if connection.in_transaction:
            yield
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("COMMIT")
        except (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.ReadOnlyError) as error:
            self._roll_back()
            if isinstance(error, apsw.FullError):
                raise NoSpace("the disk is full", hint="ckptctl status shows what holds the space") from error
            raise StoreFailed(f"the catalog failed: {error}") from error
        except BaseException:
            self._roll_back()
            raise

    def _within(self, work: Callable[[], T]) -> T:
        with self.transaction():
            return work()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(apsw.Error):
                self._connection.execute("ROLLBACK")

    def apply(self, batch: Sequence[Change]) -> Sequence[Outcome]:
        """Apply in order, durable on return."""

        def work() -> list[Outcome]:
            transaction = Transaction(self._connection)
            outcomes = [transaction.judge(change) for change in batch]
            transaction.flush()
            return outcomes

        return self._within(work)

    def add_pack(self, name: str, at: int) -> PackKey:
        """Name a new pack."""

        def work() -> PackKey:
            self._connection.execute(
                "INSERT INTO pack(name,ns,class,state,bytes,live,created_at) VALUES(?,0,0,0,0,0,?)", (name, at)
            )
            return PackKey(self._connection.last_insert_rowid())

        return self._within(work)

    def add_chunks(self, namespace: int, pack: PackKey, chunks: Sequence[NewChunk], at: int) -> Sequence[ChunkKey]:
        """Rows for chunks whose bytes are synced; a CONDEMNED one of the same id is put in the new place."""

        def work() -> list[ChunkKey]:
            keys = [self._add_chunk(namespace, pack, chunk, at) for chunk in chunks]
            stored = sum(chunk.stored_bytes for chunk in chunks)
            end = max((chunk.offset + chunk.stored_bytes for chunk in chunks), default=0)
            self._connection.execute("UPDATE pack SET live=live+?,bytes=max(bytes,?) WHERE k=?", (stored, end, pack))
            return keys

        return self._within(work)

    def _add_chunk(self, namespace: int, pack: PackKey, chunk: NewChunk, at: int) -> ChunkKey:
        row = self._connection.execute(
            "SELECT k,state,pack,stored FROM chunk WHERE ns=? AND id=?", (namespace, chunk.id)
        ).fetchone()
        if row is None:
            self._connection.execute(
                "INSERT INTO chunk(ns,id,state,since,refs,pack,at,stored,bytes,encoding,depth) VALUES(?,?,?,?,0,?,?,?,?,?,0)",
                (
                    namespace,
                    chunk.id,
                    tending.ZERO,
                    at,
                    pack,
                    chunk.offset,
                    chunk.stored_bytes,
                    chunk.plain_bytes,
                    chunk.encoding,
                ),
            )
            return ChunkKey(self._connection.last_insert_rowid())
        key, state, old_pack, old_stored = cast("tuple[int, int, int, int]", row)
        if state == tending.CONDEMNED:
            self._connection.execute("UPDATE pack SET live=live-? WHERE k=?", (old_stored, old_pack))
            self._connection.execute(
                "UPDATE chunk SET state=?,since=?,refs=0,pack=?,at=?,stored=?,encoding=? WHERE k=?",
                (tending.ZERO, at, pack, chunk.offset, chunk.stored_bytes, chunk.encoding, key),
            )
        else:  # two saves brought the same new chunk: the first one's bytes serve both, these are dead from the start
            self._connection.execute("UPDATE pack SET live=live-? WHERE k=?", (chunk.stored_bytes, pack))
        return ChunkKey(key)

    def add_body(self, namespace: int, hash: bytes, plain_bytes: int, chunks: Sequence[ChunkKey]) -> BodyKey:
        """An immutable list of chunks; the same list again is the same body."""

        def work() -> BodyKey:
            row = self._connection.execute("SELECT k FROM body WHERE ns=? AND hash=?", (namespace, hash)).fetchone()
            if row is not None:
                return BodyKey(cast("int", row[0]))
            self._connection.execute(
                "INSERT INTO body(ns,hash,bytes,refs,chunks) VALUES(?,?,?,0,?)",
                (namespace, hash, plain_bytes, pack_keys(chunks)),
            )
            key = BodyKey(self._connection.last_insert_rowid())
            self._connection.executemany(
                "UPDATE chunk SET refs=refs+1,state=0 WHERE k=?", [(chunk,) for chunk in chunks]
            )
            return key

        return self._within(work)

    # Giving space back

    def expire(self, now: int, abandoned_after: int, cursor: tuple[int, int], limit: int) -> Expired:
        """Move a slice of what is due to the trash."""
        return self._within(lambda: tending.expire(self._connection, now, abandoned_after, cursor, limit))

    def empty_trash(self, before: int, limit: int) -> tuple[int, bool]:
        """Drop a slice of the trash."""
        return self._within(lambda: tending.empty_trash(self._connection, before, limit))

    def sweep(self, held: frozenset[bytes], now: int, limit: int) -> bool:
        """Free a slice of what nothing refers to."""
        return self._within(lambda: tending.sweep(self._connection, held, now, limit))

    def dead_packs(self) -> Sequence[tuple[PackKey, str]]:
        """Packs without a chunk."""
        rows = self._connection.execute(
            "SELECT k,name FROM pack p WHERE live<=0 AND NOT EXISTS(SELECT 1 FROM chunk WHERE pack=p.k)"
        ).fetchall()
        return [(PackKey(cast("int", key)), cast("str", name)) for key, name in rows]

    def drop_pack(self, pack: PackKey) -> None:
        """Forget a pack whose file is gone."""
        self._within(lambda: self._connection.execute("DELETE FROM pack WHERE k=?", (pack,)))

    def drop_journal(self, limit: int) -> bool:
        """Drop a slice of the journals of earlier lives."""
        return self._within(lambda: tending.drop_journal(self._connection, limit))

    def trim(self, events_kept: int, requests_before: int) -> None:
        """Keep the newest events and the answers of sessions that may still ask."""

        def work() -> None:
            self._connection.execute("DELETE FROM event WHERE seq<=(SELECT max(seq) FROM event)-?", (events_kept,))
            self._connection.execute("DELETE FROM request WHERE at<?", (requests_before,))

        self._within(work)

    def set(self, key: str, value: int | bytes | str) -> None:
        """A row of the store's own table."""
        self._within(lambda: self._connection.execute("INSERT OR REPLACE INTO store VALUES(?,?)", (key, value)))

    def checkpoint_wal(self, idle: bool) -> None:
        """Move the log into the main file, when it is long, or a moment is free and it is worth it."""
        if self._wal_pages < (WAL_PAGES_IDLE if idle else WAL_PAGES_MAX):
            return
        self._wal_pages = 0
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.FullError:
            return  # the log stays longer; saves say NO_SPACE by themselves
        except (apsw.IOError, apsw.CorruptError) as error:
            raise StoreFailed(f"the catalog failed: {error}") from error

    def quick_check(self) -> Sequence[str]:
        """What is wrong with the file; empty when nothing."""
        rows = self._connection.execute("PRAGMA quick_check(10)").fetchall()
        return [cast("str", row[0]) for row in rows if row[0] != "ok"]

    def close(self) -> None:
        """End cleanly, with the log moved."""
        self._connection.close()
