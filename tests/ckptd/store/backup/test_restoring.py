"""store.backup.restoring and .drill: a store of a backup, whole or not at all."""

import shutil
from pathlib import Path

import pytest

from ckptclient.errors import Conflict, Damaged, Fenced, NotFound
from ckptd.compose import open_offline
from ckptd.core.process_table import State
from ckptd.errors import StartRefused
from ckptd.store import durable
from tests.ckptd.service.node import Node
from tests.ckptd.store.backup.backing import LINEAGE, Backing, flip, states


async def test_tokens_of_the_old_lineage_are_refused(backing: Backing, tmp_path: Path) -> None:
    old = await backing.worker.register("running")
    await backing.worker.save(old["token"], b"state")
    made = await backing.back_up()
    backing.restore(made.manifest, tmp_path / "restored")
    node = await Node(tmp_path / "restored").start()
    worker = node.worker(pid=300)
    assert (await worker.show("running"))["state"] == "interrupted"
    with pytest.raises(Fenced):
        await worker.save(old["token"], b"later")
    again = await worker.register("running")
    assert again["resumed"]
    await worker.save(again["token"], b"goes on")
    await node.stop()


async def test_a_directory_that_is_not_empty_is_left_as_it_is(backing: Backing, tmp_path: Path) -> None:
    made = await backing.back_up()
    (tmp_path / "restored").mkdir()
    (tmp_path / "restored/mine").write_text("mine")
    with pytest.raises(Conflict, match="isn't empty: mine"):
        backing.restore(made.manifest, tmp_path / "restored")
    assert (tmp_path / "restored/mine").read_text() == "mine"
    assert not (tmp_path / "restored/lock").exists()


async def test_half_a_store_is_none_and_is_gone_on_with(
    backing: Backing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await backing.back_up()
    await backing.save("one")
    other = await backing.back_up()
    restored = tmp_path / "restored"

    def killed(draft: Path, path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(durable, "place", killed)
        with pytest.raises(KeyboardInterrupt):
            backing.restore(made.manifest, restored)
    with pytest.raises(StartRefused, match="half restored"):
        await Node(restored).start()
    with pytest.raises(Conflict, match=made.manifest.name):
        backing.restore(other.manifest, restored)
    (some, *_) = (restored / "packs").iterdir()
    flip(some, 5000)  # an earlier attempt is not believed
    backing.restore(made.manifest, restored)
    assert states(restored).keys() == backing.states.keys()


@pytest.mark.parametrize("what", ["pack", "catalog"])
async def test_a_damaged_backup_makes_no_store(backing: Backing, tmp_path: Path, what: str) -> None:
    made = await backing.back_up()
    name = made.manifest.name
    path = backing.target.catalog(name) if what == "catalog" else backing.target.pack(made.manifest.packs[0].name)
    flip(path, 3000)
    assert [what in line for line in backing.verify(made.manifest).wrong].count(True) >= 1
    with pytest.raises(Damaged, match="SHA-256"):
        backing.restore(made.manifest, tmp_path / "restored")
    assert not (tmp_path / "restored/catalog.db").exists()
    path.unlink()
    assert "gone" in backing.verify(made.manifest, deep=False).wrong[0]
    with pytest.raises(Damaged, match="gone"):
        backing.restore(made.manifest, tmp_path / "other")


async def test_a_drill_reads_the_newest_of_every_process_and_leaves_nothing(backing: Backing, tmp_path: Path) -> None:
    made = await backing.back_up()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = backing.drill(made.manifest, scratch)
    assert (found.processes, found.checkpoints, found.failed) == (3, 3, [])
    assert found.plain_bytes == sum(map(len, backing.states.values()))
    assert list(scratch.iterdir()) == []


async def test_a_drill_names_what_a_quick_look_does_not_see(backing: Backing, tmp_path: Path) -> None:
    made = await backing.back_up()
    largest = max(made.manifest.packs, key=lambda pack: pack.bytes)
    flip(backing.target.pack(largest.name), 2_000_000)
    assert backing.verify(made.manifest, deep=False).wrong == []
    assert len(backing.verify(made.manifest).wrong) == 2
    assert [name for name, _ in backing.drill(made.manifest, tmp_path).failed] == ["two_processing_state_1"]


async def test_a_backup_is_named_by_a_beginning_that_is_its_alone(backing: Backing) -> None:
    made, other = await backing.back_up(), await backing.back_up()
    assert backing.target.backup(None).name == other.manifest.name
    assert backing.target.backup(made.manifest.name).name == made.manifest.name
    for wrong in ("2099", made.manifest.name[:8]):
        with pytest.raises(NotFound, match="begin with"):
            backing.target.backup(wrong)


async def test_nobody_holds_a_process_of_a_restored_store(backing: Backing, tmp_path: Path) -> None:
    await backing.worker.register("running")
    number = await backing.begin()
    made = backing.copy()
    backing.restore(made.manifest, tmp_path / "restored")
    assert await backing.end(number, made)
    with open_offline(tmp_path / "restored") as store:
        row = store.reader.process(backing.worker.caller.uid, "running")
        assert row is not None
        assert (row.state, row.holder) == (State.INTERRUPTED, None)
        assert store.reader.setting("lineage") == LINEAGE
        assert store.reader.backups(9) == []


async def test_a_manifest_is_read_with_nothing_of_ours(backing: Backing) -> None:
    made = await backing.back_up()
    shutil.rmtree(backing.target.path / "packs")
    assert backing.target.backup(None) == made.manifest
