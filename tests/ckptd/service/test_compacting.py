"""service.compacting: packs are given back while saves and restores go on."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from ckptclient.wire import params as p
from ckptd.core.ids import PackKey
from ckptd.store.catalog.interface import PackRow
from tests.ckptd.service.node import Node, Worker

HOUR = 3600.0


async def packs(node: Node) -> list[PackRow]:
    return list(await node.inside.context.backend.read(lambda reader: reader.pack_rows()))


async def clean(node: Node) -> Mapping[str, object]:
    return await node.inside.services.maintenance.clean()


async def fill(worker: Worker, count: int, ttl: float, name: str = "p") -> dict[str, bytes]:
    saved = {}
    for number in range(count):
        data = os.urandom(30_000)
        found = await worker.save(None, data, process_id=f"{name}{number}", ttl_seconds=ttl)
        saved[found["checkpoint_id"]] = data
    return saved


async def end(node: Node, worker: Worker, *ids: str) -> None:
    for one in ids:
        asked = p.MutateCheckpoint(request=worker.next(), checkpoint_id=one)
        assert await node.inside.services.browsing.delete(worker.caller, asked) == {"deleted": True}


async def whole(node: Node, worker: Worker, saved: Mapping[str, bytes]) -> None:
    for one, data in saved.items():
        found: Any = await node.inside.services.browsing.get(worker.caller, p.GetCheckpoint(checkpoint_id=one))
        assert found["parts"][0][3] == data


async def test_what_ends_together_lies_together_and_goes_without_a_copy(node: Node) -> None:
    worker = node.worker()
    await fill(worker, 3, HOUR, "short")
    long = await fill(worker, 3, 100 * HOUR, "long")
    before = {row.lifetime: row for row in await packs(node)}
    assert sorted(before) == [1, 3]
    node.clock.tick(26 * HOUR)
    await clean(node)
    node.clock.tick(25 * HOUR)
    await clean(node)
    assert [row.name for row in await packs(node)] == [before[3].name]
    await whole(node, worker, long)


async def test_a_half_dead_pack_is_rewritten_and_gives_its_space_back(node: Node) -> None:
    worker = node.worker()
    saved = await fill(worker, 12, 100 * HOUR)
    (before,) = await packs(node)
    gone = list(saved)[::3] + list(saved)[1::3]
    await end(node, worker, *gone)
    node.clock.tick(25 * HOUR)
    cleaned = await clean(node)
    (after,) = await packs(node)
    assert after.name != before.name
    assert after.bytes - 152 == after.live_bytes
    assert cleaned["freed_bytes"] == before.bytes - after.bytes
    assert os.listdir(node.path / "packs") == [after.name]
    left = {one: data for one, data in saved.items() if one not in gone}
    await whole(node, worker, left)
    await node.restart()
    await whole(node, worker, left)


async def test_a_pack_that_is_appended_to_is_sealed_before_it_is_copied(node: Node) -> None:
    worker = node.worker()
    saved = await fill(worker, 6, 100 * HOUR)
    await end(node, worker, *list(saved)[1:])
    node.clock.tick(25 * HOUR)
    saving = [
        asyncio.ensure_future(fill(worker, 6, 100 * HOUR, f"beside{n}"))  # noqa: TID251 - the test waits for it
        for n in range(3)
    ]
    await clean(node)
    beside = [one for some in await asyncio.gather(*saving) for one in some.items()]
    await whole(node, worker, dict([next(iter(saved.items())), *beside]))


async def test_old_packs_are_not_appended_to_any_more(node: Node) -> None:
    worker = node.worker()
    await fill(worker, 1, 20 * HOUR)
    node.clock.tick(13 * HOUR)
    await clean(node)
    await fill(worker, 1, 20 * HOUR, "later")
    assert len(await packs(node)) == 2


async def test_a_pack_in_which_something_is_damaged_stays_and_the_others_go_on(node: Node) -> None:
    worker = node.worker()
    first, second = await fill(worker, 6, 100 * HOUR), await fill(worker, 6, 10 * HOUR, "other")
    rows = {row.lifetime: row for row in await packs(node)}
    await end(node, worker, *list(first)[1:], *list(second)[1:])
    path = node.path / "packs" / rows[3].name
    image = bytearray(path.read_bytes())
    image[1000] ^= 1
    path.write_bytes(image)
    node.clock.tick(25 * HOUR)
    await clean(node)
    names = [row.name for row in await packs(node)]
    assert rows[3].name in names
    assert rows[2].name not in names
    assert len(os.listdir(node.path / "packs")) == len(names), "nothing half-written is left"


async def test_a_dead_pack_that_a_save_found_meanwhile_stays(node: Node) -> None:
    """Dead when it was asked for, and appended to before it was to go."""
    worker = node.worker()
    saved = await fill(worker, 1, HOUR)
    await end(node, worker, *saved)
    node.clock.tick(25 * HOUR)
    backend = node.inside.context.backend
    tend, asked = backend.tend, list[object]()

    async def slowly(work: Any) -> Any:
        found = await tend(work)
        asked.append(found)
        await fill(worker, 1, HOUR, f"beside{len(asked)}-")
        return found

    backend.tend = slowly  # type: ignore[method-assign]
    await clean(node)
    backend.tend = tend  # type: ignore[method-assign]
    assert asked
    for number in range(1, len(asked) + 1):
        listed = await worker.list(process_id=f"beside{number}-0")
        assert len(listed) == 1
        asking = p.GetCheckpoint(checkpoint_id=listed[0]["checkpoint_id"])
        assert await node.inside.services.browsing.get(worker.caller, asking)


async def test_a_copy_is_paced_and_gives_way_to_saves(node: Node) -> None:
    compacting = node.inside.services.maintenance._compacting
    slept = list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    node.clock.sleep = sleep  # type: ignore[method-assign]
    await compacting._pace(1000, 500)
    await fill(node.worker(), 1, HOUR)
    await compacting._pace(1000, 500)
    await compacting._pace(1000, 500)
    await compacting._pace(1000, None)
    assert slept == [2.0, 8.0, 2.0]
    assert PackKey(1) in [row.key for row in await packs(node)]
