"""The catalog in SQLite, through apsw's own library: WAL, synchronous=FULL, one writing connection.

`schema` has the tables, `writer` applies changes, `tending` frees space in slices, `reader` answers questions, `rows`
turns rows into values and back.
"""

from ckptd.store.catalog.sqlite.copies import SqliteCopies
from ckptd.store.catalog.sqlite.looking import look_at_catalog
from ckptd.store.catalog.sqlite.opening import open_catalog
from ckptd.store.catalog.sqlite.writer import SqliteCatalog

__all__ = ["SqliteCatalog", "SqliteCopies", "look_at_catalog", "open_catalog"]
