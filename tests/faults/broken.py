"""Daemons that are broken on purpose, one promise each: a tier that doesn't catch them proves nothing.

Run as `python -m tests.faults.broken VARIANT,... ARGUMENTS`, with the daemon's own arguments. `small`,
`by_thread`, `by_loop` and `wrong_clock` are no faults of theirs: they make packs and logs so small that a short run meets their
ends, and put the daemon where a tier wants it.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from ckptd import cli
from ckptd.clock import SystemClock
from ckptd.store import committer, durable, ingest
from ckptd.store.catalog.sqlite import opening, writer
from ckptd.store.catalog.sqlite.writer import SqliteCatalog
from ckptd.store.chunks import packs
from ckptd.store.committer import Committer

VARIANTS: dict[str, Callable[[], None]] = {}


def variant(make: Callable[[], None]) -> Callable[[], None]:
    VARIANTS[make.__name__] = make
    return make


@variant
def small() -> None:
    """Packs of 16 KiB, private ones from 200 KB on, a log that is moved every 20 pages."""
    packs.Packs.__init__.__defaults__ = (16 << 10,)
    ingest.PRIVATE_BYTES_MIN = 200_000  # type: ignore[misc]
    writer.WAL_PAGES_IDLE = 20


@variant
def by_thread() -> None:
    """The loop commits nothing, and the committer's thread tells the kernel its name, so that a tracer finds it."""
    committer.HERE_SECONDS_MAX = 0.0
    run = Committer._run

    def named(self: Committer) -> None:
        Path("/proc/thread-self/comm").write_text(COMMITTER, encoding="ascii")
        run(self)

    Committer._run = named  # type: ignore[method-assign]


@variant
def by_loop() -> None:
    """The loop commits whatever is alone, however long that takes."""
    committer.HERE_SECONDS_MAX = 60.0
    committer.HERE_COUNT_MAX = 1 << 30


CLOCK_FILE = "FAULTS_CLOCK"
COMMITTER = "committer"


@variant
def wrong_clock() -> None:
    """No fault of the daemon's: its wall clock is ahead by the seconds that a file holds, read each time."""
    path, right = Path(os.environ[CLOCK_FILE]), SystemClock.now
    SystemClock.now = lambda self: right(self) + int(path.read_text()) * 1_000_000  # type: ignore[method-assign]


@variant
def no_fsync() -> None:
    """Packs are never synced."""
    durable.sync_data = lambda fd: None


@variant
def no_directory_sync() -> None:
    """New names are never synced."""
    durable.sync_directory = lambda path: None


@variant
def synchronous_normal() -> None:
    """The catalog's log is not synced at a COMMIT."""
    normal = tuple(pragma.replace("=FULL", "=NORMAL") for pragma in opening._PRAGMAS)
    setattr(opening, "_PRAGMAS", normal)  # noqa: B010 - its type says how many there are


@variant
def early_acknowledgement() -> None:
    """Answers are given before the transaction is committed."""
    from tests.crash import broken

    broken.install()


@variant
def delete_before_condemn() -> None:
    """The file of a pack goes before the transaction that lets go of what is in it."""
    empty_trash = SqliteCatalog.empty_trash

    def emptied(self: SqliteCatalog, before: int, limit: int) -> tuple[int, bool]:
        for path in _doomed(self, before):
            path.unlink(missing_ok=True)
        return empty_trash(self, before, limit)

    SqliteCatalog.empty_trash = emptied  # type: ignore[method-assign]


def _doomed(catalog: SqliteCatalog, before: int) -> Iterator[Path]:
    """Packs in which nothing is left that isn't about to leave the trash."""
    ask = catalog._connection.execute
    kept: set[int] = set()
    for (chunks,) in ask(
        "SELECT b.chunks FROM part p JOIN body b ON b.k=p.body JOIN checkpoint c ON c.k=p.checkpoint "
        "WHERE c.place!=1 OR c.ended_at>=?",
        (before,),
    ):
        kept.update(memoryview(cast("bytes", chunks)).cast("q"))
    held: dict[str, bool] = {}
    for key, name in cast("Iterator[tuple[int, str]]", ask("SELECT c.k,p.name FROM chunk c JOIN pack p ON p.k=c.pack")):
        held[name] = held.get(name, False) or key in kept
    directory = Path(catalog._name).parent / "packs"
    yield from (directory / name for name, is_held in held.items() if not is_held)


def program(*variants: str) -> tuple[str, ...]:
    """What to run in place of `-m ckptd`."""
    return ("-m", "tests.faults.broken", ",".join(variants))


def main() -> Any:
    variants, *sys.argv[1:] = sys.argv[1:]
    for name in variants.split(","):
        VARIANTS[name]()
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
