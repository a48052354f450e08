"""The catalog in SQLite keeps the obligations."""

from pathlib import Path

import pytest

from ckptd.store.catalog.interface import Catalog
from ckptd.store.catalog.sqlite import open_catalog
from tests.ckptd.store.catalog.changes import CHUNK_KEY, LINEAGE, NOW
from tests.ckptd.store.catalog.conformance import Conformance, World
from tests.ckptd.store.catalog.looking_after import LookingAfter


class _Disk:
    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> Catalog:
        return open_catalog(self._path, LINEAGE, CHUNK_KEY, NOW)


class TestSqlite(Conformance, LookingAfter):
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return _Disk(tmp_path / "catalog.db")
