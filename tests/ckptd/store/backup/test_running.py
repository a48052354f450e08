"""store.backup.running: what is copied, what isn't again, and what ends a backup or doesn't."""

import asyncio
from pathlib import Path

import pytest

from ckptclient.errors import Busy, Conflict, Damaged, NoSpace, Unavailable
from ckptd.store import backup
from tests.ckptd.service.node import Node
from tests.ckptd.store.backup.backing import LINEAGE, Backing, flip


async def test_what_was_saved_before_comes_back(backing: Backing, tmp_path: Path) -> None:
    made = await backing.back_up()
    assert made.manifest.checkpoints == 3
    assert backing.verify(made.manifest).wrong == []
    assert backing.restore(made.manifest, tmp_path / "restored") == backing.states


async def test_a_second_one_copies_what_is_new_alone(backing: Backing, tmp_path: Path) -> None:
    first = await backing.back_up()
    await backing.save("one")
    second = await backing.back_up()
    packs = second.copied_bytes - second.manifest.catalog_bytes
    assert 60_000 < packs < 70_000
    assert {pack.name for pack in first.manifest.packs} == {pack.name for pack in second.manifest.packs}
    # The pack went on growing: both beginnings of it are whole.
    assert [backing.verify(one.manifest).wrong for one in (first, second)] == [[], []]
    assert backing.restore(second.manifest, tmp_path / "restored") == backing.states


async def test_saves_go_on_while_it_is_copied_and_are_not_in_it(backing: Backing, tmp_path: Path) -> None:
    number = await backing.begin()
    before = dict(backing.states)
    done = asyncio.Event()

    async def saving() -> None:
        while not done.is_set():
            await backing.save("busy", 300_000)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(saving())
        made = await asyncio.to_thread(backing.copy)
        done.set()
    assert await backing.end(number, made)
    found = backing.restore(made.manifest, tmp_path / "restored")
    assert {name: found[name] for name in before} == before


async def test_nothing_that_it_needs_is_unlinked_meanwhile(backing: Backing, tmp_path: Path) -> None:
    number = await backing.begin()
    before = dict(backing.states)
    for one in await backing.worker.list():
        await backing.node.delete(one["checkpoint_id"])
    await backing.node.empty()
    made = backing.copy()  # as of now, when nothing is left alive but in the packs
    packs = set((backing.node.path / "packs").iterdir())
    assert packs
    assert await backing.end(number, made)
    await backing.node.empty()
    assert not set((backing.node.path / "packs").iterdir())
    assert before
    assert backing.restore(made.manifest, tmp_path / "restored") == {}


async def test_a_connection_that_ends_takes_its_hold_along(backing: Backing) -> None:
    number = await backing.begin()
    backing.node.inside.services.backing_up.dropped(backing.operator.caller.connection)
    assert await backing.end(number) is False


async def test_a_pack_that_went_without_the_hold_ends_it_and_damages_nothing(backing: Backing) -> None:
    await backing.begin()
    for pack in (backing.node.path / "packs").iterdir():
        pack.unlink()
    with pytest.raises(Conflict, match="went before it was copied"):
        backing.copy(keeps=lambda: False)
    assert backing.target.listing() == ([], [])


async def test_a_store_that_nobody_has_is_copied_with_its_log(backing: Backing, tmp_path: Path) -> None:
    await backing.node.crash()
    before = {path.name: path.stat().st_mtime_ns for path in backing.node.path.iterdir()}
    made = backing.copy_closed()
    assert {path.name: path.stat().st_mtime_ns for path in backing.node.path.iterdir()} == before
    assert backing.restore(made.manifest, tmp_path / "restored") == backing.states
    await backing.node.start()


async def test_damage_in_the_store_is_named_and_the_rest_is_saved(backing: Backing, tmp_path: Path) -> None:
    pack = max((backing.node.path / "packs").iterdir(), key=lambda path: path.stat().st_size)
    flip(pack, 2_000_000)
    made = await backing.back_up()
    assert [name for name, _ in made.manifest.damaged] == [pack.name]
    found = backing.verify(made.manifest)
    assert (found.wrong, found.known) == ([], 1)
    with pytest.raises(Damaged):
        backing.restore(made.manifest, tmp_path / "restored")
    drilled = backing.drill(made.manifest, tmp_path)
    assert [name for name, _ in drilled.failed] == ["two_processing_state_1"]


