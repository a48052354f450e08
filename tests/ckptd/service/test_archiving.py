"""service.archiving: out and back, with one good copy at each moment, whatever fails or dies in between."""

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ckptclient.errors import BadRequest, CkptdError, Conflict, Damaged, NoSpace, Unavailable
from ckptclient.wire import params as p
from ckptd.service.archiving import Archiving
from ckptd.store import archive as store_archive, durable
from ckptd.store.archive import MARK, ArchiveFiles
from tests.ckptd.service.node import Node, Worker

DAY = 24 * 3600.0
FOR_EVER = {"retention.ttl": "0", "retention.completed_ttl": "0"}
SMALL, LARGE = b"small state", os.urandom(3_500_000)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = await Node(tmp_path / "store", {"archive.path": str(tmp_path / "archive"), **FOR_EVER}).start()
    yield made
    await made.stop()
    assert not made.failures


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def archiving(node: Node) -> Archiving:
    return node.inside.services.archiving


async def completed(node: Node, *states: bytes, process_id: str = "p", **more: Any) -> Worker:
    """A process that saved these and is completed."""
    worker = node.worker()
    token = (await worker.register(process_id))["token"]
    for state in states:
        await worker.save(token, state, **more)
    await worker.end(token)
    return worker


async def listed(worker: Worker, **wanted: Any) -> dict[int, str]:
    """Number to status."""
    return {one["seq"]: one["status"] for one in await worker.list(**wanted)}


async def loaded(node: Node, worker: Worker, seq: int) -> bytes:
    """What a worker is given."""
    browsing = node.inside.services.browsing
    name = f"p@{seq}"
    info: Mapping[str, Any] = await browsing.get(worker.caller, p.GetCheckpoint(checkpoint_id=name, data=False))
    size = info["parts"][0][2]
    pieces = [
        (await browsing.read(worker.caller, p.ReadPart(checkpoint_id=name, part=0, offset=at, length=512 << 10)))[
            "data"
        ]
        for at in range(0, size, 512 << 10)
    ]
    return b"".join(pieces)  # type: ignore[arg-type]


async def asked(node: Node, worker: Worker, act: str, seq: int) -> Mapping[str, object]:
    request = p.MutateCheckpoint(request=worker.next(), checkpoint_id=f"p@{seq}")
    return await getattr(archiving(node), act)(worker.caller, request)  # type: ignore[no-any-return]


def kept(files: Path) -> list[Path]:
    return sorted(path for path in files.rglob("*") if path.is_file() and path.name != MARK)


async def test_what_is_old_moves_stays_listed_and_is_given_as_before(node: Node, files: Path) -> None:
    worker = await completed(node, SMALL, LARGE)
    await archiving(node).run()
    assert await listed(worker) == {1: "completed", 2: "completed"}
    node.clock.tick(31 * DAY)
    await archiving(node).run()
    assert await listed(worker) == {1: "archived", 2: "archived"}
    assert len(kept(files)) == 2
    assert [await loaded(node, worker, seq) for seq in (1, 2)] == [SMALL, LARGE]
    await node.empty()
    assert list((node.path / "packs").iterdir()) == []
    assert [await loaded(node, worker, seq) for seq in (1, 2)] == [SMALL, LARGE]
    await node.restart()
    assert await loaded(node, node.worker(), 2) == LARGE


async def test_it_comes_back_on_request_and_stays(node: Node, files: Path) -> None:
    worker = await completed(node, SMALL, LARGE)
    node.clock.tick(31 * DAY)
    await archiving(node).run()
    await node.empty()
    for seq in (1, 2):
        assert await asked(node, worker, "unarchive", seq) == {
            "archived": False,
            "checkpoint_id": f"p_processing_state_{seq}",
        }
    assert kept(files) == []
    assert await listed(worker) == {1: "completed", 2: "completed"}
    await archiving(node).run()
    await node.empty()
    assert [await loaded(node, worker, seq) for seq in (1, 2)] == [SMALL, LARGE]
    assert await listed(worker) == {1: "completed", 2: "completed"}
    assert (await asked(node, worker, "archive", 2))["archived"]
    assert (await asked(node, worker, "archive", 2))["archived"]
    assert await listed(worker) == {1: "completed", 2: "archived"}


async def test_what_somebody_may_go_on_with_or_pinned_stays_at_hand(node: Node, files: Path) -> None:
    worker = node.worker()
    token = (await worker.register("q"))["token"]
    await worker.save(token, LARGE)
    other = await completed(node, SMALL)
    pin = p.MutateCheckpoint(request=other.next(), checkpoint_id="p@1")
    await node.inside.services.browsing.pin(other.caller, pin)
    node.clock.tick(31 * DAY)
    await archiving(node).run()
    assert kept(files) == []
    with pytest.raises(Conflict, match="is running"):
        await archiving(node).archive(worker.caller, p.MutateCheckpoint(request=worker.next(), checkpoint_id="q@1"))


