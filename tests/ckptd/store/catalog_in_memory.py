"""What ingest and reader ask of a catalog, in memory: rows, one transaction that can be rolled back, no counters."""

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from ckptd.core.ids import BodyKey, ChunkKey, PackKey
from ckptd.store.catalog.interface import Catalog, CatalogReader, ChunkRow, NewChunk


@dataclass
class _Rows:
    chunks: dict[tuple[int, bytes], ChunkRow] = field(default_factory=dict)
    bodies: dict[BodyKey, tuple[int, bytes, tuple[ChunkKey, ...]]] = field(default_factory=dict)
    packs: dict[PackKey, str] = field(default_factory=dict)


class CatalogInMemory:
    """Both sides at once: the reader sees what was committed, as SQLite's does."""

    lineage = b"lineage lineage "
    chunk_key = b"key of the store" * 2

    def __init__(self) -> None:
        self.rows = self.committed = _Rows()
        self.slices: list[int] = []
        self._keys = itertools.count(1)

    def as_catalog(self) -> Catalog:
        return cast("Catalog", self)

    def as_reader(self) -> CatalogReader:
        return cast("CatalogReader", self)

    def reader(self) -> CatalogReader:
        return self.as_reader()

    def close(self) -> None:
        pass

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.rows = copy.deepcopy(self.committed)
        try:
            yield
        except BaseException:
            self.rows = self.committed
            raise
        self.committed = self.rows

    def add_pack(self, name: str, at: int, lifetime: int = 0) -> PackKey:
        assert name not in self.rows.packs.values(), "no name is used twice"
        key = PackKey(next(self._keys))
        self.rows.packs[key] = name
        return key

    def add_chunks(self, namespace: int, pack: PackKey, chunks: Sequence[NewChunk], at: int) -> Sequence[ChunkKey]:
        assert pack in self.rows.packs
        self.slices.append(len(chunks))
        keys = []
        for new in chunks:
            row = ChunkRow(
                ChunkKey(next(self._keys)),
                new.id,
                pack,
                new.offset,
                new.stored_bytes,
                new.plain_bytes,
                new.encoding,
            )
            keys.append(self.rows.chunks.setdefault((namespace, new.id), row).key)
        return keys

    def add_body(self, namespace: int, hash: bytes, plain_bytes: int, chunks: Sequence[ChunkKey]) -> BodyKey:
        wanted = (namespace, hash, tuple(chunks))
        for key, body in self.rows.bodies.items():
            if body == wanted:
                return key
        by_key = {row.key: row for row in self.rows.chunks.values()}
        assert sum(by_key[key].plain_bytes for key in chunks) == plain_bytes
        key = BodyKey(next(self._keys))
        self.rows.bodies[key] = wanted
        return key

    def find_chunk(self, namespace: int, id: bytes) -> ChunkRow | None:
        return self.committed.chunks.get((namespace, id))

    def is_quarantined(self, namespace: int, id: bytes) -> bool:
        return False

    def body_chunks(self, body: BodyKey) -> Sequence[ChunkRow]:
        by_key = {row.key: row for row in self.committed.chunks.values()}
        _, _, chunks = self.committed.bodies.get(body, (0, b"", ()))
        return [by_key[key] for key in chunks if key in by_key]

    def packs(self) -> Mapping[PackKey, str]:
        return dict(self.committed.packs)
