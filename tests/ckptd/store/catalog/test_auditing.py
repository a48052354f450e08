"""A recount finds every count that is wrong and every row without its owner, and says which."""

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from ckptd.core.ids import CheckpointKey, ChunkKey
from ckptd.store.catalog.interface import Audit, Catalog, CatalogReader, Undercount
from ckptd.store.catalog.sqlite import open_catalog
from tests.ckptd.store.catalog.changes import CHUNK_KEY, LINEAGE, NOW, UID, append, done, save, take
from tests.ckptd.store.catalog.conformance import JOB, applied, chunk
from tests.ckptd.store.catalog.looking_after import saved

Write = Callable[[str], object]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = open_catalog(tmp_path / "catalog.db", LINEAGE, CHUNK_KEY, NOW)
    pack = catalog.add_pack("pack", NOW)
    one, two = catalog.add_chunks(UID, pack, [chunk(1), chunk(2, 300)], NOW)
    (three,) = catalog.add_chunks(UID, pack, [chunk(3, 500, base=1)], NOW)
    saved(catalog, [one, two], [two, three])
    applied(catalog, save(JOB, 3, alias="best", tags=("t",), depends=(CheckpointKey(1),)), append(JOB, 0, done(1)))
    applied(catalog, take("other"))
    yield catalog
    catalog.close()


@pytest.fixture
def write(catalog: Catalog, tmp_path: Path) -> Iterator[Write]:
    connection = apsw.Connection(str(tmp_path / "catalog.db"))
    yield connection.execute
    connection.close()


@pytest.fixture
def reader(catalog: Catalog) -> Iterator[CatalogReader]:
    reader = catalog.reader()
    yield reader
    reader.close()


def test_a_whole_catalog_has_no_faults(reader: CatalogReader) -> None:
    assert reader.audit() == Audit()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("UPDATE process SET checkpoints=9 WHERE k=1", "checkpoints of process 1: 9 counted, 3 there"),
        ("UPDATE counter SET n=n+1 WHERE dim=0", "checkpoints by status 0 of user 1000: 4 counted, 3 there"),
        ("DELETE FROM counter WHERE dim=1", "checkpoints by type 5 of user 1000: 0 counted, 3 there"),
        ("UPDATE counter SET logical=0 WHERE dim=2 AND value=0", "checkpoints and bytes by place 0 of user 1000"),
        ("UPDATE body SET refs=5 WHERE k=1", "references to body 1: 5 counted, 1 there"),
        ("UPDATE body SET refs=0 WHERE k=1", "references to body 1: 1 too few"),
        ("UPDATE chunk SET refs=7 WHERE k=2", "references to chunk 2 in state 0: 7 counted, 2 there"),
        ("UPDATE chunk SET refs=1 WHERE k=1", "references to chunk 1 in state 0: 1 counted, 2 there"),
        ("UPDATE chunk SET state=1 WHERE k=1", "references to chunk 1 in state 1: 2 counted, 2 there"),
        ("UPDATE pack SET live=1", "live bytes of pack 1: 1 counted, 330 there"),
        ("UPDATE process SET head=1 WHERE k=1", "the head of process 1 is checkpoint 1, and should be 3"),
        ("UPDATE process SET head=NULL WHERE k=1", "the head of process 1 is checkpoint None, and should be 3"),
        ("UPDATE alias SET checkpoint=2", "the alias best of user 1000 means checkpoint 2"),
        ("DELETE FROM journal", "the newest record of item 1 of process 1, at 0, isn't in the journal"),
        ("DELETE FROM checkpoint WHERE k=2", "part refers to checkpoint 2, which isn't there"),
        ("DELETE FROM checkpoint WHERE k=3", "tag refers to checkpoint 3, which isn't there"),
        ("DELETE FROM checkpoint WHERE k=3", "dependency refers to checkpoint 3, which isn't there"),
        ("DELETE FROM process WHERE k=1", "checkpoint refers to process 1, which isn't there"),
        ("DELETE FROM body WHERE k=2", "part refers to body 2, which isn't there"),
        ("DELETE FROM pack", "chunk refers to pack 1, which isn't there"),
        ("DELETE FROM chunk WHERE k=1", "chunk refers to chunk 1, which isn't there"),
        ("DELETE FROM chunk WHERE k=2", "a body lists chunk 2, which isn't there"),
        ("DELETE FROM chunk WHERE k=3", "body 2 lists a chunk that isn't there"),
        ("UPDATE body SET chunks=x'010203' WHERE k=1", "the list of chunks of body 1 is cut off"),
    ],
)
def test_what_is_wrong_is_named(reader: CatalogReader, write: Write, wrong: str, said: str) -> None:
    write(wrong)
    assert any(said in fault for fault in reader.audit().faults), reader.audit()


def test_counts_that_are_too_low_are_raised_and_those_that_are_too_high_stay(
    catalog: Catalog, reader: CatalogReader, write: Write
) -> None:
    write("UPDATE chunk SET refs=0,state=1 WHERE k=2")
    write("UPDATE body SET refs=refs-1 WHERE k=1")
    write("UPDATE chunk SET refs=refs+1 WHERE k=3")
    found = reader.audit()
    assert found.chunks == (Undercount(2, chunk(2).id, 2),)
    assert [(one.key, one.by) for one in found.bodies] == [(1, 1)]
    catalog.raise_references(found)
    left = reader.audit()
    assert left == Audit(("references to chunk 3 in state 0: 2 counted, 1 there",))
    assert not catalog.sweep(frozenset(), NOW, 9)
    assert [row.row.key for row in reader.placed(next(iter(reader.packs())), 0, 9)] == [1, 2, 3]


def test_a_count_that_belongs_to_another_row_by_now_is_left(
    catalog: Catalog, reader: CatalogReader, write: Write
) -> None:
    write("UPDATE chunk SET refs=1 WHERE k=2")
    found = reader.audit()
    write("UPDATE chunk SET refs=2,id=x'00' WHERE k=2")
    catalog.raise_references(found)
    assert reader.audit() == Audit()
    assert reader.standing_on([ChunkKey(2)]) == [2]
