"""Reading back: every byte verified, a second look past the cache, and damage named and never served."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from typing_extensions import override

from ckptclient.errors import BadRequest, Damaged
from ckptd.core.change import ManifestPart
from ckptd.store.chains import Chains
from ckptd.store.chunks.interface import Location
from ckptd.store.chunks.memory import MemoryPacks
from ckptd.store.chunks.packs import Packs
from ckptd.store.reader import PartReader
from tests.ckptd.store.chunks.conformance import LINEAGE, numbered
from tests.ckptd.store.saving import DOCUMENT, Store, memory_packs, noise_source, part

MIB = 1 << 20


class Counting(MemoryPacks):
    """Counts reads, and spoils those that come from the cache when asked to."""

    def __init__(self) -> None:
        super().__init__(LINEAGE, numbered())
        self.reads: list[bool] = []
        self.cache_is_bad = False

    @override
    def read(self, location: Location, stored_bytes: int, *, fresh: bool = False) -> bytes:
        self.reads.append(fresh)
        found = super().read(location, stored_bytes, fresh=fresh)
        return bytes(len(found)) if self.cache_is_bad and not fresh else found


@pytest.fixture
def noise() -> Callable[[int], bytes]:
    return noise_source()


def read(store: Store, saved: ManifestPart, offset: int, size_bytes: int) -> bytes:
    return store.reader.read(store.catalog.as_reader(), saved, offset, size_bytes)


@pytest.fixture(scope="module")
def saved() -> tuple[Store, bytes, ManifestPart]:
    store, data = Store(), noise_source()(2 * MIB + 1000)
    return store, data, store.save(part(data))[0]


@given(offset=st.integers(0, 2 * MIB + 1000), size_bytes=st.integers(0, 3 * MIB))
def test_any_range_is_the_same_range_of_the_part(
    saved: tuple[Store, bytes, ManifestPart], offset: int, size_bytes: int
) -> None:
    store, data, its = saved
    assert read(store, its, offset, size_bytes) == data[offset : offset + size_bytes]


@pytest.mark.parametrize(("offset", "size_bytes"), [(-1, 1), (2 * MIB + 1001, 1), (0, -1)])
def test_a_range_outside_is_the_callers_fault(
    saved: tuple[Store, bytes, ManifestPart], offset: int, size_bytes: int
) -> None:
    store, _, its = saved
    with pytest.raises(BadRequest, match="2098152 bytes"):
        read(store, its, offset, size_bytes)


def test_a_document_that_is_read_in_pieces_is_decoded_once(noise: Callable[[int], bytes]) -> None:
    chunks = Counting()
    store, data = Store(chunks), noise(5 * MIB)
    (its,) = store.save(part(data, DOCUMENT))
    assert store.load(its) == data
    assert chunks.reads == [False]
    assert store.load(its) == data
    assert chunks.reads == [False, False], "what was read to its end isn't kept"


def test_a_bad_read_is_repeated_past_the_cache(noise: Callable[[int], bytes]) -> None:
    chunks = Counting()
    store, data = Store(chunks), noise(MIB)
    (its,) = store.save(part(data))
    chunks.cache_is_bad = True
    assert store.load(its) == data
    assert chunks.reads == [False, True]


def test_a_chunk_that_moved_is_looked_up_again(noise: Callable[[int], bytes]) -> None:
    chunks = memory_packs()
    store, data = Store(chunks), noise(MIB)
    (its,) = store.save(part(data))
    assert store.load(its) == data
    (key, name), *_ = store.catalog.packs().items()
    chunks.images["moved"] = chunks.images.pop(name)
    store.catalog.committed.packs[key] = "moved"
    assert store.load(its) == data


def flip(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


def cut_off(path: Path, place: int) -> None:
    os.truncate(path, place)


def gone(path: Path, place: int) -> None:
    path.unlink()


def blank(path: Path, place: int) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("compressible", [False, True])
@pytest.mark.parametrize("harm", [flip, cut_off, gone, blank])
def test_damage_is_named_and_never_served(
    tmp_path: Path, noise: Callable[[int], bytes], harm: Callable[[Path, int], None], compressible: bool
) -> None:
    store = Store(Packs(tmp_path, LINEAGE, numbered()))
    data = (noise(64) if compressible else noise(2 * MIB)) * (30_000 if compressible else 1)
    (its,) = store.save(part(data))
    store.reader.verify(store.catalog.as_reader(), [its])
    second = store.catalog.body_chunks(its.bodies[0])[1]
    (path,) = tmp_path.iterdir()
    harm(path, second.offset + 100 + second.stored_bytes // 2)
    with pytest.raises(Damaged) as caught:
        store.load(its)
    with pytest.raises(Damaged):
        store.reader.verify(store.catalog.as_reader(), [its])
    if harm in (flip, cut_off):
        assert caught.value.details == {
            "part": "weights",
            "pack": path.name,
            "offset": second.offset,
            "chunk": second.id.hex(),
        }
        assert f"at byte {MIB}" in caught.value.message


def test_a_chunk_in_anothers_place_is_damaged(noise: Callable[[int], bytes]) -> None:
    """The bytes decode and have their length, and are still not what was saved."""
    store = Store()
    (its,) = store.save(part(noise(2 * MIB)))
    rows = store.catalog.committed.chunks
    (a, one), (b, other) = rows.items()
    rows[a], rows[b] = (
        replace(one, offset=other.offset),
        replace(other, offset=one.offset),
    )
    with pytest.raises(Damaged, match="don't have its id"):
        store.load(its)


def test_a_catalog_that_lost_a_chunk_is_damaged(noise: Callable[[int], bytes]) -> None:
    store = Store()
    (its,) = store.save(part(noise(2 * MIB)))
    store.catalog.committed.chunks.popitem()
    with pytest.raises(Damaged, match="doesn't match its manifest"):
        store.load(its)


def test_an_empty_part_has_nothing_to_read() -> None:
    store = Store()
    (its,) = store.save(part(b""))
    assert store.load(its) == b""
    assert read(store, its, 0, 10) == b""
    store.reader.verify(store.catalog.as_reader(), [its])


def test_another_stores_key_reads_nothing(noise: Callable[[int], bytes]) -> None:
    """Ids are keyed: a pack that came from another store doesn't verify here."""
    store = Store()
    (its,) = store.save(part(noise(100)))
    store.reader = PartReader(Chains(store.chunks, b"?" * 32))
    with pytest.raises(Damaged):
        store.load(its)
