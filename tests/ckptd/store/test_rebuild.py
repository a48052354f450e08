"""A catalog is lost: what lies in packs comes back, in a new lineage, and what doesn't is said."""

import asyncio
import shutil
from pathlib import Path

import pytest

from ckptclient.errors import Conflict, Damaged
from ckptd.compose import open_offline, rebuild_catalog
from ckptd.service.restoring import opened
from ckptd.store import chunk_key
from ckptd.store.catalog.interface import Audit, Filter
from ckptd.store.offline import Offline
from ckptd.store.rebuild import Rebuilt
from tests.ckptd.service.node import Node
from tests.ckptd.store.saving import NOW
from tests.ckptd.store.verify.planting import change, filled, pack_of, records_of, verified

IDS = ["docs_custom_3", "docs_custom_2", "docs_custom_1", "array_custom_2", "array_custom_1"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "store"
    asyncio.run(filled(path))
    return path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "store"))


def lose_catalog(store: Path) -> None:
    for one in store.glob("catalog.db*"):
        one.unlink()


def rebuilt(store: Path) -> tuple[Path, Rebuilt]:
    into = store.with_name("new")
    return into, rebuild_catalog(store, into, NOW, lambda _: None)


def states(store: Offline) -> dict[str, bytes]:
    """The plain bytes of each checkpoint that lies in packs."""
    found = {}
    for row in store.reader.checkpoints(Filter()):
        its = opened(row, store.reader.content(row.key))
        if its.inline is None:
            found[row.checkpoint_id] = b"".join(
                piece for part in its.parts for piece in store.parts.pieces(store.reader, part)
            )
    return found


def test_everything_in_packs_comes_back_whole(store: Path) -> None:
    with open_offline(store) as before:
        wanted, lineage, key = states(before), before.catalog.lineage, before.catalog.chunk_key
    lose_catalog(store)
    into, made = rebuilt(store)
    assert (made.packs, made.chunks, made.checkpoints, made.lost) == (1, 8, 5, [])
    with open_offline(into) as after:
        assert states(after) == wanted
        assert (after.catalog.lineage == lineage, after.catalog.chunk_key == key) == (False, True)
        rows = after.reader.checkpoints(Filter())
        assert sorted(row.checkpoint_id for row in rows) == sorted(IDS)
        tags = after.reader.tags([row.key for row in rows])
        assert [tuple(some) for some in tags.values()] == [("maybe-deleted",)] * 5
        assert {row.expires_at for row in rows} == {None}
        assert after.reader.audit() == Audit()
        assert verified(after) == []


async def test_a_worker_goes_on_from_what_was_rebuilt(store: Path) -> None:
    lose_catalog(store)
    into, _ = await asyncio.to_thread(rebuilt, store)
    node = await Node(into).start()
    worker = node.worker()
    registered = await worker.register("docs")
    assert registered["checkpoint"]["checkpoint_id"] == "docs_custom_3"
    found = await worker.restore(registered["token"])
    assert found["found"]
    assert (await worker.save(registered["token"], b"next", type="custom"))["checkpoint_id"] == "docs_custom_4"
    await node.inside.services.maintenance.clean()
    assert len(await worker.list(process_id="docs")) == 4, "a cleanup takes nothing of it"
    await node.stop()


def test_what_is_damaged_is_left_out_and_named(store: Path) -> None:
    lose_catalog(store)
    chunks = records_of(pack_of(store))

    def spoil(data: bytearray) -> None:
        data[chunks[2].end - 1] ^= 1
        data[chunks[5].offset] ^= 1

    change(pack_of(store), spoil)
    into, made = rebuilt(store)
    assert (made.chunks, made.checkpoints) == (5, 2)
    pack = pack_of(store).name
    assert [(one.what, one.why) for one in made.lost] == [
        (f"{pack} at {chunks[2].offset}", "the record's bytes aren't those that were written"),
        (f"{pack} at {chunks[5].offset}", f"{chunks[5].end - chunks[5].offset} bytes are no record"),
        ("array@1", "1 of 3 chunks of part state aren't there, or not whole"),
        ("docs@2", "1 of 1 chunks of part state aren't there, or not whole"),
        ("docs@3", "1 of 1 chunks of part state aren't there, or not whole"),
    ]
    with open_offline(into) as after:
        assert sorted(states(after)) == ["array_custom_2", "docs_custom_1"]


def test_the_key_is_found_beside_the_catalog_or_in_it_and_a_wrong_one_is_refused(store: Path) -> None:
    key = store / chunk_key.NAME
    key.unlink()
    into, made = rebuilt(store)
    assert made.checkpoints == 5, "a catalog that can be read has it too"
    shutil.rmtree(into)
    key.write_text("00" * 32)
    with pytest.raises(Damaged, match="isn't that of these packs"):
        rebuilt(store)
    shutil.rmtree(into)
    key.unlink()
    lose_catalog(store)
    with pytest.raises(Damaged, match="the key of chunk ids is lost"):
        rebuilt(store)


def test_nothing_is_written_over(store: Path) -> None:
    with pytest.raises(Conflict, match="there is something"):
        rebuild_catalog(store, store, NOW, lambda _: None)


def test_the_packs_of_the_old_store_stay_as_they_are(store: Path) -> None:
    lose_catalog(store)
    before = pack_of(store).read_bytes()
    into, _ = rebuilt(store)
    assert pack_of(store).read_bytes() == before == pack_of(into).read_bytes()
