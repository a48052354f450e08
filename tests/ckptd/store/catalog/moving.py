"""What `catalog.interface` obliges every backend to that compaction needs; run beside the rest by the same modules."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ckptd.core.change import Change, NotePlace
from ckptd.core.ids import CheckpointKey, ChunkKey, PackKey
from ckptd.store.catalog.interface import Audit, Catalog, CatalogReader, ChunkRow, Move, PackRow, PlacedNote
from tests.ckptd.store.catalog.changes import NOW, UID, part, save, take
from tests.ckptd.store.catalog.conformance import JOB, applied, chunk, empty_trash, sweep

LIFETIME = 2


def row(reader: CatalogReader, pack: PackKey) -> PackRow:
    (found,) = [one for one in reader.pack_rows() if one.key == pack]
    return found


def space(reader: CatalogReader, pack: PackKey) -> tuple[int, int]:
    """(bytes, live bytes)."""
    found = row(reader, pack)
    return found.bytes, found.live_bytes


def saved(catalog: Catalog, seq: int, keys: Sequence[ChunkKey], note: NotePlace) -> None:
    with catalog.transaction():
        body = catalog.add_body(UID, seq.to_bytes(32, "big"), 20 * len(keys), keys)
        applied(catalog, save(JOB, seq, parts=(part(body),), small=None, note=note))


def gone(catalog: Catalog, *seqs: int) -> None:
    applied(catalog, Change(NOW, UID, to_trash=tuple(map(CheckpointKey, seqs))))
    empty_trash(catalog, NOW)
    sweep(catalog)


class Moving:
    """Inherit beside `Conformance`, which has the fixtures."""

    @pytest.fixture
    def pack(self, catalog: Catalog) -> PackKey:
        """Three chunks of two checkpoints, and their records; a delta is the last, and stands on the first."""
        applied(catalog, take())
        pack = catalog.add_pack("pack", NOW, LIFETIME)
        one, two, three = catalog.add_chunks(UID, pack, [chunk(1), chunk(2, 300), chunk(3, 500, base=1)], NOW)
        saved(catalog, 1, [one, two], NotePlace(pack, 700, 40))
        saved(catalog, 2, [two, three], NotePlace(pack, 900, 50))
        return pack

    def records(self, reader: CatalogReader, pack: PackKey) -> list[ChunkRow | PlacedNote]:
        return [*(one.row for one in reader.placed(pack, 0, 99)), *reader.notes(pack, 0, 99)]

    def moves(self, reader: CatalogReader, pack: PackKey) -> list[Move]:
        found = []
        for number, one in enumerate(self.records(reader, pack)):
            encoding = one.encoding if isinstance(one, ChunkRow) else 0
            found.append(Move(one, 1000 * number, one.stored_bytes, encoding))
        return found

    def test_a_pack_s_bytes_and_live_bytes_are_whole_records(
        self, catalog: Catalog, reader: CatalogReader, pack: PackKey
    ) -> None:
        assert space(reader, pack) == (900 + 150, 3 * 110 + 140 + 150)
        assert (row(reader, pack).lifetime, row(reader, pack).begun_at, row(reader, pack).tight) == (
            LIFETIME,
            NOW,
            False,
        )
        gone(catalog, 1)
        assert space(reader, pack) == (1050, 3 * 110 + 150), "the delta's base stays with it"
        gone(catalog, 2)
        assert space(reader, pack) == (1050, 0)
        assert catalog.dead_packs() == [(pack, "pack")]

    def test_an_empty_pack_has_its_header(self, catalog: Catalog, reader: CatalogReader) -> None:
        assert space(reader, catalog.add_pack("pack", NOW)) == (152, 0)

    def test_records_that_moved_are_read_at_their_copies(
        self, catalog: Catalog, reader: CatalogReader, pack: PackKey
    ) -> None:
        before, moves = self.records(reader, pack), self.moves(reader, pack)
        target = catalog.add_pack("target", NOW, LIFETIME)
        assert catalog.move(pack, target, moves, NOW) == 5
        wanted = [
            replace(one, pack=target, offset=1000 * n) if isinstance(one, ChunkRow) else replace(one, offset=1000 * n)
            for n, one in enumerate(before)
        ]
        assert self.records(reader, target) == wanted
        assert (space(reader, pack), space(reader, target)) == ((1050, 0), (4150, 3 * 110 + 140 + 150))
        assert catalog.dead_packs() == [(pack, "pack")]
        assert reader.audit() == Audit()
        assert catalog.move(pack, target, moves, NOW) == 0, "they lie elsewhere by now"

    def test_a_row_that_says_something_else_by_now_is_left_alone(
        self, catalog: Catalog, reader: CatalogReader, pack: PackKey
    ) -> None:
        moves = self.moves(reader, pack)
        gone(catalog, 1, 2)
        second = catalog.add_pack("second", NOW)
        # The keys are given again.
        keys = catalog.add_chunks(UID, second, [chunk(4, 152), chunk(5, 300), chunk(3, 500)], NOW)
        saved(catalog, 3, keys, NotePlace(second, 700, 40))
        target = catalog.add_pack("target", NOW)
        assert catalog.move(pack, target, moves, NOW) == 0
        assert (space(reader, target)[1], len(self.records(reader, second))) == (0, 4)

    def test_a_chunk_that_needs_no_base_any_more_lets_go_of_it(
        self, catalog: Catalog, reader: CatalogReader, pack: PackKey
    ) -> None:
        gone(catalog, 1)
        (delta,) = [one for one in self.records(reader, pack) if isinstance(one, ChunkRow) and one.base is not None]
        target = catalog.add_pack("target", NOW, tight=True)
        assert catalog.move(pack, target, [Move(delta, 152, 15, 1)], NOW) == 1
        found = reader.find_chunk(UID, delta.id)
        assert found is not None
        assert (found.key, found.encoding, found.base, found.depth, found.stored_bytes) == (delta.key, 1, None, 0, 15)
        assert reader.audit() == Audit()
        sweep(catalog)
        assert reader.find_chunk(UID, chunk(1).id) is None
        assert (space(reader, target)[1], row(reader, target).tight) == (115, True)

    def test_a_pack_is_settled_once_nothing_is_to_be_gained(
        self, catalog: Catalog, reader: CatalogReader, pack: PackKey
    ) -> None:
        catalog.settle(pack)
        assert row(reader, pack).tight
        gone(catalog, 1, 2)
        assert catalog.dead_packs() == [(pack, "pack")]

    def test_dead_packs_are_named_a_few_at_a_time(self, catalog: Catalog) -> None:
        for name in "abc":
            catalog.add_pack(name, NOW)
        assert [len(catalog.dead_packs(limit)) for limit in (1, 2, 9)] == [1, 2, 3]
