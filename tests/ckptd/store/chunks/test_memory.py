"""The chunk store in memory keeps the obligations."""

import pytest

from ckptd.store.chunks.interface import ChunkStore
from ckptd.store.chunks.memory import MemoryPacks
from tests.ckptd.store.chunks.conformance import LINEAGE, TARGET, Conformance, World, numbered


class _Memory:
    def __init__(self) -> None:
        self._names = numbered()
        self._images: dict[str, bytearray] = {}
        self._stores: list[MemoryPacks] = []

    def open(self) -> ChunkStore:
        store = MemoryPacks(LINEAGE, self._names, TARGET)
        store.images = self._images
        self._stores.append(store)
        return store

    def image(self, pack: str) -> bytes:
        return bytes(self._images[pack])

    def fill(self, free_bytes: int) -> None:
        for store in self._stores:
            store.space_bytes = sum(map(len, self._images.values())) + free_bytes

    def empty(self) -> None:
        for store in self._stores:
            store.space_bytes = 1 << 40


class TestMemory(Conformance):
    @pytest.fixture
    def world(self) -> World:
        return _Memory()
