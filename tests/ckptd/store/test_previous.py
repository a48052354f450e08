"""What a process saved last under a name: found by the newest checkpoints, and never a reason for a save to fail."""

from ckptd.core.change import Change
from ckptd.core.ids import CheckpointKey
from ckptd.store.catalog.memory import MemoryCatalog
from ckptd.store.previous import Previous
from tests.ckptd.store.catalog.changes import CHUNK_KEY, LINEAGE, NOW, UID, save
from tests.ckptd.store.saving import DOCUMENT, part
from tests.ckptd.store.versions import PROCESS, Versions


def saved(*states: bytes) -> Versions:
    store = Versions(MemoryCatalog(LINEAGE, CHUNK_KEY, NOW))
    for state in states:
        store.save(part(state, DOCUMENT, "state"))
    return store


def sizes(store: Versions, name: str = "state") -> list[int]:
    return [row.plain_bytes for row in Previous(PROCESS).chunks(store.reader, name)]


def test_the_newest_counts() -> None:
    store = saved(bytes(100), bytes(200))
    assert (sizes(store), sizes(store, "another")) == ([200], [])
    store.catalog.apply([Change(NOW, UID, to_trash=(CheckpointKey(2),))])
    assert sizes(store) == [100], "the trash doesn't"


def test_who_is_nobodys_has_nothing_before_it() -> None:
    store = saved(bytes(100))
    assert Previous(None).chunks(store.reader, "state") == ()


def test_a_part_of_the_newest_wins_over_one_of_the_newest_state() -> None:
    store = saved(bytes(100))
    store.commit(
        store.prepare(part(bytes(300), DOCUMENT, "other"), part(bytes(50), DOCUMENT, "state")), has_state=False
    )
    assert (sizes(store), sizes(store, "other")) == ([50], [300])


def test_a_manifest_that_can_not_be_read_is_looked_past() -> None:
    store = saved(bytes(100))
    store.catalog.apply([save(1, 2, small=b"x", manifest=b"garbage", has_state=False)])
    assert sizes(store) == [100]


def test_an_inline_checkpoint_has_no_chunks_to_stand_on() -> None:
    store = saved(bytes(100))
    store.catalog.apply([save(1, 2, small=b"x" * 100, manifest=store_manifest(store))])
    assert sizes(store) == []


def store_manifest(store: Versions) -> bytes:
    return store.reader.content(CheckpointKey(1)).manifest
