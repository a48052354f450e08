"""The catalog in SQLite keeps the obligations."""

from pathlib import Path

import apsw
import pytest

from ckptd.store.catalog.interface import Catalog
from ckptd.store.catalog.sqlite import open_catalog
from tests.ckptd.store.catalog.changes import CHUNK_KEY, LINEAGE, NOW, save, take
from tests.ckptd.store.catalog.conformance import Conformance, World
from tests.ckptd.store.catalog.looking_after import LookingAfter
from tests.ckptd.store.catalog.moving import Moving


class _Disk:
    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> Catalog:
        return open_catalog(self._path, LINEAGE, CHUNK_KEY, NOW)


def test_a_log_that_has_grown_is_cut_off_unless_somebody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptd.store.catalog.sqlite.writer.LOG_PAGES_KEPT", 20)
    catalog, log = _Disk(tmp_path / "catalog.db").open(), tmp_path / "catalog.db-wal"
    catalog.apply([take()])
    catalog.apply([save(1, seq, small=bytes(4000)) for seq in range(1, 40)])
    grown = log.stat().st_size
    looking = apsw.Connection(str(tmp_path / "catalog.db"))
    looking.execute("BEGIN; SELECT count(*) FROM checkpoint")
    catalog.shrink_log()
    assert log.stat().st_size == grown
    looking.close()
    catalog.apply([save(1, 40)])
    catalog.shrink_log()
    assert log.stat().st_size == 0
    catalog.apply([save(1, 41)])
    catalog.shrink_log()
    assert log.stat().st_size > 0, "a short one stays"
    catalog.close()


class TestSqlite(Conformance, LookingAfter, Moving):
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return _Disk(tmp_path / "catalog.db")