async def test_deletion_takes_the_file_along_and_revival_finds_it(node: Node, files: Path) -> None:
    worker = await completed(node, LARGE, LARGE[::-1])
    node.clock.tick(31 * DAY)
    await archiving(node).run()
    await node.delete("p@1")
    assert await listed(worker, trash=True) == {1: "expired"}
    revive = p.MutateCheckpoint(request=worker.next(), checkpoint_id="p@1")
    await node.inside.services.browsing.revive(worker.caller, revive)
    assert await listed(worker) == {1: "archived", 2: "archived"}
    assert await loaded(node, worker, 1) == LARGE
    await node.delete("p@1")
    await node.empty()
    assert len(kept(files)) == 2  # the row went, the file is left over
    await archiving(node).run()
    assert len(kept(files)) == 1
    assert await loaded(node, worker, 2) == LARGE[::-1]


async def test_an_archived_checkpoint_ends_with_its_time(node: Node, files: Path) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.save(token, LARGE, ttl_seconds=40 * DAY)
    await worker.end(token)
    node.clock.tick(31 * DAY)
    await archiving(node).run()
    assert await listed(worker) == {1: "archived"}
    node.clock.tick(10 * DAY)
    await archiving(node).run()
    assert await listed(worker, trash=True) == {1: "expired"}
    await node.empty()
    await archiving(node).run()
    assert kept(files) == []


async def test_counts_and_bytes_follow(node: Node) -> None:
    worker = await completed(node, SMALL, LARGE)
    maintenance, space = node.inside.services.maintenance, node.inside.space

    async def counts() -> Mapping[str, Any]:
        found: Any = (await maintenance.stats(worker.caller, p.Nothing()))["status_counts"]
        return {name: number for name, number in found.items() if number}

    node.clock.tick(31 * DAY)
    assert await counts() == {"completed": 2}
    await archiving(node).run()
    assert await counts() == {"archived": 2}
    await node.empty()
    assert space.used_bytes == 0
    await asked(node, worker, "unarchive", 1)
    assert await counts() == {"completed": 1, "archived": 1}
    await node.delete("p@2")
    assert await counts() == {"completed": 1, "expired": 1}


# What fails or dies


class Died(BaseException):
    """The daemon is killed here."""


