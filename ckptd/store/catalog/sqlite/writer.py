"""The writing side: one connection, its transactions, and its write-ahead log. What happens inside them is elsewhere."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import apsw

from ckptclient.errors import Busy, NoSpace
from ckptd.core.change import Change, ManifestPart, NotePlace
from ckptd.core.ids import BodyKey, CheckpointKey, ChunkKey, PackKey
from ckptd.errors import StoreFailed
from ckptd.store.catalog.interface import Audit, Damage, Move, NewChunk, Outcome, Proof
from ckptd.store.catalog.sqlite import archiving, backups, bodies, moving, quarantining, tending
from ckptd.store.catalog.sqlite.failing import LOCK_WAIT_MS, writing
from ckptd.store.catalog.sqlite.reading import SqliteReader
from ckptd.store.catalog.sqlite.transaction import Transaction

T = TypeVar("T")

WAL_PAGES_IDLE = 1000
WAL_PAGES_MAX = 16_000
LOG_PAGES_KEPT = 256
"""A log of a MiB is left as it is: whoever comes next writes over it, which costs less than making it longer."""
"""The log is moved at 4 MiB when nothing else is to do, at 64 MiB whatever is to do.

Moving it holds up everybody: 9 ms at 1,000 pages, 33 ms at 16,000, in sum 6 to 8 % of the time at any length. With 64
savers at 16,000 fewer than one save in a hundred meets it; at 1,000 it would be one in twelve.
"""


class SqliteCatalog:
    """See `Catalog`; one thread writes."""

    def __init__(self, connection: apsw.Connection, name: str) -> None:
        """`name` is how others open the same catalog: its path, or a URI."""
        self._connection = connection
        self._name = name
        self._wal_pages = 0
        self._batches: Transaction | None = None
        """What the next batch goes on with; None where rows may be others than it remembers."""
        self._log_pages = 0
        connection.set_wal_hook(self._committed)
        self.lineage: bytes = self._setting("lineage")
        self.chunk_key: bytes = self._setting("chunk_key")

    def _committed(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._wal_pages = pages
        self._log_pages = max(self._log_pages, pages)
        return apsw.SQLITE_OK

    def _setting(self, key: str) -> bytes:
        (value,) = self._connection.execute("SELECT v FROM store WHERE k=?", (key,)).fetchall()[0]
        assert isinstance(value, bytes)
        return value

    def reader(self) -> SqliteReader:
        """A connection of its own, for one thread at a time."""
        return SqliteReader(self._name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction, durable when the block ends; inside another one, a part of that."""
        if self._connection.in_transaction:
            yield
            return
        try:
            with writing():
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        self._batches = None
        with suppress(apsw.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        if self._connection.in_transaction:
            # What is written next would join it, and never be committed.
            raise StoreFailed("the catalog failed: a transaction can't be rolled back")

    def _within(self, work: Callable[[apsw.Connection], T]) -> T:
        self._batches = None
        with self.transaction():
            return work(self._connection)

    def apply(self, batch: Sequence[Change]) -> Sequence[Outcome]:
        """Apply in order, durable on return."""

        with self.transaction():
            batches = self._batches or Transaction(self._connection)
            outcomes = [batches.outcome(change) for change in batch]
            batches.flush()
            self._batches = None if batches.full else batches
        return outcomes

    # Packs, chunks, bodies

    def add_pack(self, name: str, at: int, lifetime: int = 0, *, tight: bool = False) -> PackKey:
        """Name a new pack."""
        return self._within(lambda connection: bodies.add_pack(connection, name, at, lifetime, tight))

    def add_chunks(self, namespace: int, pack: PackKey, chunks: Sequence[NewChunk], at: int) -> Sequence[ChunkKey]:
        """Rows for chunks whose bytes are synced."""
        return self._within(lambda connection: bodies.add_chunks(connection, namespace, pack, chunks, at))

    def add_body(self, namespace: int, hash: bytes, plain_bytes: int, chunks: Sequence[ChunkKey]) -> BodyKey:
        """An immutable list of chunks; the same list again is the same body."""
        return self._within(lambda connection: bodies.add_body(connection, namespace, hash, plain_bytes, chunks))

    def sweep(self, held: frozenset[bytes], now: int, limit: int) -> bool:
        """Free a slice of what nothing refers to."""
        return self._within(lambda connection: bodies.sweep(connection, held, now, limit))

    def move(self, source: PackKey, target: PackKey, moves: Sequence[Move], at: int) -> int:
        """Let rows name the copies of their records."""
        return self._within(lambda connection: moving.move(connection, source, target, moves, at))

    def settle(self, pack: PackKey) -> None:
        """The optimizer has nothing to gain in a pack."""
        self._within(lambda connection: moving.settle(connection, pack))

    def dead_packs(self, limit: int = 1000) -> Sequence[tuple[PackKey, str]]:
        """Packs that nothing refers to."""
        return self._within(lambda connection: moving.dead_packs(connection, limit))

    def drop_pack(self, pack: PackKey) -> None:
        """Forget a pack whose file is gone."""

        def work(connection: apsw.Connection) -> None:
            connection.execute("DELETE FROM damage WHERE pack=?", (pack,))
            connection.execute("DELETE FROM pack WHERE k=?", (pack,))

        self._within(work)

    # What looks after what is stored

    def quarantine(self, damage: Sequence[Damage], bodies: Mapping[ChunkKey, Sequence[BodyKey]]) -> int:
        """Mark places as damaged."""
        return self._within(lambda connection: quarantining.quarantine(connection, damage, bodies))

    def release(self, pack: PackKey, offsets: Sequence[int]) -> None:
        """Places that can be read again."""
        self._within(lambda connection: quarantining.release(connection, pack, offsets))

    def scrubbed(self, pack: PackKey, at: int) -> None:
        """The scrub was through with a pack."""
        self._within(lambda connection: connection.execute("UPDATE pack SET scrubbed_at=? WHERE k=?", (at, pack)))

    def raise_references(self, audit: Audit) -> None:
        """Add what is missing to counts that are too low."""
        self._within(lambda connection: quarantining.raise_references(connection, audit))

    # The archive

    def begin_archive(self, name: str, checkpoint: CheckpointKey) -> int:
        """Name a file that is about to be written."""
        return self._within(lambda connection: archiving.begin(connection, name, checkpoint))

    def archived(self, archive: int, size_bytes: int, checksum: bytes) -> bool:
        """The file is the checkpoint's one copy from now on."""
        return self._within(lambda connection: archiving.archived(connection, archive, size_bytes, checksum))

    def unarchived(
        self,
        checkpoint: CheckpointKey,
        manifest: bytes,
        checksum: bytes,
        parts: Sequence[ManifestPart],
        small: bytes | None,
        note: NotePlace | None,
    ) -> bool:
        """The checkpoint lies in the store again."""
        return self._within(
            lambda connection: archiving.unarchived(connection, checkpoint, manifest, checksum, parts, small, note)
        )

    def drop_archive(self, archive: int) -> None:
        """Forget a file that is gone."""
        self._within(lambda connection: connection.execute("DELETE FROM archive WHERE k=?", (archive,)))

    # Backups

    def begin_backup(self, at: int) -> int:
        """Hold every pack, until `end_backup`."""
        return self._within(lambda connection: backups.begin(connection, at))

    def end_backup(self, backup: int, checksum: bytes | None) -> bool:
        """Let its packs go."""
        return self._within(lambda connection: backups.end(connection, backup, checksum))

    def abandon_backups(self) -> int:
        """End what an earlier daemon began."""
        return self._within(backups.abandon)

    def drilled(self, checksum: bytes, at: int) -> None:
        """A drill went well."""
        self._within(lambda connection: backups.drilled(connection, checksum, at))

    # What ends

    def condemn(
        self, keys: Sequence[CheckpointKey], now: int, abandoned_after: int, ended_by: int | None
    ) -> Sequence[CheckpointKey]:
        """Move those that nothing protects to the trash."""
        return self._within(lambda connection: tending.condemn(connection, keys, now, abandoned_after, ended_by))

    def empty_trash(self, before: int, limit: int) -> tuple[int, bool]:
        """Drop a slice of the trash."""
        return self._within(lambda connection: tending.empty_trash(connection, before, limit))

    def drop_journal(self, limit: int) -> bool:
        """Drop a slice of the journals of earlier lives."""
        return self._within(lambda connection: tending.drop_journal(connection, limit))

    def prove(self, proofs: Sequence[Proof]) -> None:
        """Remember drills."""
        self._within(lambda connection: tending.prove(connection, proofs))

    def trim(self, events_kept: int, requests_before: int) -> None:
        """Keep the newest events and the answers of sessions that may still ask."""
        self._within(lambda connection: tending.trim(connection, events_kept, requests_before))

    # The store

    def set(self, key: str, value: int | bytes | str) -> None:
        """A row of the store's own table."""
        self._within(lambda connection: connection.execute("INSERT OR REPLACE INTO store VALUES(?,?)", (key, value)))

    def checkpoint_wal(self, idle: bool) -> None:
        """Move the log into the main file, when it is long, or a moment is free and it is worth it."""
        if self._wal_pages < (WAL_PAGES_IDLE if idle else WAL_PAGES_MAX):
            return
        self._wal_pages = 0
        # On a full disk the log stays longer; saves say NO_SPACE by themselves.
        with suppress(NoSpace), writing():
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def shrink_log(self) -> None:
        """Cut the log off where it has grown beyond what it is worth keeping; a reader in the middle keeps it long."""
        if self._log_pages < LOG_PAGES_KEPT:
            return
        self._connection.set_busy_timeout(0)
        try:
            with suppress(NoSpace, Busy), writing():
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                self._log_pages = 0
        finally:
            self._connection.set_busy_timeout(LOCK_WAIT_MS)

    def quick_check(self, *, thorough: bool = False) -> Sequence[str]:
        """What is wrong with the file; empty when nothing. Reads by a connection of its own, so any thread may ask."""
        connection = apsw.Connection(self._name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        try:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            rows = list(connection.execute(f"PRAGMA {'integrity_check' if thorough else 'quick_check'}(10)"))
        except (apsw.CorruptError, apsw.NotADBError, apsw.IOError) as error:
            return [str(error)]
        finally:
            connection.close()
        return [line for (line,) in rows if line != "ok"]

    def close(self) -> None:
        """End cleanly, with the log moved."""
        self._connection.close()
