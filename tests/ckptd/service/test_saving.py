"""service.saving and .uploads: what a save may be, and what is refused."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ckptclient.errors import BadRequest, Busy, Conflict, Fenced, Held, NoSpace, NotFound
from ckptclient.wire import params as p
from ckptd.service.uploads import UPLOADS_MAX, Upload
from tests.ckptd.service.node import Node, Worker


async def _load(node: Node, worker: Worker, checkpoint_id: str) -> Mapping[str, Any]:
    return await node.inside.services.browsing.get(worker.caller, p.GetCheckpoint(checkpoint_id=checkpoint_id))


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 65_536, 900_000])
async def test_what_was_saved_comes_back(node: Node, size: int) -> None:
    worker, data = node.worker(), os.urandom(size)
    token = (await worker.register())["token"]
    saved = await worker.save(token, data, tags=("b", "a"), description="two\nlines", metadata=b"m")
    found = await _load(node, worker, saved["checkpoint_id"])
    whole = b"".join(
        [found["parts"][0][3]] if found["parts"][0][3] is not None else [await _pieces(node, worker, saved)]
    )
    assert whole == data
    assert (found["tags"], found["description"], found["metadata"]) == (["a", "b"], "two\nlines", b"m")
    assert found["status"] == "active"


async def _pieces(node: Node, worker: Worker, saved: Mapping[str, Any]) -> bytes:
    read, data = node.inside.services.browsing.read, b""
    while True:
        asked = p.ReadPart(checkpoint_id=saved["checkpoint_id"], part=0, offset=len(data), length=100_000)
        piece = (await read(worker.caller, asked))["data"]
        assert isinstance(piece, bytes)
        if not piece:
            return data
        data += piece


async def test_identical_content_is_stored_once(node: Node) -> None:
    worker, data = node.worker(), os.urandom(200_000)
    token = (await worker.register())["token"]
    first = await worker.save(token, data)
    second = await worker.save(token, data)
    shown = {one["checkpoint_id"]: one for one in await worker.list()}
    assert shown[first["checkpoint_id"]]["stored_bytes"] >= 200_000
    assert shown[second["checkpoint_id"]]["stored_bytes"] < 1_000


async def test_saves_of_one_process_keep_their_order_whatever_their_size(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    sizes = [300_000, 10, 500_000, 10, 10, 40_000, 10]
    requests = [worker.next() for _ in sizes]
    saves = [worker.save(token, os.urandom(size), request=n) for size, n in zip(sizes, requests, strict=True)]
    saved = await asyncio.gather(*saves)
    assert [one["seq"] for one in saved] == list(range(1, len(sizes) + 1))
    assert [one["seq"] for one in await worker.list()] == list(range(len(sizes), 0, -1))


async def test_an_upload_in_pieces_of_any_order(node: Node) -> None:
    worker, data = node.worker(), os.urandom(3_000_000)
    token = (await worker.register())["token"]
    saving = node.inside.services.saving
    plan = (p.PartPlan(name="state", form=b"\x80", size_bytes=len(data)),)
    upload = saving.open_upload(worker.caller, p.OpenUpload(parts=plan))["upload"]
    assert isinstance(upload, int)
    for offset in sorted(range(0, len(data), 700_000), reverse=True):
        piece = p.WritePart(upload=upload, part=0, offset=offset, data=data[offset : offset + 700_000])
        await saving.write_part(worker.caller, piece)
    saved = await saving.save(worker.caller, p.Save(request=worker.next(), token=token, upload=upload))
    assert await _pieces(node, worker, saved) == data
    with pytest.raises(NotFound, match="no upload"):
        saving.close_upload(worker.caller, p.CloseUpload(upload=upload))


async def test_uploads_are_bounded_and_end_with_their_connection(node: Node) -> None:
    worker = node.worker()
    saving = node.inside.services.saving
    plan = p.OpenUpload(parts=(p.PartPlan(name="state", form=b"\x80", size_bytes=10),))
    last: Any = [saving.open_upload(worker.caller, plan)["upload"] for _ in range(UPLOADS_MAX)][-1]
    with pytest.raises(Busy):
        saving.open_upload(worker.caller, plan)
    for piece in (
        p.WritePart(upload=last, part=0, offset=5, data=b"123456"),
        p.WritePart(upload=last, part=1, offset=0, data=b"1"),
    ):
        with pytest.raises(BadRequest):
            await saving.write_part(worker.caller, piece)
    saving.dropped(worker.caller.connection)
    names = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if entry.is_symlink()]
    assert not [name for name in names if "spool" in name]


@pytest.mark.parametrize(
    ("pieces", "left"),
    [
        ([(0, 5), (5, 10)], [(0, 10)]),
        ([(5, 10), (0, 5)], [(0, 10)]),
        ([(0, 2), (4, 6), (8, 10)], [(0, 2), (4, 6), (8, 10)]),
        ([(0, 2), (4, 6), (8, 10), (1, 9)], [(0, 10)]),
        ([(3, 4), (3, 4), (2, 3)], [(2, 4)]),
    ],
)
def test_an_upload_knows_what_has_come(pieces: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    upload = Upload(-1, (), (), 10)
    for begin, end in pieces:
        upload.cover(begin, end)
    assert upload.written == left


async def test_an_upload_with_holes_is_refused(node: Node) -> None:
    worker = node.worker()
    saving = node.inside.services.saving
    token = (await worker.register())["token"]
    plan = (p.PartPlan(name="state", form=b"\x80", size_bytes=10),)
    upload: Any = saving.open_upload(worker.caller, p.OpenUpload(parts=plan))["upload"]
    await saving.write_part(worker.caller, p.WritePart(upload=upload, part=0, offset=2, data=b"12345678"))
    with pytest.raises(BadRequest, match="only 8 of the upload's 10 bytes"):
        await saving.save(worker.caller, p.Save(request=worker.next(), token=token, upload=upload))


async def test_the_name_of_the_daemon_s_own_part_is_refused(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    parts = (p.PartData(name="progress", form=b"\x80", data=b""),)
    with pytest.raises(BadRequest, match="can't be named"):
        await node.inside.services.saving.save(worker.caller, p.Save(request=worker.next(), token=token, parts=parts))


async def test_an_id_that_the_caller_chose_moves(node: Node) -> None:
    worker = node.worker()
    first = await worker.save(None, b"one", process_id="p", alias="mine")
    second = await worker.save(None, b"two", process_id="p", alias="mine")
    assert first["checkpoint_id"] == second["checkpoint_id"] == "mine"
    assert (await _load(node, worker, "mine"))["parts"][0][3] == b"two"
    assert len(await worker.list()) == 1
    assert len(await worker.list(trash=True)) == 1


async def test_without_registration_a_checkpoint_makes_an_ownerless_process(node: Node) -> None:
    worker = node.worker()
    saved = await worker.save(None, process_id="p", task_id="t")
    assert saved["checkpoint_id"] == "p_processing_state_1"
    shown = await worker.show()
    assert (shown["state"], shown["epoch"], shown["holder"]) == ("registered", 0, None)
    other = node.worker(200)
    await worker.register()
    assert (await worker.save(None, process_id="p"))["seq"] == 2  # its own session may
    with pytest.raises(Held):
        await other.save(None, process_id="p")


async def test_an_expected_head_is_a_compare_and_set(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    first = await worker.save(token)
    second = await worker.save(token, expected_head=first["checkpoint_id"])
    with pytest.raises(Conflict, match="another checkpoint"):
        await worker.save(token, expected_head=first["checkpoint_id"])
    assert (await worker.list())[0]["checkpoint_id"] == second["checkpoint_id"]


async def test_dependencies_are_kept_and_must_exist(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    base = await worker.save(token)
    await worker.save(token, depends=(base["checkpoint_id"],))
    assert (await worker.list())[0]["depends"] == [base["checkpoint_id"]]
    with pytest.raises(NotFound):
        await worker.save(token, depends=("p_custom_99",))


async def test_the_end_and_its_checkpoint_are_one_mutation(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    first = await worker.save(token)
    last = await worker.save(token, ends="completed")
    assert (await worker.show())["state"] == "completed"
    assert {one["status"] for one in await worker.list()} == {"completed"}
    assert last["expires_at"] - last["created_at"] == 168 * 3600 * 1_000_000
    assert first["expires_at"] - first["created_at"] == 24 * 3600 * 1_000_000


async def test_at_the_limit_a_save_is_refused_and_says_what_is_missing(tmp_path: Path) -> None:
    node = await Node(tmp_path / "store", {"store.limit": "1 MB"}).start()
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.save(token, os.urandom(700_000))
    with pytest.raises(NoSpace, match="are missing") as refusal:
        await worker.save(token, os.urandom(700_000))
    assert refusal.value.details["missing_bytes"] > 300_000  # type: ignore[operator]
    assert len(await worker.list()) == 1  # reads go on, and deletes
    [only] = await worker.list()
    asked = p.MutateCheckpoint(request=worker.next(), checkpoint_id=only["checkpoint_id"])
    assert await node.inside.services.browsing.delete(worker.caller, asked) == {"deleted": True}
    await node.stop()


async def test_a_payload_of_a_fenced_worker_leaves_nothing(node: Node) -> None:
    first, second = node.worker(100), node.worker(200)
    token = (await first.register())["token"]
    await second.register(takeover=True)
    with pytest.raises(Fenced):
        await first.save(token, os.urandom(300_000))
    assert await second.list() == []
