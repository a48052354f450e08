"""What is asked and written all the time walks an index: no table is read whole, and nothing is sorted.

What is judged is SQLite's own plan, so that a query that would be slow at a hundred thousand rows fails at ten.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from ckptd.core.change import Change
from ckptd.core.ids import BodyKey, CheckpointKey, ProcessKey
from ckptd.core.process_table import State
from ckptd.store.catalog.interface import DUE_FROM_START, CatalogReader, Filter, NewChunk
from ckptd.store.catalog.sqlite import SqliteCatalog, open_catalog
from ckptd.store.catalog.sqlite.reading import SqliteReader
from tests.ckptd.store.catalog.changes import (
    CHUNK_KEY,
    LINEAGE,
    NOW,
    UID,
    append,
    asked,
    done,
    part,
    rewind,
    save,
    take,
)

JOB = ProcessKey(1)
ALLOWED = {
    "SCAN c": "newest first, and a page ends it",
    "SCAN pack": "a row for 128 MiB",
    "SCAN pack USING COVERING INDEX sqlite_autoindex_pack_1": "a row for 128 MiB",
    "SCAN p": "a row for 128 MiB, in dead_packs",
    "SCAN backup_pack": "a row for 128 MiB, and none unless a backup runs",
    "SCAN (subquery-4)": "a row for each backup that runs",
    "SCAN counter": "a handful of rows for each user",
    "SCAN body USING INDEX body_free": "the index has nothing but what is free, and a slice ends it",
    "SCAN body_of USING COVERING INDEX sqlite_autoindex_body_of_1": "rows on damage alone",
    "SCAN body_of": "rows on damage alone",
    "SCAN json_each VIRTUAL TABLE INDEX 1:": "what it was given",
    "SCAN CONSTANT ROW": "no table",
}


class Plans:
    """Collects what a connection runs, and the steps of its plans that read a whole table or sort."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._seen: dict[str, object] = {}
        connection.exec_trace = self._note

    def _note(self, _: apsw.Cursor, statement: str, bindings: object) -> bool:
        self._seen.setdefault(statement, bindings)
        return True

    def bad(self) -> list[str]:
        self._connection.exec_trace = None
        beside = apsw.Connection(str(self._path))
        found = []
        for statement, bindings in self._seen.items():
            if statement.split()[0] not in ("SELECT", "UPDATE", "DELETE", "INSERT"):
                continue
            for _, _, _, step in beside.execute(f"EXPLAIN QUERY PLAN {statement}", bindings):  # type: ignore[arg-type]
                if ("SCAN" in step or "TEMP B-TREE" in step) and step not in ALLOWED:
                    found.append(f"{step}: {statement}")
        beside.close()
        assert self._seen
        return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
def catalog(path: Path) -> Iterator[SqliteCatalog]:
    one = open_catalog(path, LINEAGE, CHUNK_KEY, NOW)
    yield one
    one.close()