async def test_a_pack_that_is_lost_in_the_store_is_damage_too(backing: Backing) -> None:
    for pack in (backing.node.path / "packs").iterdir():
        pack.unlink()
    made = await backing.back_up()
    assert len(made.manifest.damaged) == 4  # a chunk and a note each


async def test_a_beginning_that_rotted_at_the_destination_is_copied_anew(backing: Backing) -> None:
    made = await backing.back_up()
    flip(backing.target.pack(made.manifest.packs[0].name), 1000)
    await backing.save("one")
    again = await backing.back_up()
    assert backing.verify(again.manifest).wrong == []


async def test_one_that_was_cut_short_is_gone_on_with(backing: Backing) -> None:
    await backing.begin()
    seen: list[tuple[int, int]] = []

    def killed(done: int, total: int) -> None:
        seen.append((done, total))
        if done > 1_000_000:
            raise Busy("killed")

    source = backup.Source(backing.node.path, live=True)
    await backing.node.restart()  # the next pack is another one
    backing.worker = backing.node.worker()
    await backing.save("three", 2_000_000)
    number = await backing.begin()
    source = backup.Source(backing.node.path, live=True)
    while True:
        with pytest.raises(Busy):
            backing._run(source, 9, killed)
        break
    left = {path.name: path.stat().st_size for path in (backing.target.path / "packs").glob("*.pack")}
    assert left
    made = backing.copy()
    assert await backing.end(number, made)
    assert backing.verify(made.manifest).wrong == []
    assert len(list((backing.target.path / "catalogs").iterdir())) == 1


@pytest.mark.parametrize("keep", [1, 2])
async def test_the_newest_are_kept_and_what_none_of_them_needs_goes(backing: Backing, keep: int) -> None:
    names = []
    for n in range(3):
        made = await backing.back_up(keep)
        names.append(made.manifest.name)
        for one in await backing.worker.list():
            await backing.node.delete(one["checkpoint_id"])
        await backing.node.empty()
        await backing.node.restart()
        backing.worker = backing.node.worker(pid=200 + n)
        await backing.save(f"p{n}")
    found, _ = backing.target.listing()
    assert [one.name for one in found] == names[::-1][:keep]
    needed = {pack.name for one in found for pack in one.packs}
    assert {path.name for path in (backing.target.path / "packs").glob("*.pack")} == needed
    assert [backing.verify(one).wrong for one in found] == [[]] * keep


async def test_nothing_is_pruned_where_a_manifest_cannot_be_read(backing: Backing) -> None:
    first = await backing.back_up()
    flip(backing.target.path / "manifests" / f"{first.manifest.name}.json", 30)
    second = await backing.back_up(keep=1)
    assert second.pruned == ()
    found, bad = backing.target.listing()
    assert ([one.name for one in found], [one.name for one in bad]) == ([second.manifest.name], [first.manifest.name])


async def test_another_store_is_refused_there(backing: Backing, tmp_path: Path) -> None:
    await backing.back_up()
    other = Backing(await Node(tmp_path / "other").start(), backing.target.path)
    await other.save("one")
    with pytest.raises(Conflict, match="backups of another store"):
        await other.back_up()
    await other.node.stop()


async def test_a_restored_store_goes_on_with_its_old_backups(backing: Backing, tmp_path: Path) -> None:
    made = await backing.back_up()
    backing.restore(made.manifest, tmp_path / "restored")
    other = Backing(await Node(tmp_path / "restored").start(), backing.target.path)
    other._made = 5
    again = await other.back_up()
    assert again.copied_bytes == again.manifest.catalog_bytes
    assert (again.manifest.store, again.manifest.lineage) == (made.manifest.store, LINEAGE.hex())
    await other.node.stop()


async def test_two_at_once_are_one_too_many(backing: Backing) -> None:
    with backing.target.occupied(), pytest.raises(Busy, match="another backup"):
        await backing.back_up()


async def test_a_place_that_is_not_there_is_named_and_not_made(backing: Backing, tmp_path: Path) -> None:
    backing.target = backup.Destination(tmp_path / "not mounted" / "backups")
    with pytest.raises(Unavailable, match="not mounted"):
        await backing.back_up()


async def test_a_full_disk_ends_the_backup_and_not_the_daemon(backing: Backing, small_disk: Path) -> None:
    await backing.save("large", 30_000_000)
    backing.target = backup.Destination(small_disk / "backups")
    with pytest.raises(NoSpace, match="no room at"):
        await backing.back_up()
    assert not backing.node.failures
