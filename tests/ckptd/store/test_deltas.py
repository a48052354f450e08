"""Documents as the difference to their last version: what is stored, what keeps a base alive, and what damage does."""

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

from ckptclient.errors import Damaged
from ckptd.core.encoding import DELTA_BYTES_MIN, DEPTH_MAX
from ckptd.core.ids import PackKey
from ckptd.settings.table import SETTINGS
from ckptd.store.catalog.interface import Catalog, NewChunk
from ckptd.store.catalog.memory import MemoryCatalog
from ckptd.store.catalog.sqlite import open_catalog
from ckptd.store.chunks.interface import Location
from ckptd.store.encodings import DELTA, RAW, XOR, Choice
from ckptd.store.ingest import PRIVATE_BYTES_MIN, Part
from ckptd.store.records import Found, scan
from tests.ckptd.store.catalog.changes import CHUNK_KEY, LINEAGE, NOW, UID
from tests.ckptd.store.saving import ARRAY, DOCUMENT, noise_source, part
from tests.ckptd.store.versions import DEPTH, Versions, documents


def document(data: bytes, name: str = "state") -> Part:
    return part(data, DOCUMENT, name)


@pytest.fixture(params=["memory", "sqlite"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Catalog:
    if request.param == "memory":
        return MemoryCatalog(LINEAGE, CHUNK_KEY, NOW)
    return open_catalog(tmp_path / "catalog.db", LINEAGE, CHUNK_KEY, NOW)


@pytest.fixture
def store(catalog: Catalog) -> Iterator[Versions]:
    versions = Versions(catalog)
    yield versions
    versions.close()


def test_versions_stand_on_each_other_until_the_chain_is_at_its_longest(store: Versions) -> None:
    versions = documents(9)
    for data in versions:
        store.save(document(data))
    assert [store.row(n).depth for n in range(9)] == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert [store.row(n).encoding for n in range(3)] == [RAW, DELTA, DELTA]
    assert all(store.row(n).stored_bytes < 200 for n in (1, 2, 3))
    assert [store.load(n) for n in range(9)] == versions
    assert store.held() == frozenset()


def test_a_restart_goes_on_with_the_chain(store: Versions) -> None:
    versions = documents(3)
    for data in versions:
        store.restart()
        store.save(document(data))
    store.restart()
    assert [store.row(n).depth for n in range(3)] == [0, 1, 2]
    assert [store.load(n) for n in (2, 0, 1)] == [versions[n] for n in (2, 0, 1)]


def test_records_say_what_they_stand_on(store: Versions) -> None:
    for data in documents(3):
        store.save(document(data))
    found = [one for image in store.chunks.images.values() for one in scan(bytes(image)) if isinstance(one, Found)]
    chunks = [one.record for one in found if one.record.kind == 1]
    assert [(one.encoding, one.depth) for one in chunks] == [(RAW, 0), (DELTA, 1), (DELTA, 2)]
    assert [one.base for one in chunks] == [bytes(32), chunks[0].id, chunks[1].id]


NOISE = noise_source()(40_000)


@pytest.mark.parametrize(
    ("first", "second", "choice"),
    [
        ([document(NOISE)], [document(noise_source()(40_000)[::-1])], None),
        ([document(NOISE)], [document(NOISE + b"x", "another")], None),
        ([document(NOISE)], [part(NOISE + b"x", ARRAY, "state")], None),
        ([document(NOISE[: DELTA_BYTES_MIN - 2])], [document(NOISE[: DELTA_BYTES_MIN - 1])], None),
        ([document(NOISE)], [document(NOISE + b"x")], Choice(3, depth_max=0)),
        ([document(NOISE)], [document(NOISE + b"x")], Choice(0, depth_max=3)),
        ([part(NOISE * 40, ARRAY, "state")], [document(NOISE + b"x")], None),
        ([document(b"")], [document(NOISE + b"x")], None),
        ([document(bytes(40_000))], [document(bytes(39_999))], None),
    ],
    ids=[
        "nothing in common", "another name", "an array", "too small", "no depth", "no compression", "many chunks before",
        "empty before", "compresses as well by itself",
    ],
)  # fmt: skip
def test_what_is_stored_whole(catalog: Catalog, first: list[Part], second: list[Part], choice: Choice | None) -> None:
    store = Versions(catalog, choice) if choice is not None else Versions(catalog)
    store.save(*first)
    store.save(*second)
    assert [(row.depth, row.base) for row in store.rows(1)] == [(0, None)]
    assert store.load(1) == second[0].source.read(0, 1 << 30)
    store.close()


def test_a_checkpoint_without_the_part_is_looked_past(store: Versions) -> None:
    """As when progress alone was saved in between."""
    one, two = documents(2)
    store.save(document(one))
    store.commit(store.prepare(part(b"progress" * 1000, ARRAY, "progress")), has_state=False)
    store.save(document(two))
    assert (store.row(2).base, store.load(2)) == (store.row(0).key, two)


def test_a_base_lives_as_long_as_its_deltas(store: Versions) -> None:
    versions = documents(3)
    for data in versions:
        store.save(document(data))
    last = store.row(2)
    store.drop(0, 1)
    store.clean()
    store.restart()
    assert store.load(2) == versions[2]
    assert len(store.reader.chain(last.key)) == 3
    store.drop(2)
    store.clean()
    assert store.reader.chain(last.key) == []
    assert len(store.catalog.dead_packs()) == 1


def test_a_chain_dies_from_its_end_and_each_step_is_a_transaction(store: Versions) -> None:
    for data in documents(3):
        store.save(document(data))
    last = store.row(2)
    store.drop(0, 1, 2)
    lengths = []
    while store.catalog.sweep(frozenset(), NOW, 2):
        lengths.append(len(store.reader.chain(last.key)))
        rows = [store.reader.chain(row.key) for row in store.reader.chain(last.key)]
        assert all(chain[-1].base is None for chain in rows), "a chunk that has a row can be decoded"
    assert lengths[-1] == 0


def test_a_sweep_leaves_the_base_that_a_save_is_about_to_stand_on(store: Versions) -> None:
    one, two = documents(2)
    store.save(document(one))
    using = store.prepare(document(two))
    store.drop(0)
    store.clean()
    store.commit(using)
    store.clean()
    assert (store.row(1).depth, store.load(1)) == (1, two)


def test_a_base_that_was_condemned_meanwhile_is_not_stood_on(store: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the last checkpoint and the hold everything may go."""
    one, two = documents(2)
    store.save(document(one))
    hold = store.holds.hold
    gone = store.row(0).id

    def sweeping(namespace: int, chunk_id: bytes) -> None:
        if chunk_id == gone:
            store.drop(0)
            store.clean()
        hold(namespace, chunk_id)

    monkeypatch.setattr(store.holds, "hold", sweeping)
    store.save(document(two))
    assert (store.row(1).depth, store.load(1)) == (0, two)


def test_two_saves_at_once_stand_on_the_same_version(store: Versions) -> None:
    one, two, three = documents(3)
    store.save(document(one))
    store.commit(store.prepare(document(two)), store.prepare(document(three)))
    assert store.row(1).base == store.row(2).base == store.row(0).key
    store.drop(0, 1)
    store.clean()
    store.restart()
    assert store.load(2) == three


def test_two_saves_bring_the_same_delta_in_one_batch(store: Versions) -> None:
    one, two = documents(2)
    store.save(document(one))
    store.commit(store.prepare(document(two)), store.prepare(document(two)))
    assert store.row(1) == store.row(2)
    store.drop(0, 1)
    store.clean()
    assert store.load(2) == two
    store.drop(2)
    store.clean()
    assert len(store.catalog.dead_packs()) == 1


def test_a_save_that_is_refused_gives_its_reference_back(store: Versions) -> None:
    one, two = documents(2)
    store.save(document(one))
    store.commit(store.prepare(document(two)), epoch=7)
    store.drop(0)
    store.clean()
    assert len(store.catalog.dead_packs()) == 1
    assert store.held() == frozenset()


def test_a_condemned_delta_that_is_saved_again_changes_its_base(store: Versions) -> None:
    one, two, three = documents(3)
    store.save(document(one))
    store.save(document(two))
    store.save(document(three))
    store.drop(1, 2)
    store.catalog.sweep(frozenset(), NOW, 9)
    assert store.reader.find_chunk(UID, store.chains.id_of(three)) is None, "condemned, and not yet gone"
    store.save(document(three))
    assert store.row(3).base == store.row(0).key
    store.clean()
    store.restart()
    assert store.load(3) == three
    store.drop(0, 3)
    store.clean()
    assert len(store.catalog.dead_packs()) == 1


def test_a_base_that_moved_is_found_where_it_is_now(store: Versions) -> None:
    """Compaction gives a chunk another place, and keeps its key."""
    versions = documents(3)
    for data in versions[:2]:
        store.save(document(data))
    using = store.prepare(document(versions[2]))
    (name,) = store.chunks.images
    moved = store.catalog.add_pack("moved", NOW)
    store.chunks.images["moved"] = store.chunks.images[name]
    _move(store.catalog, moved)
    store.commit(using)
    store.restart()
    assert [store.load(n) for n in range(3)] == versions
    assert store.row(2).base == store.row(1).key


def _move(catalog: Catalog, pack: PackKey) -> None:
    if isinstance(catalog, MemoryCatalog):
        chunks = catalog._committed.chunks
        chunks.update({key: replace(one, row=replace(one.row, pack=pack)) for key, one in chunks.items()})
        return
    with catalog.transaction():
        catalog._connection.execute("UPDATE chunk SET pack=?", (pack,))  # type: ignore[attr-defined]


def test_a_large_payload_has_deltas_in_its_own_packs(catalog: Catalog) -> None:
    store = Versions(catalog)
    one, two = documents(2)
    filler = noise_source()(PRIVATE_BYTES_MIN)
    for number, data in enumerate((one, two)):
        store.save(document(data), part(filler[number:], ARRAY, "filler"))
    assert (store.row(1).depth, store.load(1)) == (1, two)
    store.close()


def harm(store: Versions, number: int) -> None:
    """Flip a byte in the middle of what is stored of a version."""
    row = store.row(number)
    image = store.chunks.images[store.reader.packs()[row.pack]]
    image[row.offset + 100 + row.stored_bytes // 2] ^= 0x55


@pytest.mark.parametrize("number", [0, 1, 2])
def test_damage_anywhere_in_a_chain_is_named_where_it_is(store: Versions, number: int) -> None:
    versions = documents(DEPTH + 1)
    for data in versions:
        store.save(document(data))
    harm(store, number)
    store.restart()
    for before in range(number):
        assert store.load(before) == versions[before]
    for after in range(number, len(versions)):
        with pytest.raises(Damaged) as caught:
            store.load(after)
        row = store.row(number)
        assert caught.value.details == {
            "part": "state", "pack": store.reader.packs()[row.pack], "offset": row.offset, "chunk": row.id.hex()
        }  # fmt: skip
        assert ("what it is the difference to" in caught.value.message) == (after != number)


def test_verifying_reads_what_a_delta_stands_on_though_it_is_in_memory(store: Versions) -> None:
    one, two = documents(2)
    store.save(document(one))
    store.save(document(two))
    harm(store, 0)
    assert store.load(1) == two
    with pytest.raises(Damaged):
        store.parts.verify(store.reader, store.saved[1])


def test_a_save_on_a_damaged_version_stands_by_itself(store: Versions) -> None:
    one, two = documents(2)
    store.save(document(one))
    harm(store, 0)
    store.restart()
    store.save(document(two))
    assert (store.row(1).base, store.load(1)) == (None, two)


def test_a_catalog_whose_chain_has_no_end_is_damaged(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path / "catalog.db", LINEAGE, CHUNK_KEY, NOW)
    store = Versions(catalog)
    for data in documents(2):
        store.save(document(data))
    with catalog.transaction():
        catalog._connection.execute("UPDATE chunk SET base=?,encoding=3", (store.row(1).key,))
    store.restart()
    with pytest.raises(Damaged, match="isn't in the catalog"):
        store.load(1)
    assert len(store.reader.chain(store.row(1).key)) == DEPTH_MAX + 1
    store.close()


def test_reading_version_after_version_decodes_each_once(store: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    store.choice = Choice(3, depth_max=20)
    store.restart()
    versions = documents(20)
    for data in versions:
        store.save(document(data))
    store.restart()
    reads = []
    read = store.chunks.read

    def counting(location: Location, stored_bytes: int, *, fresh: bool = False) -> bytes:
        reads.append(location)
        return read(location, stored_bytes, fresh=fresh)

    monkeypatch.setattr(store.chunks, "read", counting)
    assert [store.load(n) for n in range(20)] == versions
    assert len(reads) == 21, "the first is read once more, as the base of the second"


def test_a_chunk_of_another_namespace_is_no_base(catalog: Catalog) -> None:
    pack = catalog.add_pack("pack", NOW)
    catalog.add_chunks(UID, pack, [NewChunk(b"1" * 32, 152, 10, 20, 0)], NOW)
    with pytest.raises((AssertionError, ValueError)):
        catalog.add_chunks(UID + 1, pack, [NewChunk(b"2" * 32, 300, 10, 20, 3, b"1" * 32)], NOW)


def test_no_setting_allows_a_chain_that_a_reader_refuses() -> None:
    (setting,) = [one for one in SETTINGS if one.key == "store.delta_depth"]
    assert setting.kind.parse(DEPTH_MAX) == DEPTH_MAX
    with pytest.raises(ValueError, match="within"):
        setting.kind.parse(DEPTH_MAX + 1)


def floats(number: int) -> bytes:
    """A piece of an array that moves a little with each version."""
    return struct.pack("<262144f", *((1 + n % 977 / 977) * (1 + number * 1e-6) for n in range(262_144)))


def test_arrays_are_differences_where_that_is_set(catalog: Catalog) -> None:
    store = Versions(catalog, Choice(3, array_depth_max=2))
    form = msgpack.packb({"kind": "array", "dtype": "<f4"})
    versions = [floats(number) for number in range(4)]
    for data in versions:
        store.save(part(data, form))
    assert [[row.depth for row in store.rows(n)] for n in range(4)] == [[0], [1], [2], [0]]
    assert store.rows(1)[0].encoding == XOR
    store.restart()
    assert [store.load(n) for n in range(4)] == versions
    store.save(part(versions[2][:-4], form))
    assert store.row(4).depth == 0, "of another length"
    store.close()
