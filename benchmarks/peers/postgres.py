"""PostgreSQL over its Unix socket: one INSERT a save, each its own transaction, synchronous_commit on."""

import signal
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from benchmarks.peers.interface import Place, SavesAtOnce, lacks_module
from benchmarks.server import Account, Server, find_program, run
from benchmarks.states import State, pack, unpack

DEBIAN = "/usr/lib/postgresql/*/bin"  # Debian keeps initdb and postgres off the PATH
USER = "bench"
SCHEMA = (
    "CREATE TABLE ck (id bigserial UNIQUE, key text, version int, state bytea, PRIMARY KEY (key, version))"
)  # fmt: skip


def _connect(socket_directory: Path) -> Any:
    import psycopg

    return psycopg.connect(host=str(socket_directory), user=USER, dbname="postgres", autocommit=True)


class PostgresSession(SavesAtOnce):
    """Every version stays, with `history` or without: replacing a row would only cost PostgreSQL more."""

    def __init__(self, socket_directory: Path) -> None:
        self.db = _connect(socket_directory)

    @override
    def save(self, key: str, version: int, state: State, *, brief: bool = False) -> None:
        row = (key, version, pack(state))
        self.db.execute("INSERT INTO ck (key, version, state) VALUES (%s, %s, %s)", row)

    def load(self, key: str, version: int | None = None) -> State:
        which, values = ("", (key,)) if version is None else (" AND version = %s", (key, version))
        query = f"SELECT state FROM ck WHERE key = %s{which} ORDER BY version DESC LIMIT 1"
        return unpack(self.db.execute(query, values, binary=True).fetchone()[0])

    def latest(self, key: str) -> int:
        return int(self.db.execute("SELECT max(version) FROM ck WHERE key = %s", (key,)).fetchone()[0])

    def latest_all(self) -> int:
        return len(self.db.execute("SELECT key, max(version) FROM ck GROUP BY key").fetchall())

    def newest(self, count: int) -> int:
        return len(self.db.execute("SELECT key, version FROM ck ORDER BY id DESC LIMIT %s", (count,)).fetchall())

    def expire(self, below: int) -> int:
        return int(self.db.execute("DELETE FROM ck WHERE version < %s", (below,)).rowcount)

    def compact(self) -> None:
        self.db.execute("VACUUM FULL ck")
        self.db.execute("CHECKPOINT")

    def close(self) -> None:
        self.db.close()


class Postgres:
    name: ClassVar[str] = "postgres"
    terms: ClassVar[str] = "fsync=on, synchronous_commit=on, Unix socket, psycopg 3"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.server: Server | None = None

    @classmethod
    def missing(cls) -> str | None:
        if find_program("postgres", DEBIAN) is None or find_program("initdb", DEBIAN) is None:
            return "postgres and initdb are missing: apt install postgresql"
        return lacks_module("psycopg", "psycopg[binary]")

    @classmethod
    def version(cls) -> str:
        words = run([find_program("postgres", DEBIAN) or "postgres", "--version"]).split()
        return f"PostgreSQL {words[2]}"

    def start(self) -> None:
        import psycopg

        account = Account.for_server("postgres", "nobody")  # it refuses to run as root
        if account is not None:
            account.give(self.place.store, self.place.scratch)
        cluster = self.place.store / "cluster"
        initdb = find_program("initdb", DEBIAN) or "initdb"
        run([initdb, "-D", cluster, "-U", USER, "-A", "trust", "-E", "UTF8"], account)
        settings = {"listen_addresses": "", "fsync": "on", "synchronous_commit": "on", "max_connections": 100}
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.server = Server(
            command=[find_program("postgres", DEBIAN) or "postgres", "-D", cluster, "-k", self.place.scratch, *flags],
            log=self.place.scratch / "postgres.log",
            ready=lambda: _connect(self.place.scratch).close(),
            not_yet=(psycopg.OperationalError,),
            account=account,
            stop_signal=signal.SIGINT,  # a fast shutdown: it doesn't wait for clients
        )
        self.server.start()
        with _connect(self.place.scratch) as db:
            db.execute(SCHEMA)
            db.execute("CHECKPOINT")

    def session(self) -> PostgresSession:
        return PostgresSession(self.place.scratch)
