"""service.maintenance and .events: what goes, what stays, and what is told."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ckptclient.errors import NoSpace, NotFound
from ckptclient.wire import params as p
from ckptd.service.caller import Role
from tests.ckptd.service.node import Node, Worker

HOUR = 3600.0


async def _clean(node: Node) -> Mapping[str, object]:
    return await node.inside.services.maintenance.clean()


async def test_what_is_due_goes_to_the_trash_and_then_for_good(node: Node) -> None:
    worker = node.worker()
    for n in range(3):
        await worker.save(None, os.urandom(100_000), process_id=f"p{n}", ttl_seconds=HOUR)
    await worker.save(None, process_id="stays", ttl_seconds=10 * HOUR)
    node.clock.tick(HOUR + 1)
    assert (await _clean(node))["expired"] == 3
    assert len(await worker.list()) == 1
    assert len(await worker.list(trash=True)) == 3
    assert list((node.path / "packs").iterdir())
    node.clock.tick(25 * HOUR)
    cleaned = await _clean(node)
    assert (cleaned["purged"], cleaned["expired"]) == (3, 1)
    assert list((node.path / "packs").iterdir()) == []
    assert cleaned["freed_bytes"] >= 300_000  # type: ignore[operator]


async def test_the_newest_restorable_of_an_unfinished_process_never_expires(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    for _ in range(3):
        await worker.save(token, ttl_seconds=HOUR)
    await worker.save(token, has_state=False, ttl_seconds=HOUR)
    node.clock.tick(48 * HOUR)
    await _clean(node)
    left = await worker.list()
    assert [one["has_state"] for one in left] == [False, True]
    await worker.end(token)
    await _clean(node)
    assert await worker.list() == []


async def test_an_abandoned_process_stops_protecting(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.save(token, ttl_seconds=HOUR)
    await worker.end(token, "interrupted")
    node.clock.tick(29 * 24 * HOUR)
    assert (await _clean(node))["expired"] == 0
    node.clock.tick(2 * 24 * HOUR)
    assert (await _clean(node))["expired"] == 1


async def test_pins_and_dependencies_keep(node: Node) -> None:
    worker = node.worker()
    base = await worker.save(None, process_id="base", ttl_seconds=HOUR)
    await worker.save(None, process_id="user", depends=(base["checkpoint_id"],), ttl_seconds=100 * HOUR)
    pinned = await worker.save(None, process_id="pinned", ttl_seconds=HOUR)
    browsing = node.inside.services.browsing
    asked = p.MutateCheckpoint(request=worker.next(), checkpoint_id=pinned["checkpoint_id"])
    assert await browsing.pin(worker.caller, asked) == {"pinned": True}
    node.clock.tick(2 * HOUR)
    assert (await _clean(node))["expired"] == 0
    asked = p.MutateCheckpoint(request=worker.next(), checkpoint_id=pinned["checkpoint_id"])
    assert await browsing.unpin(worker.caller, asked) == {"pinned": False}
    assert (await _clean(node))["expired"] == 1


async def test_a_deleted_checkpoint_is_gone_for_readers_and_said_to_be_in_the_trash(node: Node) -> None:
    worker = node.worker()
    saved = await worker.save(None, process_id="p")
    request = p.MutateCheckpoint(request=worker.next(), checkpoint_id=saved["checkpoint_id"])
    delete = node.inside.services.browsing.delete
    assert await delete(worker.caller, request) == {"deleted": True}
    assert await delete(worker.caller, request) == {"deleted": True}  # the same request, repeated
    again = p.MutateCheckpoint(request=worker.next(), checkpoint_id=saved["checkpoint_id"])
    assert await delete(worker.caller, again) == {"deleted": False}
    with pytest.raises(NotFound, match="in the trash"):
        await node.inside.services.browsing.get(worker.caller, p.GetCheckpoint(checkpoint_id=saved["checkpoint_id"]))


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"process_id": "a"}, 2),
        ({"type": "model_state"}, 1),
        ({"tag": "x"}, 2),
        ({"tag": "x", "process_id": "b"}, 1),
        ({"task_id": "t"}, 1),
        ({"status": "completed"}, 0),
        ({"limit": 2}, 2),
        ({}, 3),
    ],
)
async def test_a_list_is_filtered(node: Node, wanted: dict[str, object], count: int) -> None:
    worker = node.worker()
    await worker.save(None, process_id="a", tags=("x",))
    await worker.save(None, process_id="a", type="model_state", task_id="t")
    await worker.save(None, process_id="b", tags=("x", "y"))
    assert len(await worker.list(**wanted)) == count


async def test_a_page_ends_before_it_fills_a_frame(node: Node) -> None:
    worker = node.worker()
    for _ in range(20):
        await worker.save(None, process_id="p", metadata=bytes(60_000))
    list_ = node.inside.services.browsing.list_
    seen, after = 0, None
    while True:
        page: Any = await list_(worker.caller, p.ListCheckpoints(limit=20, after=after))
        assert 0 < sum(len(one["metadata"]) for one in page["checkpoints"]) < 900_000
        seen, after = seen + len(page["checkpoints"]), page["next"]
        if after is None:
            break
    assert seen == 20


async def test_statistics_are_counted(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.save(token, type="model_state")
    await worker.save(token, ends="completed")
    stats = await node.inside.services.maintenance.stats(worker.caller, p.Nothing())
    assert stats["status_counts"] == {"active": 0, "completed": 2, "failed": 0, "expired": 0, "archived": 0}
    assert stats["type_counts"]["model_state"] == 1  # type: ignore[index]
    status = await node.inside.services.maintenance.status(worker.caller, p.Nothing())
    assert status["checkpoints"] == 2


async def _events(node: Node, worker: Worker, **wanted: object) -> list[str]:
    page = await node.inside.services.events.read(worker.caller, p.ReadEvents(**wanted))  # type: ignore[arg-type]
    return [event[2] for event in page["events"]]  # type: ignore[attr-defined]


async def test_events_tell_a_life_to_its_user_and_to_operators(node: Node) -> None:
    worker = node.worker(100)
    await worker.register()
    await worker.dies(9)
    await node.worker(200).register()
    assert await _events(node, worker) == ["registered", "interrupted", "resumed"]
    assert await _events(node, node.worker(300, uid=7)) == []
    assert len(await _events(node, node.worker(300, uid=7, role=Role.OPERATOR))) == 3
    assert await _events(node, worker, since=2) == ["resumed"]


async def test_a_reader_of_events_is_woken(node: Node) -> None:
    worker = node.worker()
    waiting = asyncio.ensure_future(_events(node, worker, wait_seconds=30.0))  # noqa: TID251 - the test waits for it
    await worker.register()
    assert await waiting == ["registered"]


async def test_before_it_is_abandoned_a_process_is_told_of_once(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.end(token, "interrupted")
    day = 24 * HOUR
    for _ in range(32):
        node.clock.tick(day)
        await _clean(node)
    assert (await _events(node, worker)).count("abandoned_soon") == 1


async def test_what_was_learnt_of_interruptions_survives_a_restart(node: Node) -> None:
    worker = node.worker()
    await worker.register()
    await node.tend(500)
    await worker.dies()
    await node.stop()
    await node.start()
    seen = node.inside.context.interruptions
    assert (seen.count, seen.seconds) == (1, 500.0)


async def _fill(worker: Worker) -> list[Mapping[str, Any]]:
    saved: list[Mapping[str, Any]] = []
    while True:
        try:
            saved.append(await worker.save(None, os.urandom(3_000), process_id=f"p{len(saved)}"))
        except NoSpace:
            return saved


def _take_the_rest(disk: Path) -> None:
    """What saves leave of the disk, somebody else takes."""
    with (disk / "filler").open("ab", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))


async def test_deleting_on_a_full_disk_is_given_the_reserve(small_disk: Path) -> None:
    node = await Node(small_disk / "store", {"store.limit": "0", "store.reserve": "4 MB"}).start()
    worker = node.worker()
    saved = await _fill(worker)
    _take_the_rest(small_disk)
    assert len(await worker.list(limit=1000)) == min(len(saved), 1000)
    browsing = node.inside.services.browsing
    for one in saved[:20]:
        asked = p.MutateCheckpoint(request=worker.next(), checkpoint_id=one["checkpoint_id"])
        assert await browsing.delete(worker.caller, asked) == {"deleted": True}
    await _clean(node)
    await node.stop()
    assert not node.failures


async def test_a_cleanup_that_frees_nothing_says_so(node: Node) -> None:
    worker = node.worker()
    await worker.save(None, bytes(1_000_000), process_id="p")  # a millionth of it is stored
    assert (await _clean(node))["freed_bytes"] == 0


@pytest.mark.parametrize(("own_hours", "left_hours"), [(1, 24), (100, 75), (None, None)])
async def test_what_is_revived_lives_as_long_as_a_new_one(
    node: Node, own_hours: float | None, left_hours: float | None
) -> None:
    worker, browsing = node.worker(), node.inside.services.browsing
    saved = await worker.save(None, process_id="p", ttl_seconds=HOUR * own_hours if own_hours else HOUR)
    if own_hours is None:
        node.config = replace(node.config, retention=replace(node.config.retention, ttl_seconds=0))
    asked = p.MutateCheckpoint(request=worker.next(), checkpoint_id=saved["checkpoint_id"])
    await browsing.delete(worker.caller, asked)
    assert [one["checkpoint_id"] for one in await worker.list(trash=True)] == [saved["checkpoint_id"]]
    node.clock.tick(25 * HOUR - 1)  # the trash is still there
    until = (
        None if left_hours is None else node.clock.now() + round(left_hours * 3600e6) + 1_000_000 * (own_hours == 100)
    )
    asked = p.MutateCheckpoint(request=worker.next(), checkpoint_id=saved["checkpoint_id"])
    told = {"revived": True, "checkpoint_id": saved["checkpoint_id"], "expires_at": until}
    assert await browsing.revive(worker.caller, asked) == told
    assert (await worker.list())[0]["expires_at"] == until
    asked = p.MutateCheckpoint(request=worker.next(), checkpoint_id=saved["checkpoint_id"])
    assert await browsing.revive(worker.caller, asked) == {**told, "revived": False}
    assert (await _events(node, worker)).count("revived") == 1


async def test_what_has_left_the_trash_is_gone_for_good(node: Node) -> None:
    worker = node.worker()
    saved = await worker.save(None, process_id="p", ttl_seconds=HOUR)
    node.clock.tick(2 * HOUR)
    await _clean(node)
    node.clock.tick(25 * HOUR)
    await _clean(node)
    asked = p.MutateCheckpoint(request=worker.next(), checkpoint_id=saved["checkpoint_id"])
    with pytest.raises(NotFound):
        await node.inside.services.browsing.revive(worker.caller, asked)
