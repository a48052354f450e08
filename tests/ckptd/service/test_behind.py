"""Saves that are answered in memory: admitted in order, persisted behind the answer, repeated where they were lost."""

import gc
import os
from contextlib import suppress
from typing import Any

import msgpack
import pytest

from ckptclient.errors import BadRequest, Busy, NoSpace, UnknownCheckpoint
from ckptclient.wire import layout, params as p
from ckptd.service.passing import Passing
from tests.ckptd.service.node import Node, Worker

FORM = msgpack.packb({"kind": "array"})
SIZES = (100, (3 << 20) + 17)


def contents(seed: int) -> list[bytes]:
    """Two parts that no other seed has."""
    return [bytes([seed]) * size for size in SIZES]


def lay(node: Node, worker: Worker, seed: int) -> int:
    """Put two parts into a staging buffer, as a client does; the upload's number."""
    plan = tuple(p.PartPlan(name=f"part{n}", form=FORM, size_bytes=size) for n, size in enumerate(SIZES))
    saving = node.inside.services.saving
    opened = saving.open_upload(worker.caller, p.OpenUpload(parts=plan, staging=True))
    begins, _ = layout.begins(SIZES)
    if isinstance(opened, Passing):
        worker.buffers[opened["buffer"]] = opened.descriptors[0]
    for at, data in zip(begins, contents(seed), strict=True):
        os.pwrite(worker.buffers[opened["buffer"]], data, at)
    number = opened["upload"]
    assert isinstance(number, int)
    return number


async def save(node: Node, worker: Worker, token: bytes, seed: int, **more: Any) -> Any:
    request = more.pop("request", None) or worker.next()
    asked = p.Stage(request=request, token=token, upload=lay(node, worker, seed), **more)
    return await node.inside.services.saving.stage(worker.caller, asked)


async def wait(node: Node, worker: Worker, checkpoint_id: str, level: str = "disk") -> Any:
    asked = p.WaitCheckpoint(checkpoint_id=checkpoint_id, level=level)
    return await node.inside.services.saving.wait(worker.caller, asked)


async def stored(node: Node, worker: Worker, checkpoint_id: str) -> list[bytes]:
    """The parts as a client gets them: the large one lent."""
    asked = p.GetCheckpoint(checkpoint_id=checkpoint_id, lend=True)
    found = await node.inside.services.browsing.get(worker.caller, asked)
    assert isinstance(found, Passing)
    (descriptor,) = found.descriptors
    parts: Any = found["parts"]
    data = [part[3] if part[3] is not None else os.pread(descriptor, part[2], 0) for part in parts]
    os.close(descriptor)
    return data[: len(SIZES)]


@pytest.fixture
def worker(node: Node) -> Worker:
    return node.worker()


async def test_the_answer_comes_before_the_disk_and_the_disk_is_told_later(node: Node, worker: Worker) -> None:
    token = (await worker.register())["token"]
    saved = await save(node, worker, token, 1)
    assert (saved["level"], saved["seq"], saved["position"]) == ("memory", 1, 0)
    assert (await wait(node, worker, saved["checkpoint_id"], "memory"))["level"] == "memory"
    assert await worker.list() == [], "nothing half done is visible"
    told = await wait(node, worker, saved["checkpoint_id"])
    assert told == {"level": "disk", "checkpoint_id": saved["checkpoint_id"]}
    assert await stored(node, worker, saved["checkpoint_id"]) == contents(1)


async def test_a_worker_that_is_gone_has_saved_all_the_same(node: Node, worker: Worker) -> None:
    token = (await worker.register())["token"]
    saved = await save(node, worker, token, 2)
    node.inside.services.processes.disconnected(worker.caller)
    node.inside.services.saving.dropped(worker.caller.connection)
    await worker.dies()
    other = node.worker(200)
    await wait(node, other, saved["checkpoint_id"])
    assert await stored(node, other, saved["checkpoint_id"]) == contents(2)
    assert node.inside.services.saving._uploads.staging.size_bytes == 0


async def test_saves_commit_in_the_order_of_their_admission(node: Node, worker: Worker) -> None:
    token = (await worker.register())["token"]
    large = await save(node, worker, token, 3)
    small = await worker.save(token)
    assert (large["seq"], small["seq"]) == (1, 2)
    assert [one["seq"] for one in await worker.list()] == [2, 1]


async def test_a_takeover_waits_for_what_was_acknowledged(node: Node, worker: Worker) -> None:
    token = (await worker.register())["token"]
    saved = await save(node, worker, token, 4)
    taken = await node.worker(200).register(takeover=True)
    assert taken["checkpoint"]["checkpoint_id"] == saved["checkpoint_id"]


async def test_a_buffer_is_warm_for_the_next_save_and_the_first_is_not_spoilt(node: Node, worker: Worker) -> None:
    token = (await worker.register())["token"]
    first = await save(node, worker, token, 5)
    await wait(node, worker, first["checkpoint_id"])
    second = await save(node, worker, token, 6)
    await wait(node, worker, second["checkpoint_id"])
    assert len(worker.buffers) == 1
    assert await stored(node, worker, first["checkpoint_id"]) == contents(5)
    assert await stored(node, worker, second["checkpoint_id"]) == contents(6)


