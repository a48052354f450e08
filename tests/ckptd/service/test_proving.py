"""service.proving: what a drill proves and when, what it walks past, and that damage is named before it is needed."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ckptclient.errors import Damaged, UnknownProcess
from ckptclient.wire import params as p
from ckptd.core.change import CheckpointRow, Place
from ckptd.core.ids import CheckpointKey
from ckptd.service import restoring
from ckptd.service.caller import Role
from ckptd.service.restoring import opened
from tests.ckptd.service.node import Node, Worker

LARGE = os.urandom(300_000)
DAY = 86_400.0


def flip(node: Node, data: bytes) -> None:
    """One bit of a payload, in whichever pack it lies."""
    for pack in sorted((node.path / "packs").iterdir()):
        raw = bytearray(pack.read_bytes())
        place = raw.find(data[1000:1064])
        if place >= 0:
            raw[place] ^= 1
            pack.write_bytes(raw)
            return
    raise AssertionError("the payload isn't there")


async def drill(node: Node, worker: Worker, process_id: str = "p") -> Mapping[str, Any]:
    return await node.inside.services.proving.prove(worker.caller, p.NamedProcess(process_id=process_id))


async def events(node: Node, worker: Worker) -> list[tuple[str, Any]]:
    found: Any = await node.inside.services.events.read(worker.caller, p.ReadEvents())
    return [(kind, data.get("checkpoint_id")) for _, _, kind, _, _, data in found["events"]]


async def saved(node: Node, worker: Worker, *states: bytes) -> bytes:
    token: bytes = (await worker.register())["token"]
    for state in states:
        await worker.save(token, state)
    return token


@pytest.mark.parametrize("state", [b"small", LARGE], ids=["inline", "in a pack"])
async def test_the_newest_state_is_proven_with_a_date(node: Node, state: bytes) -> None:
    worker = node.worker()
    await saved(node, worker, b"first", state)
    node.clock.tick(5.0)
    found = await drill(node, worker)
    assert (found["checkpoint_id"], found["seq"], found["proven_at"]) == ("p_processing_state_2", 2, node.clock.now())
    assert (found["damaged"], found["size_bytes"] >= len(state)) == ([], True)
    shown = await worker.show()
    assert (shown["proven_at"], shown["proven_seq"]) == (node.clock.now(), 2)
    newest, first = await worker.list()
    assert (newest["proven_at"], first["proven_at"]) == (node.clock.now(), None)


async def test_what_has_the_state_is_proven_where_the_newest_has_progress_alone(node: Node) -> None:
    worker = node.worker()
    token = await saved(node, worker, LARGE)
    await worker.save(token, b"", has_state=False)
    assert (await drill(node, worker))["seq"] == 1


async def test_what_was_archived_is_read_as_a_worker_would_be_given_it(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = node.worker()
    await saved(node, worker, LARGE)
    service = node.inside.services.browsing._restoring
    row = await service.row(CheckpointKey(1))
    assert row is not None

    async def archived(_key: CheckpointKey) -> CheckpointRow:
        return replace(row, place=Place.ARCHIVED)

    monkeypatch.setattr(service, "row", archived)
    found = await drill(node, worker)
    assert (found["seq"], found["size_bytes"] >= len(LARGE)) == (1, True)


async def test_without_a_state_the_newest_counts(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.save(token, b"", has_state=False)
    assert (await drill(node, worker))["seq"] == 1


async def test_without_a_checkpoint_nothing_is_proven(node: Node) -> None:
    worker = node.worker()
    await worker.register()
    found = await drill(node, worker)
    assert (found["checkpoint_id"], found["proven_at"], found["damaged"]) == (None, None, [])


async def test_a_flipped_bit_is_named_and_walked_past(node: Node) -> None:
    worker = node.worker()
    await saved(node, worker, b"older", LARGE)
    flip(node, LARGE)
    found = await drill(node, worker)
    assert (found["seq"], [name for name, _ in found["damaged"]]) == (1, ["p_processing_state_2"])
    assert "damaged at byte 0" in found["damaged"][0][1]
    assert await events(node, worker) == [("registered", None), ("damaged", "p_processing_state_2")]
    await drill(node, worker)
    assert len(await events(node, worker)) == 2  # told once


async def test_what_a_drill_meets_is_quarantined_and_repaired_by_the_same_bytes(node: Node) -> None:
    worker = node.worker()
    token = await saved(node, worker, b"older", LARGE)
    flip(node, LARGE)
    await drill(node, worker)
    asked: Any = await node.inside.services.scrubbing.damage(worker.caller, p.Nothing())
    assert len(asked["damage"]) == 1
    await worker.save(token, LARGE, description="the same again")
    found = await drill(node, worker)
    assert (found["seq"], found["damaged"]) == (3, [])


async def test_damage_of_the_catalog_is_told_by_the_checkpoint(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = node.worker()
    await saved(node, worker, b"older", b"newest")

    def garbled(row: Any, content: Any) -> Any:
        if row.seq == 2:
            raise Damaged("the manifest does not match its checksum")
        return opened(row, content)

    monkeypatch.setattr(restoring, "opened", garbled)
    found = await drill(node, worker)
    assert (found["seq"], [name for name, _ in found["damaged"]]) == (1, ["p_processing_state_2"])
    assert await events(node, worker) == [("registered", None), ("damaged", "p_processing_state_2")]


async def test_where_nothing_is_whole_that_is_said(node: Node) -> None:
    worker = node.worker()
    await saved(node, worker, LARGE)
    await drill(node, worker)
    flip(node, LARGE)
    found = await drill(node, worker)
    assert (found["checkpoint_id"], found["proven_at"], len(found["damaged"])) == (None, None, 1)
    assert (await worker.show())["proven_at"] is None


async def test_damage_lowers_the_health_until_a_drill_finds_all_well(node: Node) -> None:
    worker = node.worker()
    token = await saved(node, worker, LARGE)
    flip(node, LARGE)
    await drill(node, worker)

    async def component() -> Mapping[str, Any]:
        await node.inside.services.monitor.look()
        report: Any = await node.inside.services.monitor.report(worker.caller, p.Nothing())
        (found,) = [one for one in report["components"] if one["name"] == "damaged_state"]
        return found  # type: ignore[no-any-return]

    found = await component()
    assert (found["value"], found["points"] > 0, [name.partition("/")[2] for name in found["processes"]]) == (
        1,
        True,
        ["p"],
    )
    await worker.save(token, b"another state")
    await drill(node, worker)
    assert (await component())["points"] == 0


async def test_who_may_not_see_a_process_can_not_have_it_read(node: Node) -> None:
    await saved(node, node.worker(), b"mine")
    with pytest.raises(UnknownProcess):
        await drill(node, node.worker(200, uid=2000))
    assert (await drill(node, node.worker(300, uid=1000, role=Role.OPERATOR)))["seq"] == 1


# --- by itself ---


async def test_a_round_takes_who_is_due_and_no_one_else(tmp_path: Path) -> None:
    node = await Node(tmp_path / "store").start()
    worker = node.worker()
    for name in ("a", "b", "c"):
        token = (await worker.register(name))["token"]
        if name != "c":
            await worker.save(token, b"state")
    proving = node.inside.services.proving
    assert await proving.round() == 2
    assert await proving.round() == 0
    node.clock.tick(DAY - 1)
    assert await proving.round() == 0
    node.clock.tick(2.0)
    assert await proving.round() == 2
    await node.restart()
    assert await node.inside.services.proving.round() == 0
    await node.stop()


async def test_a_round_reads_at_its_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await Node(tmp_path / "store", {"proof.rate": "1 MiB"}).start()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(node.clock, "sleep", sleep)
    await saved(node, node.worker(), os.urandom(3 << 20))
    assert await node.inside.services.proving.round() == 1
    assert 3.0 <= sum(slept) < 3.1
    await drill(node, node.worker())
    assert sum(slept) < 3.1  # who asks for it waits for the disk alone
    await node.stop()
