"""A daemon that acknowledges before it commits: the kill loop must catch it, else the loop proves nothing.

Run as `python -m tests.crash.broken` with the daemon's own arguments. A batch without a registration is left open until
the next one begins, so that its answers are given for what a SIGKILL takes away.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ckptd import cli
from ckptd.core.change import Change
from ckptd.store.catalog.interface import Outcome
from ckptd.store.catalog.sqlite.writer import SqliteCatalog

_apply = SqliteCatalog.apply
_left_open = False
_inside = False


@contextmanager
def _transaction(self: SqliteCatalog) -> Iterator[None]:
    global _inside, _left_open
    connection = self._connection
    if _inside:
        yield
        return
    if connection.in_transaction:
        connection.execute("COMMIT")
    connection.execute("BEGIN IMMEDIATE")
    _inside, _left_open = True, False
    try:
        yield
    finally:
        _inside = False
        if not _left_open:
            connection.execute("COMMIT")


def _apply_early(self: SqliteCatalog, batch: Sequence[Change]) -> Sequence[Outcome]:
    global _left_open
    outcomes = _apply(self, batch)
    _left_open = all(change.claim is None for change in batch)
    return outcomes


def install() -> None:
    """Break the catalog of this process."""
    SqliteCatalog.transaction = _transaction  # type: ignore[method-assign]
    SqliteCatalog.apply = _apply_early  # type: ignore[method-assign]
    SqliteCatalog.checkpoint_wal = lambda self, idle: None  # type: ignore[method-assign]


if __name__ == "__main__":
    install()
    sys.exit(cli.main())