async def test_a_repetition_is_the_checkpoint_that_was_made(node: Node, worker: Worker) -> None:
    token = (await worker.register())["token"]
    saved = await save(node, worker, token, 7, request=1)
    again = await save(node, worker, token, 7, request=1, position=saved["position"])
    told = await wait(node, worker, again["checkpoint_id"])
    assert told["checkpoint_id"] == saved["checkpoint_id"]
    assert [one["seq"] for one in await worker.list()] == [saved["seq"]]


async def test_many_mutations_do_not_make_its_number_too_old(node: Node, worker: Worker) -> None:
    token = (await worker.register())["token"]
    number = worker.next()
    for n in range(100):
        await worker.record(token, n)
    saved = await save(node, worker, token, 8, request=number)
    assert (await wait(node, worker, saved["checkpoint_id"]))["level"] == "disk"


async def test_one_that_a_daemon_took_along_keeps_its_place_in_the_journal(node: Node, worker: Worker) -> None:
    token = (await worker.register(progress=p.Progress(total=9)))["token"]
    await worker.record(token, 0, 1, 2)
    # Admitted here, and lost; what follows was recorded since and is not in its state.
    position = 3
    await worker.record(token, 3, 4, progress=p.Progress(completed=5))
    saved = await save(node, worker, token, 9, position=position, progress=p.Progress(completed=3))
    await wait(node, worker, saved["checkpoint_id"])
    (kept,) = await worker.list()
    assert (saved["position"], kept["journal_position"]) == (position, position)
    assert (await worker.show())["progress"]["completed"] == 5, "the process itself didn't go back"
    restored = await worker.restore(token)
    assert restored["progress"]["completed"] == 3
    assert await worker.done(token) == [0, 1, 2]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"position": 1}, "position 1 is ahead of the journal"),
        ({"token": None, "process_id": "other"}, "only a held process's upload can be staged"),
        ({"upload": None}, "only a held process's upload can be staged"),
    ],
)
async def test_what_can_not_be_answered_in_memory(node: Node, worker: Worker, more: dict[str, Any], why: str) -> None:
    token = (await worker.register())["token"]
    wished = {"request": 1, "token": token, "upload": lay(node, worker, 1), **more}
    with pytest.raises(BadRequest, match=why):
        await node.inside.services.saving.stage(worker.caller, p.Stage(**wished))
    assert await worker.list() == []


async def test_one_that_nobody_has_is_not_waited_for(node: Node, worker: Worker) -> None:
    await worker.register()
    with pytest.raises(UnknownCheckpoint):
        await wait(node, worker, "p_processing_state_1")


async def test_without_room_it_crosses_in_pieces(node: Node, worker: Worker) -> None:
    pool = node.inside.services.saving._uploads.staging
    pool._node_bytes_max = lambda: 0
    plan = (p.PartPlan(name="a", form=FORM, size_bytes=5),)
    opened = node.inside.services.saving.open_upload(worker.caller, p.OpenUpload(parts=plan, staging=True))
    assert opened["buffer"] is None
    assert not isinstance(opened, Passing)


async def test_a_refusal_for_a_moment_leaves_the_upload_where_it_is(node: Node, worker: Worker) -> None:
    token = (await worker.register())["token"]
    (entry,) = node.inside.context.table
    asked = p.Stage(request=worker.next(), token=token, upload=lay(node, worker, 3))
    entry.closing = True
    with pytest.raises(Busy):
        await node.inside.services.saving.stage(worker.caller, asked)
    entry.closing = False
    saved: Any = await node.inside.services.saving.stage(worker.caller, asked)
    await wait(node, worker, saved["checkpoint_id"])
    assert await stored(node, worker, saved["checkpoint_id"]) == contents(3)


async def test_nothing_is_kept_of_a_save_that_is_on_disk_or_that_nobody_can_ask_for(node: Node, worker: Worker) -> None:
    behind = node.inside.services.saving.behind

    async def fails() -> Any:
        raise NoSpace("full")

    token = (await worker.register())["token"]
    for seed in range(3):
        await wait(node, worker, (await save(node, worker, token, seed))["checkpoint_id"])
    assert (behind._outcomes, behind._connections) == ({}, {worker.caller.connection: set()})
    name = (1000, "lost")
    behind.start(worker.caller.connection, name, fails())
    with pytest.raises(NoSpace):
        await behind.outcome(name)
    assert name in behind._outcomes, "it can be asked for again"
    behind.dropped(worker.caller.connection)
    assert behind._outcomes == {}
    behind.start(9, name, fails())
    behind.dropped(9)
    with pytest.raises(NoSpace):
        await behind.outcome(name)
    assert (behind._outcomes, behind._connections) == ({}, {})


async def test_every_descriptor_is_given_back(node: Node, worker: Worker) -> None:
    token = (await worker.register())["token"]
    before = shared_memory()
    for seed in range(4):
        saved = await save(node, worker, token, seed)
        await wait(node, worker, saved["checkpoint_id"])
        assert await stored(node, worker, saved["checkpoint_id"]) == contents(seed)
        node.inside.services.saving.dropped(worker.caller.connection)
        for descriptor in worker.buffers.values():
            os.close(descriptor)
        worker.buffers.clear()
        gc.collect()
        assert shared_memory() == before


def shared_memory() -> int:
    """How many staging buffers and loans this process has open."""
    count = 0
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # listing them needs one itself
            count += os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:ckptd-")
    return count
