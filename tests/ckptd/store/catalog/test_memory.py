"""The catalog in memory keeps the obligations."""

import pytest

from ckptd.store.catalog.interface import Catalog
from ckptd.store.catalog.memory import MemoryCatalog
from tests.ckptd.store.catalog.changes import CHUNK_KEY, LINEAGE, NOW
from tests.ckptd.store.catalog.conformance import Conformance, World
from tests.ckptd.store.catalog.looking_after import LookingAfter
from tests.ckptd.store.catalog.moving import Moving


class _Memory:
    def __init__(self) -> None:
        self._catalog = MemoryCatalog(LINEAGE, CHUNK_KEY, NOW)

    def open(self) -> Catalog:
        return self._catalog


class TestMemory(Conformance, LookingAfter, Moving):
    @pytest.fixture
    def world(self) -> World:
        return _Memory()