STEPS = ["begin", "directory", "write", "publish", "read back", "row", "after"]


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_leaves_one_good_copy_and_nothing_for_ever(
    node: Node, files: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await completed(node, LARGE)
    node.clock.tick(31 * DAY)
    await archiving(node)._ready()
    with monkeypatch.context() as patch:
        _dies_at(step, patch)
        with pytest.raises(Died):
            await archiving(node)._move(archiving(node)._files, (await _rows(node))[0])  # type: ignore[arg-type]
    await node.restart()
    worker = node.worker()
    assert await loaded(node, worker, 1) == LARGE
    await archiving(node).run()
    assert await listed(worker) == {1: "archived"}
    await node.empty()
    assert await loaded(node, worker, 1) == LARGE
    assert len(kept(files)) == 1


async def _rows(node: Node) -> list[Any]:
    now = node.clock.now()
    return list(await node.inside.context.backend.read(lambda reader: reader.archivable(now, 0, 9)))


def _dies_at(step: str, patch: pytest.MonkeyPatch) -> None:
    def died(*_: object, **__: object) -> None:
        raise Died

    match step:
        case "begin":
            patch.setattr(ArchiveFiles, "write", died)
        case "directory":
            patch.setattr(durable, "make_directory", died)
        case "write":
            patch.setattr(store_archive, "write_export", _half_written)
        case "publish":
            patch.setattr(os, "replace", died)
        case "read back":
            patch.setattr(store_archive, "read_export", died)
        case "row":
            patch.setattr("ckptd.store.catalog.sqlite.writer.SqliteCatalog.archived", died)
        case "after":
            patch.setattr(Archiving, "_happened", died)
        case _:
            raise AssertionError(step)


def _half_written(out: Any, *_: object) -> None:
    out.write(b"half")
    out.flush()
    raise Died


@pytest.mark.parametrize("step", ["read", "row", "file"])
async def test_a_crash_on_the_way_back_leaves_one_good_copy(
    node: Node, files: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await completed(node, LARGE)
    node.clock.tick(31 * DAY)
    await archiving(node).run()
    await node.empty()

    def died(*_: object, **__: object) -> None:
        raise Died

    what = {
        "read": (ArchiveFiles, "read"),
        "row": (type(node.inside._catalog), "unarchived"),
        "file": (ArchiveFiles, "remove"),
    }[step]
    with monkeypatch.context() as patch:
        patch.setattr(*what, died)
        with pytest.raises(Died):
            await asked(node, worker, "unarchive", 1)
    await node.restart()
    worker = node.worker()
    assert await loaded(node, worker, 1) == LARGE
    await asked(node, worker, "unarchive", 1)
    await archiving(node).run()
    await node.empty()
    assert await loaded(node, worker, 1) == LARGE
    assert (await listed(worker), kept(files)) == ({1: "completed"}, [])


def _unmount(files: Path, disk: Path) -> None:
    files.rename(disk)


def _make(files: Path) -> None:
    files.mkdir()


def _mount(files: Path, disk: Path) -> None:
    files.rmdir()  # which must be empty
    disk.rename(files)


async def test_an_archive_that_is_away_is_named_and_nothing_is_lost(node: Node, files: Path, tmp_path: Path) -> None:
    worker = await completed(node, LARGE, LARGE[::-1])
    node.clock.tick(31 * DAY)
    await archiving(node).run()
    await node.delete("p@1")
    await node.empty()
    await node.restart()
    worker = node.worker()
    _unmount(files, tmp_path / "disk")
    for there in (False, True):  # not there at all, and an empty mount point
        if there:
            _make(files)
        with pytest.raises(Unavailable, match=str(files)):
            await loaded(node, worker, 2)
        with pytest.raises(Unavailable, match=str(files)):
            await archiving(node).run()
        with pytest.raises(Unavailable):
            await asked(node, worker, "unarchive", 2)
    assert kept(files) == []
    _mount(files, tmp_path / "disk")
    assert await loaded(node, worker, 2) == LARGE[::-1]
    await archiving(node).run()
    assert len(kept(files)) == 1  # the deletion that waited


async def test_damage_in_the_file_is_never_served(node: Node, files: Path) -> None:
    worker = await completed(node, LARGE)
    node.clock.tick(31 * DAY)
    await archiving(node).run()
    (path,) = kept(files)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    await node.restart()
    worker = node.worker()
    with pytest.raises(Damaged, match="damaged"):
        await loaded(node, worker, 1)
    with pytest.raises(Damaged):
        await asked(node, worker, "unarchive", 1)
    assert await listed(worker) == {1: "archived"}
    path.unlink()
    await node.restart()
    with pytest.raises(Damaged, match="gone"):
        await loaded(node, node.worker(), 1)


async def test_damage_in_the_store_isnt_archived_and_the_others_are(node: Node, files: Path) -> None:
    worker = await completed(node, LARGE, SMALL)
    (pack,) = (node.path / "packs").iterdir()
    raw = bytearray(pack.read_bytes())
    raw[2_000_000] ^= 1
    pack.write_bytes(raw)
    node.clock.tick(31 * DAY)
    await archiving(node).run()
    assert await listed(worker) == {1: "completed", 2: "archived"}
    await archiving(node).run()
    assert len(kept(files)) == 1


async def test_a_full_archive_moves_nothing(tmp_path: Path, small_disk: Path) -> None:
    node = await Node(tmp_path / "store", {"archive.path": str(small_disk / "archive")}).start()
    worker = await completed(node, os.urandom(30_000_000))
    with pytest.raises(NoSpace, match="no room at"):
        await asked(node, worker, "archive", 1)
    assert await listed(worker) == {1: "completed"}
    await archiving(node).run()
    assert kept(small_disk / "archive") == []
    assert not node.failures
    await node.stop()


async def test_without_a_path_nothing_moves_and_it_says_how(tmp_path: Path) -> None:
    node = await Node(tmp_path / "store").start()
    worker = await completed(node, SMALL)
    await archiving(node).run()
    with pytest.raises(BadRequest, match="no archive is configured"):
        await asked(node, worker, "archive", 1)
    await node.stop()


async def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/mine").write_text("mine")
    node = await Node(tmp_path / "store", {"archive.path": str(tmp_path / "archive")}).start()
    worker = await completed(node, SMALL)
    with pytest.raises(CkptdError, match="no archive"):
        await asked(node, worker, "archive", 1)
    other = ArchiveFiles(tmp_path / "other", b"another store's key")
    other.begin()
    with pytest.raises(Unavailable, match="another store"):
        ArchiveFiles(tmp_path / "other", b"key").require()
    await node.stop()
