"""What `catalog.interface` obliges every backend to that keeps damage; run beside the rest by the same modules."""

from collections.abc import Sequence
from dataclasses import replace

from ckptd.core.ids import BodyKey, CheckpointKey, ChunkKey, PackKey
from ckptd.store.catalog.interface import Audit, Catalog, CatalogReader, Damage, NewChunk, Placed
from tests.ckptd.store.catalog.changes import NOW, UID, part, save, take
from tests.ckptd.store.catalog.conformance import JOB, applied, chunk, sweep


def damage(pack: PackKey, new: NewChunk, key: ChunkKey | None) -> Damage:
    return Damage(pack, new.offset, 110, key, "flipped", NOW)


def saved(catalog: Catalog, *contents: Sequence[ChunkKey]) -> list[BodyKey]:
    """A checkpoint for each list of chunks."""
    applied(catalog, take())
    bodies = []
    for number, keys in enumerate(contents, start=1):
        with catalog.transaction():
            bodies.append(catalog.add_body(UID, number.to_bytes(32, "big"), 20 * len(keys), keys))
            applied(catalog, save(JOB, number, parts=(part(bodies[-1]),), small=None))
    return bodies


class LookingAfter:
    """Inherit beside `Conformance`, which has the fixtures."""

    def test_a_quarantined_chunk_is_shared_no_more_and_repaired_by_the_same_bytes(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        pack = catalog.add_pack("pack", NOW)
        bad, good = catalog.add_chunks(UID, pack, [chunk(1), chunk(2, 300)], NOW)
        (body, other) = saved(catalog, [bad, good], [good])
        wanted = damage(pack, chunk(1), bad)
        assert catalog.quarantine([wanted], {bad: [body]}) == 1
        assert catalog.quarantine([wanted], {bad: [body]}) == 0, "it was known"
        assert reader.damage(9) == [wanted]
        assert reader.damaged_bodies() == [body]
        assert reader.checkpoints_of([body]) == [CheckpointKey(1)]
        assert reader.checkpoints_of([body, other]) == [1, 2]
        assert reader.find_chunk(UID, chunk(1).id) is None
        assert [reader.is_quarantined(UID, chunk(n).id) for n in (1, 2, 3)] == [True, False, False]
        assert [row.key for row in reader.body_chunks(body)] == [bad, good], "and never deleted"

        again = catalog.add_pack("again", NOW)
        assert catalog.add_chunks(UID, again, [replace(chunk(1), offset=700)], NOW) == [bad]
        found = reader.find_chunk(UID, chunk(1).id)
        assert found is not None
        assert (found.key, found.pack, found.offset) == (bad, again, 700)
        assert reader.damage(9) == []
        assert reader.damaged_bodies() == []
        assert not reader.is_quarantined(UID, chunk(1).id)
        sweep(catalog)
        assert reader.body_chunks(body)[0] == found, "what referred to it still does"
        assert reader.audit() == Audit()

    def test_damage_of_what_moved_meanwhile_is_none(self, catalog: Catalog, reader: CatalogReader) -> None:
        pack = catalog.add_pack("pack", NOW)
        (key,) = catalog.add_chunks(UID, pack, [chunk(1)], NOW)
        elsewhere = [damage(pack, chunk(1, 900), key), damage(pack, chunk(1), ChunkKey(99))]
        assert catalog.quarantine(elsewhere, {}) == 0
        assert reader.damage(9) == []

    def test_damage_that_no_chunk_is_hit_by_stays_until_its_pack_goes(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        pack = catalog.add_pack("pack", NOW)
        catalog.add_chunks(UID, pack, [chunk(1)], NOW)
        places = [damage(pack, chunk(1, offset), None) for offset in (700, 900)]
        assert catalog.quarantine(places, {}) == 2
        assert reader.damage(1) == places[:1]
        catalog.release(pack, [700])
        assert reader.damage(9) == places[1:]
        catalog.drop_pack(pack)
        assert reader.damage(9) == []

    def test_damage_of_a_chunk_that_nothing_refers_to_goes_with_it(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        pack = catalog.add_pack("pack", NOW)
        (key,) = catalog.add_chunks(UID, pack, [chunk(1)], NOW)
        catalog.quarantine([damage(pack, chunk(1), key)], {})
        sweep(catalog)
        assert reader.damage(9) == []
        assert len(catalog.dead_packs()) == 1

    def test_what_stands_on_a_damaged_chunk_is_hit_too(self, catalog: Catalog, reader: CatalogReader) -> None:
        pack = catalog.add_pack("pack", NOW)
        one, other = catalog.add_chunks(UID, pack, [chunk(1), chunk(2, 300)], NOW)
        two, three = catalog.add_chunks(UID, pack, [chunk(3, 500, base=1), chunk(4, 700, base=3)], NOW)
        bodies = saved(catalog, [three], [other], [two])
        assert reader.standing_on([one]) == [one, two, three]
        assert reader.standing_on([other, three]) == [other, three]
        catalog.quarantine([damage(pack, chunk(1), one)], {one: [bodies[0], bodies[2]]})
        assert reader.damaged_bodies() == [bodies[0], bodies[2]]

    def test_pages_of_what_there_is(self, catalog: Catalog, reader: CatalogReader) -> None:
        pack, other = catalog.add_pack("pack", NOW), catalog.add_pack("other", NOW + 1)
        new = [chunk(1, 500), chunk(2, 300), chunk(3, 700)]
        keys = catalog.add_chunks(UID, pack, new, NOW)
        catalog.add_chunks(UID, other, [chunk(4)], NOW)
        rows = [row for row in (reader.find_chunk(UID, one.id) for one in new) if row is not None]
        placed = [Placed(rows[n], UID, condemned=False) for n in (1, 0, 2)]
        assert reader.placed(pack, 0, 9) == placed
        assert reader.placed(pack, 301, 1) == placed[1:2]
        bodies = saved(catalog, keys, keys[1:])
        assert [(row.key, row.plain_bytes, tuple(row.chunks)) for row in reader.bodies(0, 9)] == [
            (bodies[0], 60, tuple(keys)),
            (bodies[1], 40, tuple(keys[1:])),
        ]
        assert [row.key for row in reader.bodies(bodies[0], 9)] == bodies[1:]
        assert reader.checkpoint_keys(0, 1) == [1]
        assert reader.checkpoint_keys(1, 9) == [2]
        assert [row.name for row in reader.pack_rows()] == ["pack", "other"]
        catalog.scrubbed(pack, NOW + 9)
        assert [(row.name, row.looked_at) for row in reader.pack_rows()] == [("other", NOW + 1), ("pack", NOW + 9)]