QUESTIONS: dict[str, Callable[[CatalogReader], object]] = {
    "process": lambda r: r.process(UID, "job"),
    "process_by_key": lambda r: r.process_by_key(JOB),
    "held": lambda r: r.held(),
    "processes": lambda r: r.processes(None, (State.RUNNING,), None, 9, 9),
    "checkpoint_counts": lambda r: r.checkpoint_counts([JOB]),
    "checkpoint": lambda r: r.checkpoint(CheckpointKey(1)),
    "find_checkpoint": lambda r: r.find_checkpoint(UID, "job", 1),
    "find_alias": lambda r: r.find_alias(UID, "best"),
    "find_alias, any user": lambda r: r.find_alias(None, "best"),
    "newest": lambda r: r.checkpoints(Filter()),
    "newest of a user": lambda r: r.checkpoints(Filter(uid=UID, before=CheckpointKey(9))),
    "newest of an incarnation": lambda r: r.checkpoints(Filter(process=JOB, limit=1)),
    "newest of a name": lambda r: r.checkpoints(Filter(uid=UID, process_id="job", limit=1)),
    "newest of a name, any user": lambda r: r.checkpoints(Filter(process_id="job", status="active")),
    "newest with a tag": lambda r: r.checkpoints(Filter(tag="t", before=CheckpointKey(9))),
    "content": lambda r: r.content(CheckpointKey(2)),
    "tags": lambda r: r.tags([CheckpointKey(1)]),
    "dependencies": lambda r: r.dependencies([CheckpointKey(2), CheckpointKey(1)]),
    "candidates": lambda r: r.candidates(JOB, True),
    "lives": lambda r: r.lives(JOB, 9),
    "survey": lambda r: r.survey(JOB, 9, 9),
    "due": lambda r: r.due(NOW, DUE_FROM_START, 9),
    "doomed": lambda r: r.doomed([CheckpointKey(1), CheckpointKey(2)], NOW, 0, ()),
    "body_chunks": lambda r: r.body_chunks(BodyKey(1)),
    "find_chunk": lambda r: r.find_chunk(UID, bytes(32)),
    "packs": lambda r: r.packs(),
    "journal": lambda r: r.journal(JOB, 5, 9, True),
    "journal_counts": lambda r: r.journal_counts(JOB, 5),
    "records": lambda r: r.records(JOB, 0, 9),
    "cuts": lambda r: r.cuts(JOB),
    "done_digests": lambda r: r.done_digests(JOB, b"", 9),
    "suspects": lambda r: r.suspects(JOB),
    "events": lambda r: r.events(0, UID, None, 9),
    "last_event": lambda r: r.last_event(),
    "totals of a user": lambda r: r.totals(UID),
    "setting": lambda r: r.setting("format"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_walks_an_index(catalog: SqliteCatalog, path: Path, question: str) -> None:
    fill(catalog)
    reader = SqliteReader(str(path))
    plans = Plans(reader._connection, path)
    QUESTIONS[question](reader)
    assert plans.bad() == []
    reader.close()


def fill(catalog: SqliteCatalog) -> None:
    pack = catalog.add_pack("pack", NOW)
    with catalog.transaction():
        keys = catalog.add_chunks(UID, pack, [NewChunk(bytes(32), 152, 1, 1, 0)], NOW)
        body = catalog.add_body(UID, b"hash", 1, keys)
        catalog.apply([take(), save(JOB, 1, alias="best", tags=("t",), expires_at=NOW)])
        catalog.apply([save(JOB, 2, small=None, parts=(part(body),), depends=(CheckpointKey(1),))])


def test_a_change_walks_indexes(catalog: SqliteCatalog, path: Path) -> None:
    fill(catalog)
    plans = Plans(catalog._connection, path)
    keys = (CheckpointKey(1), CheckpointKey(2))
    catalog.apply(
        [
            save(JOB, 3, alias="best", tags=("t",), depends=keys[:1], request=asked(1)),
            append(JOB, 0, done(0, "a")),
            append(JOB, 2, done(0, "a")),
            rewind(JOB, 1, (1, 3), (0, 2)),
            Change(NOW, UID, asked(2), to_trash=keys, pins=keys),
            Change(NOW, UID, asked(2), from_trash=keys),
            take(process=JOB, seen=1, request=asked(3)),
            take("other", held=False, request=asked(4)),
        ]
    )
    assert plans.bad() == []


def test_a_slice_of_the_cleanup_walks_indexes(catalog: SqliteCatalog, path: Path) -> None:
    fill(catalog)
    catalog.apply([append(JOB, 0, done(0, "a")), take(retires=JOB)])
    plans = Plans(catalog._connection, path)
    catalog.condemn([CheckpointKey(1), CheckpointKey(2)], NOW + 1, 0, NOW + 1)
    catalog.apply([Change(NOW, UID, to_trash=(CheckpointKey(1), CheckpointKey(2)))])
    catalog.empty_trash(NOW + 9, 9)
    for _ in range(4):
        catalog.sweep(frozenset(), NOW, 9)
        catalog.drop_journal(99)
    catalog.dead_packs()
    catalog.trim(9, NOW)
    assert plans.bad() == []
