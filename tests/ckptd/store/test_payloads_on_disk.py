"""Payloads in real packs under the real catalog, over restarts and sweeps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ckptclient.errors import Damaged
from ckptd.core.change import ManifestPart
from ckptd.core.ids import Epoch
from ckptd.core.manifest import checksum, pack
from ckptd.store.catalog.sqlite import open_catalog
from ckptd.store.chains import Chains
from ckptd.store.chunks.packs import Packs
from ckptd.store.encodings import Choice
from ckptd.store.holds import Holds
from ckptd.store.ingest import Ingest, Part
from ckptd.store.prepared import Prepared
from ckptd.store.reader import PartReader
from tests.ckptd.store.chunks.conformance import LINEAGE, numbered
from tests.ckptd.store.saving import CHECKPOINT, NOW, UID, noise_source, part

MIB = 1 << 20


@dataclass
class Opened:
    """One life of a store, up to the service."""

    directory: Path
    names: Callable[[int], bytes]

    def __post_init__(self) -> None:
        self.catalog = open_catalog(self.directory / "catalog.db", LINEAGE, b"k" * 32, NOW)
        self.chunks = Packs(self.directory, self.catalog.lineage, self.names)
        self.holds = Holds()
        self.chains = Chains(self.chunks, self.catalog.chunk_key)
        self.ingest = Ingest(self.catalog, self.chunks, self.holds, self.chains, Choice(3, depth_max=4), threads=2)
        self.parts = PartReader(self.chains)
        self.reader = self.catalog.reader()

    def prepare(self, *parts: Part) -> Prepared:
        prepared = self.ingest.prepare(UID, parts, NOW)
        manifest = pack(prepared.parts)
        prepared.describe("job", Epoch(1), replace(CHECKPOINT, manifest=manifest, checksum=checksum(manifest)))
        return prepared

    def commit(self, prepared: Prepared) -> ManifestPart:
        prepared.place()
        self.chunks.sync()
        with self.catalog.transaction():
            (saved,) = prepared.record()
        prepared.release()
        return saved

    def load(self, saved: ManifestPart) -> bytes:
        return b"".join(self.parts.pieces(self.reader, saved))

    def clean(self) -> None:
        """What the cleanup does, to its end."""
        left = True
        while left:
            with self.holds.settled() as held:
                left = self.catalog.sweep(held, NOW, 500)
        for key, name in self.catalog.dead_packs():
            self.chunks.unlink(name)
            self.catalog.drop_pack(key)

    def close(self) -> None:
        self.ingest.close()
        self.reader.close()
        self.chunks.close()
        self.catalog.close()


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[[], Opened]]:
    names = numbered()
    opened: list[Opened] = []

    def again() -> Opened:
        while opened:
            opened.pop().close()
        opened.append(Opened(tmp_path, names))
        return opened[-1]

    yield again
    for store in opened:
        store.close()


@pytest.mark.parametrize("size_bytes", [5000, 3 * MIB, 33 * MIB])
def test_a_payload_survives_a_restart(open_store: Callable[[], Opened], size_bytes: int) -> None:
    data = noise_source()(size_bytes)
    store = open_store()
    saved = store.commit(store.prepare(part(data)))
    store = open_store()
    assert store.load(saved) == data
    packs = store.chunks.names()
    again = store.commit(store.prepare(part(data)))
    assert again == saved
    assert len(store.chunks.names()) == len(packs) + 1, "only the note is new, in a pack of this daemon's own"


def test_what_nothing_refers_to_is_swept_with_its_packs(open_store: Callable[[], Opened]) -> None:
    noise = noise_source()
    store = open_store()
    small, large = noise(MIB), noise(33 * MIB)
    saved = [store.commit(store.prepare(part(data))) for data in (small, large)]
    store.clean()
    assert store.chunks.names() == []
    assert store.reader.packs() == {}
    for gone in saved:
        with pytest.raises(Damaged):
            store.load(gone)
    for data in (small, large):
        assert store.load(store.commit(store.prepare(part(data)))) == data


@pytest.mark.parametrize("size_bytes", [MIB, 33 * MIB])
def test_a_sweep_leaves_what_a_save_is_about_to_use(open_store: Callable[[], Opened], size_bytes: int) -> None:
    data = noise_source()(size_bytes)
    store = open_store()
    store.commit(store.prepare(part(data)))
    using = store.prepare(part(data))
    assert using.own_bytes == 0
    store.clean()
    assert store.load(store.commit(using)) == data


def test_a_sweep_between_two_saves_of_the_same_costs_only_bytes(open_store: Callable[[], Opened]) -> None:
    data = noise_source()(MIB)
    store = open_store()
    store.commit(store.prepare(part(data)))
    with store.holds.settled() as held:
        store.catalog.sweep(held, NOW, 500)  # nothing refers to it: it is condemned, and not yet gone
    assert store.load(store.commit(store.prepare(part(data)))) == data
    using = store.prepare(part(data))
    store.clean()
    assert store.load(store.commit(using)) == data
