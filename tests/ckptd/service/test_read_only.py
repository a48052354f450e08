"""What services do over a store that is only read: workers that are there go on reading, and nothing is written."""

from pathlib import Path

import pytest

from ckptclient.errors import ReadOnly
from tests.ckptd.service.node import Node

WHY = "the disk is ill"


async def ill(node: Node) -> None:
    """The daemon is killed, and the next one only reads."""
    await node.crash()
    node.read_only = WHY
    await node.start()


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    return await Node(tmp_path / "store", {"checkpoint.progress": "1 %"}).start()


async def test_restore_works_and_recover_is_refused(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    saved = await worker.save(token, b"state", has_state=True)
    await ill(node)
    for _ in range(4):
        found = await worker.restore(token)
        assert (found["found"], found["checkpoint"]["checkpoint_id"]) == (True, saved["checkpoint_id"])
        assert found["checkpoint"]["attempts"] == 0
    with pytest.raises(ReadOnly, match=WHY):
        await worker.register()
    await node.stop()


async def test_a_stateful_worker_gets_its_state_and_the_journal_stays_as_it_is(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.save(token, b"state", has_state=True)
    await worker.record(token, 1, 2)
    await ill(node)
    assert (await worker.restore(token))["found"]
    assert await worker.done(token) == [1, 2]
    with pytest.raises(ReadOnly):
        await worker.record(token, 3)
    await node.stop()


async def test_progress_is_heard_and_no_checkpoint_is_asked_for(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    assert (await worker.advance(token, total=100, completed=50))["due"]
    await ill(node)
    assert not (await worker.advance(token, completed=90))["due"]
    assert (await worker.show())["progress"]["completed"] == 90
    await node.tend()
    await node.stop()


async def test_a_death_is_left_to_the_daemon_that_writes_again(node: Node) -> None:
    worker = node.worker()
    await worker.register()
    await ill(node)
    await worker.dies()
    assert ((await worker.show())["state"], (await worker.show())["holder"]["alive"]) == ("running", False)
    await node.crash()
    await node.start()  # a worker that is gone is no reason not to start
    await node.crash()
    node.read_only = None
    await node.start()
    assert (await worker.show())["state"] == "interrupted"
    await node.stop()


async def test_its_health_is_critical_and_says_why(node: Node) -> None:
    await ill(node)
    report = (await node.inside.services.monitor.look()).health
    assert report.level == "critical"
    assert WHY in report.faults[0].sentence
    await node.stop()
