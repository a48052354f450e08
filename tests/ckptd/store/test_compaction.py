"""store.compaction on real files: killed at every step, with damage, beside saves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from ckptclient.errors import Damaged
from ckptd.core.change import ManifestPart
from ckptd.store.catalog.interface import PackRow
from ckptd.store.catalog.sqlite.bodies import add_note, drop_notes
from ckptd.store.compaction import Copy
from ckptd.store.records import Found, RecordKind, scan
from tests.ckptd.store.saving import NOW, noise_source, part
from tests.ckptd.store.test_payloads_on_disk import Opened, open_store

__all__ = ["open_store"]

SIZE = 40_000


@dataclass
class Half:
    """A store whose one pack is half dead, and what must be had of it whatever happens."""

    store: Opened
    kept: dict[bytes, ManifestPart]

    @property
    def pack(self) -> PackRow:
        return max(self.store.reader.pack_rows(), key=lambda row: row.bytes)

    def end(self) -> None:
        """Nothing is left of it."""
        for saved in self.kept.values():
            refer(self.store, saved, 0)
        drop_notes(self.store.catalog._connection, range(24))
        self.store.clean()
        assert self.store.chunks.names() == []

    def whole(self) -> None:
        for data, saved in self.kept.items():
            assert self.store.load(saved) == data
        faults = self.store.reader.audit().faults
        assert [one for one in faults if one.startswith(("live bytes", "references to chunk"))] == []


def refer(store: Opened, saved: ManifestPart, refs: int) -> None:
    """What a checkpoint's row does."""
    for body in saved.bodies:
        store.catalog._connection.execute("UPDATE body SET refs=? WHERE k=?", (refs, body))


def half(store: Opened) -> Half:
    noise, kept = noise_source(), {}
    for number in range(24):
        data = noise(SIZE)
        prepared = store.prepare(part(data))
        saved = store.commit(prepared)
        refer(store, saved, number % 3 == 0)
        if number % 3 == 0:
            kept[data] = saved
            assert prepared.noted is not None
            add_note(store.catalog._connection, number, prepared.noted)
    store.clean()
    return Half(store, kept)


def steps(store: Opened, copy: Copy) -> Iterator[str]:
    """A compaction as it is driven, with a stop after each step."""
    while copy.copy(store.reader):
        yield "copied"
    yield "synced"
    while copy.verify():
        yield "verified"
    for move in copy.moves(NOW):
        move(store.catalog)
        yield "moved"
    for key, name in store.catalog.dead_packs():
        store.chunks.unlink(name)
        yield "unlinked"
        store.catalog.drop_pack(key)
        yield "dropped"


def exhaust(step: Callable[[], int]) -> None:
    while step():
        pass


def compact(store: Opened) -> Iterator[str]:
    packs = [row for row in store.reader.pack_rows() if row.live_bytes]
    for row in packs:
        store.chunks.seal(row.name)
    yield from steps(store, Copy(store.chunks, packs))


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptd.store.compaction.SLICE_BYTES", 60_000)
    monkeypatch.setattr("ckptd.store.compaction.SLICE_ROWS", 3)
    monkeypatch.setattr("ckptd.store.compaction._PAGE_ROWS", 4)


def test_what_is_alive_lies_in_a_pack_without_anything_dead(open_store: Callable[[], Opened]) -> None:
    made = half(open_store())
    before = made.pack
    done = list(compact(made.store))
    assert done.count("copied") > 2
    assert done.count("moved") > 2
    assert done[-1] == "dropped"
    made.whole()
    (after,) = made.store.reader.pack_rows()
    assert after.name != before.name
    assert after.bytes - 152 == after.live_bytes == before.live_bytes
    assert made.store.chunks.size_bytes(after.name) == after.bytes
    kinds = [
        one.record.kind for one in scan((made.store.directory / after.name).read_bytes()) if isinstance(one, Found)
    ]
    assert (kinds.count(RecordKind.CHUNK), kinds.count(RecordKind.CHECKPOINT)) == (8, 8)


def test_killed_at_any_step_a_store_has_everything_and_goes_on(open_store: Callable[[], Opened]) -> None:
    made = half(open_store())
    whole = list(compact(made.store))
    made.end()
    assert len(whole) > 12
    for stop in range(len(whole)):
        made = half(open_store())
        running = compact(made.store)
        for _ in range(stop + 1):
            next(running)
        made.store = open_store()
        made.whole()
        for orphan in made.store.chunks.orphans(set(made.store.reader.packs().values())):
            made.store.chunks.unlink(orphan)
        list(compact(made.store))
        made.whole()
        assert sum(row.bytes - row.live_bytes for row in made.store.reader.pack_rows()) <= 152 * 2
        made.end()


def test_a_damaged_record_stops_it_and_the_old_pack_stays(open_store: Callable[[], Opened]) -> None:
    made = half(open_store())
    victim = next(iter(made.kept.values()))
    (row,) = made.store.reader.body_chunks(victim.bodies[0])
    path = made.store.directory / made.store.reader.packs()[row.pack]
    raw = bytearray(path.read_bytes())
    raw[row.offset + 300] ^= 1
    path.write_bytes(raw)
    copy = Copy(made.store.chunks, [made.pack])
    with pytest.raises(Damaged) as caught:
        exhaust(lambda: copy.copy(made.store.reader))
    assert caught.value.details == {"pack": path.name, "offset": row.offset}
    copy.abandon()
    copy.abandon()
    assert made.store.chunks.names() == [path.name]


def test_a_copy_that_the_disk_lost_is_found_before_anything_moves(open_store: Callable[[], Opened]) -> None:
    made = half(open_store())
    old = made.pack.name
    copy = Copy(made.store.chunks, [made.pack])
    exhaust(lambda: copy.copy(made.store.reader))
    (new,) = set(made.store.chunks.names()) - {old}
    path = made.store.directory / new
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(Damaged):
        exhaust(copy.verify)
    copy.abandon()
    made.whole()


def test_what_was_saved_and_ended_meanwhile_is_right(open_store: Callable[[], Opened]) -> None:
    made = half(open_store())
    store = made.store
    running = compact(store)
    for step in running:
        if step == "synced":
            gone = next(iter(made.kept))
            refer(store, made.kept.pop(gone), 0)
            store.clean()
            # The same bytes again, at a new place, and others.
            for data in (gone, b"new" * SIZE):
                saved = store.commit(store.prepare(part(data)))
                refer(store, saved, 1)
                made.kept[data] = saved
    made.whole()


def test_a_reader_that_knows_the_old_place_finds_the_new_one(open_store: Callable[[], Opened]) -> None:
    made = half(open_store())
    data, saved = next(iter(made.kept.items()))
    assert made.store.parts.read(made.store.reader, saved, 0, 10) == data[:10]
    list(compact(made.store))
    assert made.store.parts.read(made.store.reader, saved, 10, SIZE) == data[10:]


def test_an_abandoned_copy_does_nothing_more(open_store: Callable[[], Opened]) -> None:
    made = half(open_store())
    copy = Copy(made.store.chunks, [made.pack])
    assert copy.copy(made.store.reader)
    copy.abandon()
    assert (copy.copy(made.store.reader), copy.verify()) == (0, 0)
    assert len(made.store.chunks.names()) == 1
