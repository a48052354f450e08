"""service.backing_up and loops.backups: what the daemon backs up by itself, what it tells, and what health has of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ckptd.loops.backups import AGAIN_SECONDS, back_up
from ckptd.service.backing_up import BackingUp
from ckptd.store.backup import Destination
from tests.ckptd.loops.test_monitor import running
from tests.ckptd.service.node import Node
from tests.fakes import settle

DAY = 24 * 3600.0


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    settings = {"backup.path": str(tmp_path / "backups"), "backup.keep": "2", "backup.drill": "7 d"}
    made = await Node(tmp_path / "store", settings).start()
    await made.worker().save(None, bytes(range(256)) * 400, process_id="p")
    yield made
    await made.stop()
    assert not made.failures


@pytest.fixture
def target(tmp_path: Path) -> Destination:
    return Destination(tmp_path / "backups")


def backing_up(node: Node) -> BackingUp:
    return node.inside.services.backing_up


async def told(node: Node) -> list[str]:
    """The kinds of events that are about backups."""
    events = await node.inside.context.backend.read(lambda reader: reader.events(0, None, None, 99))
    return [one.kind for one in events if one.kind.startswith(("back", "drill"))]


async def figures(node: Node) -> dict[str, float]:
    return {name: one.value for name, one in (await backing_up(node).figures()).items()}


async def test_a_backup_is_known_told_and_tried(node: Node, target: Destination) -> None:
    assert await figures(node) == {"backup_age": 0.0, "backup_drill": 0.0}
    node.clock.tick(3 * DAY)
    assert (await figures(node))["backup_age"] == 3.0  # there could be one
    await backing_up(node).back_up()
    newest = await backing_up(node).newest()
    assert newest is not None
    assert newest.checksum == bytes.fromhex(target.backup(None).checksum)
    assert (await figures(node))["backup_age"] == 0.0
    await backing_up(node).drill()
    newest = await backing_up(node).newest()
    assert newest is not None
    assert newest.drilled_at == node.clock.now()
    assert await told(node) == ["backed_up", "drilled"]


async def test_the_newest_are_kept(node: Node, target: Destination) -> None:
    for _ in range(4):
        node.clock.tick(DAY)
        await backing_up(node).back_up()
    assert len(target.listing()[0]) == 2


async def test_what_goes_wrong_is_told_and_holds_nothing(node: Node, target: Destination) -> None:
    target.path.write_text("no directory")
    await backing_up(node).back_up()
    assert (await told(node), await backing_up(node).newest()) == (["backup_failed"], None)
    await node.delete("p@1")
    await node.empty()
    assert list((node.path / "packs").iterdir()) == []


async def test_a_drill_that_fails_costs_health_until_one_goes_well(node: Node, target: Destination) -> None:
    await backing_up(node).back_up()
    (pack,) = target.backup(None).packs
    whole = target.pack(pack.name).read_bytes()
    target.pack(pack.name).write_bytes(whole[:260] + b"!" + whole[261:])
    await backing_up(node).drill()
    assert (await figures(node))["backup_drill"] == 1.0
    await node.restart()
    found = await backing_up(node).figures()
    assert "p_processing_state_1" in found["backup_drill"].detail
    report = await node.inside.services.monitor.look()
    assert "backup_drill" in [one.rule.name for one in report.health.faults]
    target.pack(pack.name).write_bytes(whole)
    await backing_up(node).drill()
    assert (await figures(node))["backup_drill"] == 0.0
    assert await told(node) == ["backed_up", "drill_failed", "drilled"]


async def test_nothing_is_said_where_none_are_configured(tmp_path: Path) -> None:
    node = await Node(tmp_path / "store").start()
    assert await figures(node) == {}
    await node.stop()


async def test_a_daemon_that_stops_waits_for_no_backup(node: Node, target: Destination) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    its: Any = backing_up(node)
    event_loop, made = asyncio.get_running_loop(), its._backs

    def slowly(path: Path, at: int, keep: int, tell: Any) -> Any:
        event_loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), event_loop).result()
        return made(path, at, keep, tell)

    its._backs = slowly
    task = event_loop.create_task(its.back_up())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.to_thread(its.close)
    assert target.listing()[0] == []
    assert await its.newest() is None


class Fake:
    """Backups that are made at once, or not at all."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.done: list[tuple[str, float]] = []
        self.works = True
        self._newest: Any = None
        self._tried: int | None = None

    async def newest(self) -> Any:
        return self._newest

    async def tried_at(self) -> int | None:
        return self._tried

    async def back_up(self) -> None:
        self.done.append(("backup", self.clock.monotonic()))
        if self.works:
            self._newest = type("Row", (), {"at": self.clock.now()})()

    async def drill(self) -> None:
        self.done.append(("drill", self.clock.monotonic()))
        self._tried = self.clock.now()


async def test_one_is_made_when_it_is_due_and_tried_when_that_is_due(node: Node) -> None:
    made: Any = Fake(node.clock)
    await running(back_up(node.clock, lambda: node.config, made), node.clock, *[3600.0] * 24 * 8)
    days = [(kind, round(at / DAY, 1)) for kind, at in made.done]
    assert [at for kind, at in days if kind == "backup"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert [at for kind, at in days if kind == "drill"] == [0.0, 7.0]


async def test_after_one_that_failed_it_is_tried_again_in_a_while(node: Node) -> None:
    made: Any = Fake(node.clock)
    made.works = False
    await running(back_up(node.clock, lambda: node.config, made), node.clock, AGAIN_SECONDS - 1, 1.0, AGAIN_SECONDS)
    assert [at for _, at in made.done] == [0.0, AGAIN_SECONDS, 2 * AGAIN_SECONDS]
    await settle()
