"""Payloads on their way into packs: what is shared, what is refused, what is left behind."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ckptclient.errors import BadRequest, NoSpace
from ckptd.core.ids import PackKey
from ckptd.core.manifest import bodies_hash, body_hash
from ckptd.store.chunks.memory import MemoryPacks
from ckptd.store.ingest import PRIVATE_BYTES_MIN, Memory, Part, Spool
from ckptd.store.records import Found, RecordKind, parse_note, scan
from tests.ckptd.store.saving import ARRAY, DOCUMENT, UID, Store, memory_packs, noise_source, part

MIB = 1 << 20


@pytest.fixture
def noise() -> Callable[[int], bytes]:
    return noise_source()


def stored(store: Store, kind: RecordKind = RecordKind.CHUNK) -> list[bytes]:
    """The id of every record in every pack, with repetitions."""
    assert isinstance(store.chunks, MemoryPacks)
    places = [place for image in store.chunks.images.values() for place in scan(bytes(image))]
    return [place.record.id for place in places if isinstance(place, Found) and place.record.kind is kind]


@pytest.mark.parametrize("size_bytes", [0, 1, 5000, MIB, 3 * MIB + 17])
@pytest.mark.parametrize("form", [ARRAY, DOCUMENT, b"", b"\xc1", b"\x93\x01\x02\x03"])
def test_what_is_saved_comes_back(noise: Callable[[int], bytes], size_bytes: int, form: bytes) -> None:
    store, data = Store(), noise(size_bytes)
    (saved,) = store.save(part(data, form))
    assert store.load(saved) == data
    assert (saved.name, saved.form, saved.size_bytes) == ("weights", form, size_bytes)
    assert store.held() == frozenset()


def test_many_parts_keep_their_order_and_their_bytes(noise: Callable[[int], bytes]) -> None:
    store = Store()
    data = [noise(size) for size in (10, 0, 2 * MIB, 700_000, 700_000, 5)]
    saved = store.save(*[part(one, name=str(number)) for number, one in enumerate(data)])
    assert [store.load(one) for one in saved] == data


def test_the_hashes_of_the_manifest_are_known_before_the_commit(noise: Callable[[int], bytes]) -> None:
    store = Store()
    prepared = store.prepare(part(noise(2 * MIB)))
    (before,) = prepared.parts
    ((saved,),) = store.commit(prepared)
    assert (before.hash, before.bodies) == (saved.hash, ())
    (body,) = saved.bodies
    ids = [row.id for row in store.catalog.body_chunks(body)]
    assert saved.hash == bodies_hash([body_hash(ids)])


def test_the_same_again_is_stored_once_and_costs_one_body(noise: Callable[[int], bytes]) -> None:
    store, data = Store(), noise(3 * MIB)
    first, second = store.save(part(data)), store.save(part(data))
    assert first == second
    assert len(stored(store)) == 3
    assert store.prepare(part(data)).own_bytes == 0


def test_what_changed_in_place_costs_its_own_piece(noise: Callable[[int], bytes]) -> None:
    store, data = Store(), bytearray(noise(4 * MIB))
    store.save(part(bytes(data)))
    data[2 * MIB + 7] ^= 1
    (saved,) = store.save(part(bytes(data)))
    assert len(stored(store)) == 5
    assert store.load(saved) == data


def test_a_save_that_repeats_itself_stores_it_once() -> None:
    store = Store()
    (saved,) = store.save(part(bytes(10 * MIB)))
    assert len(stored(store)) == 1
    assert store.load(saved) == bytes(10 * MIB)


def test_two_saves_of_one_batch_share_a_new_chunk(noise: Callable[[int], bytes]) -> None:
    store, data = Store(), noise(2 * MIB)
    outcomes = store.commit(store.prepare(part(data)), store.prepare(part(data + b"more")))
    assert [store.load(saved) for (saved,) in outcomes] == [data, data + b"more"]
    assert len(stored(store)) == 3


def test_a_save_that_was_prepared_before_another_committed_shares_its_chunks(noise: Callable[[int], bytes]) -> None:
    store, data = Store(), noise(2 * MIB)
    early, late = store.prepare(part(data)), store.prepare(part(data))
    store.commit(early)
    ((saved,),) = store.commit(late)
    assert store.load(saved) == data
    assert len(stored(store)) == 2


def test_users_do_not_share(noise: Callable[[int], bytes]) -> None:
    store, data = Store(), noise(MIB)
    store.save(part(data))
    store.save(part(data), uid=UID + 1)
    assert len(stored(store)) == 2


def test_a_batch_that_is_rolled_back_goes_again(noise: Callable[[int], bytes]) -> None:
    store, data = Store(), noise(2 * MIB)
    prepared = store.prepare(part(data))
    prepared.place()
    store.chunks.sync()

    def fails() -> None:
        with store.catalog.transaction():
            prepared.record()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    ((saved,),) = store.commit(prepared)
    assert store.load(saved) == data
    assert len(stored(store)) == 2


def test_a_save_that_never_commits_harms_nobody_else(noise: Callable[[int], bytes]) -> None:
    store, data = Store(), noise(2 * MIB)
    lost = store.prepare(part(data))
    lost.place()
    store.chunks.sync()
    lost.release()
    lost.release()
    (saved,) = store.save(part(data))
    assert store.load(saved) == data
    assert store.held() == frozenset()


def test_what_a_save_uses_is_held_until_it_is_released(noise: Callable[[int], bytes]) -> None:
    store, data = Store(), noise(2 * MIB)
    (saved,) = store.save(part(data))
    again = store.prepare(part(data), part(noise(100), name="new"))
    (body,) = saved.bodies
    assert store.held() > {row.id for row in store.catalog.body_chunks(body)}
    assert len(store.held()) == 3
    again.release()
    assert store.held() == frozenset()


def test_a_large_payload_is_in_packs_of_its_own_before_the_committer_sees_it(noise: Callable[[int], bytes]) -> None:
    store, data = Store(), noise(PRIVATE_BYTES_MIN)
    small = store.prepare(part(noise(100)))
    large = store.prepare(part(data))
    assert len(stored(store)) == 32
    assert large.size_bytes < 4096, "only the note is left for the committer"
    assert large.own_bytes >= PRIVATE_BYTES_MIN
    ((one,), (other,)) = store.commit(small, large)
    assert len(stored(store)) == 33
    (body,) = other.bodies
    assert {row.pack for row in store.catalog.body_chunks(one.bodies[0])}.isdisjoint(
        row.pack for row in store.catalog.body_chunks(body)
    )
    assert store.load(other) == data
    assert store.save(part(data))[0].bodies == (body,)
    assert len(stored(store)) == 33


def test_two_large_payloads_at_once_are_both_whole(noise: Callable[[int], bytes]) -> None:
    store, data = Store(), noise(PRIVATE_BYTES_MIN)
    outcomes = store.commit(store.prepare(part(data)), store.prepare(part(data)))
    ((one,), (other,)) = outcomes
    assert one == other
    assert store.load(other) == data


def test_a_large_payload_that_never_came_to_the_committer_is_removed(noise: Callable[[int], bytes]) -> None:
    store = Store()
    store.prepare(part(noise(PRIVATE_BYTES_MIN))).release()
    assert store.chunks.names() == []


def test_a_large_payload_that_was_refused_later_is_left_to_the_cleanup(noise: Callable[[int], bytes]) -> None:
    store = Store()
    prepared = store.prepare(part(noise(PRIVATE_BYTES_MIN)))
    prepared.place()
    prepared.release()
    assert set(store.chunks.names()) == set(store.catalog.packs().values())


def test_a_part_of_many_gib_has_a_body_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptd.store.prepared.BODY_CHUNKS_MAX", 4)
    store = Store()
    data = b"".join(bytes([number]) * MIB for number in range(10))
    (saved,) = store.save(part(data))
    assert [len(store.catalog.body_chunks(body)) for body in saved.bodies] == [4, 4, 2]
    assert store.load(saved) == data


def test_the_pack_says_what_checkpoint_its_chunks_are_of(noise: Callable[[int], bytes]) -> None:
    store = Store()
    prepared = store.prepare(part(noise(2 * MIB)), part(noise(10), name="other"))
    ((saved, other),) = store.commit(prepared)
    assert isinstance(store.chunks, MemoryPacks)
    (image,) = store.chunks.images.values()
    *_, last = scan(bytes(image))
    assert isinstance(last, Found)
    note = parse_note(last.record.stored)
    assert (note.process_id, note.seq, note.epoch, note.has_state, note.journal_position) == ("job", 3, 1, True, 7)
    ids = [[row.id for body in one.bodies for row in store.catalog.body_chunks(body)] for one in (saved, other)]
    assert note.chunks == tuple(b"".join(some) for some in ids)


def test_a_spool_is_read_where_its_part_lies(tmp_path: Path, noise: Callable[[int], bytes]) -> None:
    data = noise(3 * MIB)
    (tmp_path / "spool").write_bytes(data)
    fd = os.open(tmp_path / "spool", os.O_RDONLY)
    store = Store()
    first, second = store.save(
        Part("first", ARRAY, Spool(fd, MIB + 5)), Part("second", ARRAY, Spool(fd, 2 * MIB - 5, begin=MIB + 5))
    )
    os.close(fd)
    assert store.load(first) + store.load(second) == data


@pytest.mark.parametrize("size_bytes", [3 * MIB, PRIVATE_BYTES_MIN])
def test_an_upload_that_ends_early_is_the_callers_fault_and_leaves_nothing(tmp_path: Path, size_bytes: int) -> None:
    (tmp_path / "spool").write_bytes(bytes(range(256)) * (size_bytes // 256 - 1))
    fd = os.open(tmp_path / "spool", os.O_RDONLY)
    store = Store()
    with pytest.raises(BadRequest, match="part 'weights'"):
        store.ingest.prepare(UID, [Part("weights", ARRAY, Spool(fd, size_bytes))], 0)
    os.close(fd)
    assert store.held() == frozenset()
    assert store.chunks.names() == []


def test_a_full_disk_refuses_one_save_of_a_batch(noise: Callable[[int], bytes]) -> None:
    store = Store(memory_packs(space_bytes=3 * MIB))
    data = noise(MIB)
    first, second, third = store.commit(
        store.prepare(part(data)), store.prepare(part(noise(4 * MIB))), store.prepare(part(data + b"x"))
    )
    assert second == ()
    assert [store.load(saved) for (saved,) in (first, third)] == [data, data + b"x"]
    assert store.held() == frozenset()


def test_a_full_disk_refuses_a_large_payload_while_it_is_prepared(noise: Callable[[int], bytes]) -> None:
    store = Store(memory_packs(space_bytes=10 * MIB))
    with pytest.raises(NoSpace):
        store.prepare(part(noise(PRIVATE_BYTES_MIN)))
    assert store.chunks.names() == []
    assert store.held() == frozenset()
    assert store.load(store.save(part(b"small"))[0]) == b"small"


def test_rows_of_a_large_payload_go_ahead_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptd.store.ingest.PRIVATE_BYTES_MIN", MIB)
    monkeypatch.setattr("ckptd.store.chunking.PIECE_BYTES", 512)
    store = Store()
    data = b"".join(number.to_bytes(2, "big") * 256 for number in range(2500))
    (saved,) = store.save(part(data))
    assert store.catalog.slices == [1000, 1000, 500]
    assert store.load(saved) == data


def test_a_pack_is_on_disk_before_it_has_a_row(monkeypatch: pytest.MonkeyPatch, noise: Callable[[int], bytes]) -> None:
    chunks = memory_packs()
    store = Store(chunks)
    synced: list[int] = []
    add_pack = store.catalog.add_pack

    def adding(name: str, at: int, lifetime: int) -> PackKey:
        synced.append(chunks.synced_count)
        return add_pack(name, at)

    monkeypatch.setattr(store.catalog, "add_pack", adding)
    store.save(part(noise(100)))
    store.save(part(noise(100)))
    assert synced == [1]


def test_a_large_payload_whose_note_found_no_room_may_be_placed_again(
    monkeypatch: pytest.MonkeyPatch, noise: Callable[[int], bytes]
) -> None:
    store, data = Store(), noise(PRIVATE_BYTES_MIN)
    prepared = store.prepare(part(data))

    def full(records: object, lifetime: int) -> None:
        raise NoSpace("full")

    with monkeypatch.context() as broken:
        broken.setattr(store.chunks, "append", full)
        with pytest.raises(NoSpace):
            prepared.place()
    ((saved,),) = store.commit(prepared)
    assert store.load(saved) == data


def test_a_memory_source_gives_ranges() -> None:
    source = Memory(b"0123456789")
    assert (source.size_bytes, source.read(2, 3), source.read(8, 9)) == (10, b"234", b"89")
