"""SQLite in the client's own process, through the standard library: WAL, synchronous=FULL, a connection per process."""

import sqlite3
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from benchmarks.peers.interface import Place, SavesAtOnce
from benchmarks.states import State, pack, unpack

BUSY_SECONDS = 60.0
SCHEMA = (
    "CREATE TABLE ck (id INTEGER PRIMARY KEY, key TEXT, version INTEGER, state BLOB, UNIQUE (key, version))"
)  # fmt: skip


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    return db


class SqliteSession(SavesAtOnce):
    def __init__(self, path: Path, *, history: bool) -> None:
        self.db = _open(path)
        self.history = history

    @override
    def save(self, key: str, version: int, state: State, *, brief: bool = False) -> None:
        row = (key, version if self.history else 0, pack(state))
        self.db.execute("INSERT OR REPLACE INTO ck (key, version, state) VALUES (?, ?, ?)", row)

    def load(self, key: str, version: int | None = None) -> State:
        query = "SELECT state FROM ck WHERE key = ?1 AND (?2 IS NULL OR version = ?2) ORDER BY version DESC LIMIT 1"
        return unpack(self.db.execute(query, (key, version)).fetchone()[0])

    def latest(self, key: str) -> int:
        return int(self.db.execute("SELECT max(version) FROM ck WHERE key = ?", (key,)).fetchone()[0])

    def latest_all(self) -> int:
        return len(self.db.execute("SELECT key, max(version) FROM ck GROUP BY key").fetchall())

    def newest(self, count: int) -> int:
        return len(self.db.execute("SELECT key, version FROM ck ORDER BY id DESC LIMIT ?", (count,)).fetchall())

    def expire(self, below: int) -> int:
        return self.db.execute("DELETE FROM ck WHERE version < ?", (below,)).rowcount

    def compact(self) -> None:
        self.db.execute("VACUUM")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self.db.close()


class Sqlite:
    name: ClassVar[str] = "sqlite"
    terms: ClassVar[str] = "in the client's process, journal_mode=WAL, synchronous=FULL"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.server = None

    @classmethod
    def missing(cls) -> str | None:
        return None

    @classmethod
    def version(cls) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def start(self) -> None:
        db = _open(self.place.store / "ck.db")
        db.execute(SCHEMA)
        db.close()

    def session(self) -> SqliteSession:
        return SqliteSession(self.place.store / "ck.db", history=self.place.history)
