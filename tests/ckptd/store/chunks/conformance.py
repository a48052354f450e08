"""What `chunks.interface` obliges every backend to; a module beside it runs this against one."""

from collections.abc import Callable, Sequence
from typing import Protocol

import pytest

from ckptclient.errors import NoSpace
from ckptd.store.chunks.interface import ChunkStore, Location
from ckptd.store.records import Found, PackKind, Record, RecordKind, parse_pack_header, scan

LINEAGE = b"lineage lineage "
TARGET = 4096


class World(Protocol):
    """One medium: opening it again is a new daemon on the same disk."""

    def open(self) -> ChunkStore: ...

    def image(self, pack: str) -> bytes: ...

    def fill(self, free_bytes: int) -> None:
        """Leave so much of the disk."""
        ...

    def empty(self) -> None: ...


def chunk(number: int, size_bytes: int = 100) -> Record:
    stored = number.to_bytes(4, "big") * (size_bytes // 4)
    return Record(RecordKind.CHUNK, 1000, number.to_bytes(32, "big"), 0, len(stored), stored)


def in_packs(world: World, packs: Sequence[str]) -> list[Record]:
    """Every record of these packs, which hold nothing else."""
    found = []
    for pack in packs:
        for place in scan(world.image(pack)):
            assert isinstance(place, Found)
            assert place.intact
            found.append(place.record)
    return found


class Conformance:
    """Inherit, and give a fixture `world`."""

    def test_what_was_appended_can_be_read_at_once_and_after_a_sync(self, world: World) -> None:
        store = world.open()
        wanted = [chunk(n) for n in range(5)]
        locations = store.append(wanted)
        for _ in range(2):
            for fresh in (False, True):
                assert [
                    store.read(at, len(r.stored), fresh=fresh) for at, r in zip(locations, wanted, strict=True)
                ] == [record.stored for record in wanted]
            store.sync()

    def test_a_pack_is_seen_as_it_lies_on_the_medium(self, world: World) -> None:
        store = world.open()
        (first, second) = store.append([chunk(1), chunk(2)])
        store.sync()
        whole = world.image(first.pack)
        assert store.size_bytes(first.pack) == len(whole)
        assert store.image(first.pack, 0, 1 << 20) == whole
        assert store.image(first.pack, second.offset, 200) == whole[second.offset : second.offset + 200]
        assert store.size_bytes("gone") == 0
        assert store.image("gone", 0, 9) == b""

    def test_appending_nothing_makes_nothing(self, world: World) -> None:
        store = world.open()
        assert store.append([]) == []
        store.sync()
        assert store.names() == []

    def test_a_scan_of_the_packs_finds_what_was_appended(self, world: World) -> None:
        store = world.open()
        wanted = [chunk(n) for n in range(5)]
        (pack,) = {location.pack for location in store.append(wanted)}
        store.sync()
        assert in_packs(world, [pack]) == wanted

    def test_a_full_pack_is_followed_by_a_new_one(self, world: World) -> None:
        store = world.open()
        locations = store.append([chunk(n, 1000) for n in range(10)])
        store.sync()
        packs = list(dict.fromkeys(location.pack for location in locations))
        assert len(packs) == 3
        assert all(len(world.image(pack)) < TARGET + 1200 for pack in packs)
        assert sorted(store.names()) == sorted(packs)

    def test_a_pack_of_an_earlier_daemon_is_never_appended_to(self, world: World) -> None:
        first = world.open()
        (old,) = first.append([chunk(1)])
        first.sync()
        before = world.image(old.pack)
        first.close()
        second = world.open()
        (new,) = second.append([chunk(2)])
        second.sync()
        assert new.pack != old.pack
        assert world.image(old.pack) == before
        assert second.read(old, 100) == chunk(1).stored

    def test_unlinking_the_pack_in_hand_ends_it(self, world: World) -> None:
        store = world.open()
        (gone,) = store.append([chunk(1)])
        store.sync()
        store.unlink(gone.pack)
        store.unlink(gone.pack)
        assert store.names() == []
        (new,) = store.append([chunk(2)])
        store.sync()
        assert new.pack != gone.pack
        assert store.read(new, 100) == chunk(2).stored

    def test_each_lifetime_class_has_a_pack_of_its_own(self, world: World) -> None:
        store = world.open()
        first, second, third = (store.append([chunk(n)], lifetime)[0] for n, lifetime in ((1, 1), (2, 2), (3, 1)))
        store.sync()
        assert first.pack == third.pack != second.pack
        headers = [parse_pack_header(world.image(at.pack))[0] for at in (first, second)]
        assert [(header.lifetime, header.kind) for header in headers] == [(1, PackKind.SHARED), (2, PackKind.SHARED)]
        private = store.private(0, 3)
        at = private.add(chunk(4))
        private.close()
        header, _ = parse_pack_header(world.image(at.pack))
        assert (header.lifetime, header.kind) == (3, PackKind.PRIVATE)

    def test_a_sealed_pack_is_appended_to_no_more(self, world: World) -> None:
        store = world.open()
        (first,), (other,) = store.append([chunk(1)], 1), store.append([chunk(2)], 2)
        store.sync()
        store.seal(first.pack)
        store.seal("nothing")
        (second,), (still,) = store.append([chunk(3)], 1), store.append([chunk(4)], 2)
        store.sync()
        assert second.pack != first.pack
        assert still.pack == other.pack
        assert [store.read(at, 100) for at in (first, second)] == [chunk(1).stored, chunk(3).stored]

    def test_reading_where_nothing_lies_gives_less_and_never_raises(self, world: World) -> None:
        store = world.open()
        (at,) = store.append([chunk(1)])
        store.sync()
        assert store.read(at, 5000) == chunk(1).stored
        assert store.read(Location(at.pack, 1 << 30), 100) == b""
        assert store.read(Location("nothing", 0), 100) == b""

    def test_a_private_pack_has_a_payload_of_its_own(self, world: World) -> None:
        store = world.open()
        (shared,) = store.append([chunk(99)])
        private = store.private(10_000)
        wanted = [chunk(n, 1000) for n in range(10)]
        locations = [private.add(record) for record in wanted]
        private.close()
        packs = list(dict.fromkeys(location.pack for location in locations))
        assert len(packs) == 3
        assert shared.pack not in packs
        assert in_packs(world, packs) == wanted
        assert [store.read(at, len(r.stored)) for at, r in zip(locations, wanted, strict=True)] == [
            record.stored for record in wanted
        ]

    @pytest.mark.parametrize("expected_bytes", [0, 100, 1 << 20], ids=["nothing", "too little", "too much"])
    def test_what_was_expected_of_a_payload_is_a_hint(self, world: World, expected_bytes: int) -> None:
        private = world.open().private(expected_bytes)
        wanted = [chunk(n, 800) for n in range(4)]
        packs = dict.fromkeys(private.add(record).pack for record in wanted)
        private.close()
        assert in_packs(world, list(packs)) == wanted

    @pytest.mark.parametrize("closed", [False, True])
    def test_an_abandoned_payload_leaves_nothing(self, world: World, closed: bool) -> None:
        store = world.open()
        private = store.private(10_000)
        for n in range(10):
            private.add(chunk(n, 1000))
        if closed:
            private.close()
        private.abandon()
        private.abandon()
        assert store.names() == []

    def test_a_full_disk_refuses_all_of_an_append_and_then_goes_on(self, world: World) -> None:
        store = world.open()
        (good,) = store.append([chunk(1)])
        store.sync()
        world.fill(40_000)
        with pytest.raises(NoSpace):
            store.append([chunk(2, 1000), chunk(3, 200_000)])
        world.empty()
        (after,) = store.append([chunk(4)])
        store.sync()
        assert in_packs(world, [good.pack]) == ([chunk(1), chunk(4)] if after.pack == good.pack else [chunk(1)])
        assert store.read(after, 100) == chunk(4).stored

    def test_a_full_disk_refuses_a_private_pack(self, world: World) -> None:
        store = world.open()
        world.fill(40_000)
        private = store.private(200_000)

        def whole() -> None:
            for n in range(200):
                private.add(chunk(n, 1000))
            private.close()

        with pytest.raises(NoSpace):
            whole()
        private.abandon()
        assert store.names() == []

    def test_names_are_drawn_and_never_used_twice(self, world: World) -> None:
        first, second = world.open(), world.open()
        packs = {store.append([chunk(1)])[0].pack for store in (first, second)}
        assert len(packs) == 2


def numbered() -> Callable[[int], bytes]:
    """A source of names that can be repeated."""
    drawn = iter(range(1, 1 << 30))
    return lambda size: next(drawn).to_bytes(size, "big")
