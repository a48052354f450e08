"""service.health: a situation is planted, and exactly the component that must react does."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from ckptclient.wire import params as p
from ckptd.core.health import HEALTHY_MIN
from ckptd.service.caller import Role
from tests.ckptd.service.node import Node, Worker

MINUTE = 60.0
HOUR = 3600.0


async def look(node: Node, minutes: int = 1, *, through: bool = True) -> Mapping[str, Any]:
    """The report after so many minutes, each with its look; `through`: the committer's queue is passed at once."""
    monitor = node.inside.services.monitor
    for _ in range(minutes):
        if through:
            await asyncio.wrap_future(node.inside.committer.run(lambda: None))
        node.clock.tick(MINUTE)
        await monitor.look()
    operator = node.worker(pid=1, uid=0, role=Role.OPERATOR)
    return await monitor.report(operator.caller, p.Nothing())


def costs(report: Mapping[str, Any]) -> list[str]:
    return [one["name"] for one in report["components"] if one["points"]]


def component(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(one for one in report["components"] if one["name"] == name)
    return found


async def events(node: Node, kind: str) -> list[Mapping[str, Any]]:
    operator = node.worker(pid=1, uid=0, role=Role.OPERATOR)
    page: Any = await node.inside.services.events.read(operator.caller, p.ReadEvents(limit=1000))
    return [event[5] for event in page["events"] if event[2] == kind]


async def worker_at(node: Node, process_id: str = "p", **wishes: Any) -> tuple[Worker, bytes]:
    worker = node.worker()
    return worker, (await worker.register(process_id, progress=p.Progress(total=10**6), **wishes))["token"]


async def work(node: Node, worker: Worker, token: bytes, minutes: int, begun: int = 0) -> Mapping[str, Any]:
    """A hundred steps a minute."""
    report: Mapping[str, Any] = {}
    for minute in range(minutes):
        await worker.advance(token, completed=begun + 100 * (minute + 1), step=f"step {minute}")
        report = await look(node)
    return report


# Each plants one situation in a node that was well, and names what must react


async def full_disk(node: Node) -> None:
    limit = node.inside.space.limit_bytes
    assert limit is not None
    real = node.inside.space.look

    async def full() -> None:
        await real()
        node.inside.space.used_bytes = limit - 1000

    node.inside.space.look = full  # type: ignore[method-assign]


async def slow_commits(node: Node) -> None:
    for _ in range(5):
        node.inside.metrics.observe("commit_seconds", 0.4)
        await look(node)


async def clock_jump(node: Node) -> None:
    node.clock.jump(24 * HOUR)


async def clock_jump_back(node: Node) -> None:
    node.clock.jump(-24 * HOUR)


async def refused_clients(node: Node) -> None:
    node.inside.metrics.count("connections_refused_total", 50)


async def failed_writes(node: Node) -> None:
    node.inside.metrics.count("writes_failed_total", 2)


async def fenced_writes(node: Node) -> None:
    node.inside.metrics.count("errors_fenced_total", 20)


async def late_loop(node: Node) -> None:
    node.inside.services.monitor.late(1.2)


Plant = Callable[[Node], Coroutine[Any, Any, None]]

PLANTED: list[tuple[Plant, str]] = [
    (full_disk, "space"),
    (slow_commits, "commit_latency"),
    (clock_jump, "clock_jump"),
    (clock_jump_back, "clock_jump"),
    (refused_clients, "clients_refused"),
    (failed_writes, "failed_writes"),
    (fenced_writes, "fenced_writes"),
    (late_loop, "loop_lag"),
]


@pytest.mark.parametrize(("plant", "name"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))
async def test_exactly_the_component_that_must_reacts(tmp_path: Path, plant: Plant, name: str) -> None:
    node = await Node(tmp_path / "store", {"checkpoint.interval": "300 s", "checkpoint.progress": "0"}).start()
    worker, token = await worker_at(node)
    for minute in range(20):
        node.inside.metrics.observe("commit_seconds", 0.02)
        await worker.advance(token, completed=100 * minute)
        if minute % 4 == 0:
            await worker.save(token)
        report = await look(node)
        assert (costs(report), report["score"]) == ([], 100)
    await plant(node)
    await worker.advance(token, completed=3000)
    report = await look(node)
    assert costs(report) == [name]
    assert report["score"] == 100 - component(report, name)["points"]
    assert component(report, name)["points"] <= component(report, name)["weight"]
    await node.stop()


async def test_the_first_report_is_complete_and_invents_nothing(node: Node) -> None:
    operator = node.worker(pid=1, uid=0, role=Role.OPERATOR)
    report: Any = await node.inside.services.monitor.report(operator.caller, p.Nothing())
    assert (report["score"], report["level"]) == (100, "healthy")
    names = {one["name"] for one in report["components"]}
    assert {"space", "clock_jump", "catalog_size", "failed_writes", "stalled_work"} <= names
    assert names.isdisjoint(("rpo", "time_until_full", "commit_latency", "durability_lag", "loop_lag"))
    assert report["trends"] == []


async def test_a_stuck_worker_is_stalled_and_told_once_with_its_last_word(node: Node) -> None:
    worker, token = await worker_at(node)
    report = await work(node, worker, token, 10)
    assert costs(report) == []
    report = await look(node, 12)
    assert costs(report) == ["stalled_work"]
    assert component(report, "stalled_work")["processes"] == [f"{(await worker.show())['user']}/p"]
    assert (await worker.show())["state"] == "stalled"
    (told,) = await events(node, "stalled")
    assert (told["step"], told["completed"], told["total"]) == ("step 9", 1000, 10**6)
    (advice,) = report["recommendations"]
    assert (advice["component"], advice["command"]) == ("stalled_work", "ckptctl show p")
    await worker.advance(token, completed=2000)
    report = await look(node)
    assert costs(report) == []
    assert (await worker.show())["state"] == "running"


async def test_lists_and_counts_have_stalled_in_place_of_running(node: Node) -> None:
    stuck, token = await worker_at(node, "stuck")
    going = node.worker(pid=200)
    other = (await going.register("going", progress=p.Progress(total=10**6)))["token"]
    for minute in range(20):
        if minute < 10:
            await stuck.advance(token, completed=100 * minute)
        await going.advance(other, completed=100 * minute)
        await look(node)

    async def listed(*states: str) -> dict[str, str]:
        wanted = p.ListProcesses(states=states)
        page: Any = await node.inside.services.processes.list_(stuck.caller, wanted)
        return {one["process_id"]: one["state"] for one in page["processes"]}

    both = {"stuck": "stalled", "going": "running"}
    assert await listed() == both
    assert await listed("stalled") == {"stuck": "stalled"}
    assert await listed("running") == both
    assert await listed("stalled", "interrupted") == {"stuck": "stalled"}
    assert await listed("interrupted") == {}
    status: Any = await node.inside.services.maintenance.status(stuck.caller, p.Nothing())
    assert status["processes"] == {"running": 1, "interrupted": 0, "stalled": 1}
    await stuck.dies()
    assert await listed("stalled") == {}
    assert (await stuck.show("stuck"))["state"] == "interrupted"


async def test_work_in_no_checkpoint_lowers_the_rpo_alone(tmp_path: Path) -> None:
    node = await Node(tmp_path / "store", {"checkpoint.interval": "120 s", "checkpoint.progress": "0"}).start()
    worker, token = await worker_at(node)
    report = await work(node, worker, token, 10)
    assert costs(report) == ["rpo"]
    assert component(report, "rpo")["value"] == pytest.approx(5.0)
    assert [one["process"] for one in report["recommendations"]] == component(report, "rpo")["processes"]
    await worker.save(token)
    report = await work(node, worker, token, 1, begun=5000)
    assert costs(report) == []
    await node.stop()


async def test_a_result_that_is_recorded_is_no_work_at_risk(tmp_path: Path) -> None:
    node = await Node(tmp_path / "store", {"checkpoint.interval": "120 s", "checkpoint.progress": "0"}).start()
    worker, token = await worker_at(node)
    report: Mapping[str, Any] = {}
    for n in range(12):
        await worker.record(token, n, progress=p.Progress(completed=n + 1))
        report = await look(node)
    assert costs(report) == []
    assert component(report, "rpo")["value"] == 0
    await node.stop()


async def test_the_queue_before_the_disk_is_measured_while_it_stands(node: Node) -> None:
    await look(node)
    assert component(await look(node), "durability_lag")["value"] == 0
    await asyncio.wrap_future(node.inside.committer.run(lambda: None))
    free = threading.Event()
    held = node.inside.committer.run(free.wait)
    try:
        await look(node, through=False)
        report = await look(node, through=False)
    finally:
        free.set()
    assert component(report, "durability_lag")["value"] == pytest.approx(MINUTE)
    assert costs(report) == ["durability_lag"]
    await asyncio.wrap_future(held)
    await asyncio.wrap_future(node.inside.committer.run(lambda: None))
    assert [one["why"] for one in await events(node, "health")] == ["durability_lag"]


async def test_room_that_is_used_up_at_a_steady_rate_is_foreseen(node: Node) -> None:
    limit = node.inside.space.limit_bytes
    assert limit is not None
    used = 0
    real = node.inside.space.look

    async def filling() -> None:
        nonlocal used
        await real()
        used += limit // 100
        node.inside.space.used_bytes = used

    node.inside.space.look = filling  # type: ignore[method-assign]
    assert costs(await look(node, 20)) == []
    report = await look(node, 20)
    assert costs(report) == ["time_until_full"]
    assert component(report, "time_until_full")["value"] == pytest.approx(HOUR, rel=0.02)
    left = next(one for one in report["trends"] if one["name"] == "left_bytes")
    assert left["seconds_until_zero"] == component(report, "time_until_full")["value"]
    assert left["per_day"] == pytest.approx(-limit * 14.4, rel=0.01)


async def test_a_new_level_is_an_event_and_a_word_and_nothing_else_is_written(node: Node) -> None:
    told: list[str] = []
    node.inside.services.monitor.told = told.append
    await look(node, 3)
    changes = node.inside.metrics.snapshot().get("changes_total")
    await look(node, 5)
    assert node.inside.metrics.snapshot().get("changes_total") == changes
    node.inside.metrics.count("writes_failed_total", 10)
    report = await look(node)
    assert (report["level"], report["score"]) == ("critical", 68)
    assert told == ["critical 68: failed_writes -32"]
    await look(node, 20)
    assert told[1:] == ["healthy 100"]
    kinds = [(one["before"], one["level"]) for one in await events(node, "health")]
    assert kinds == [("healthy", "critical"), ("critical", "healthy")]
    assert report["score"] < HEALTHY_MIN


async def test_other_users_processes_are_not_named(node: Node) -> None:
    worker, token = await worker_at(node)
    await work(node, worker, token, 10)
    await look(node, 12)
    other = node.worker(pid=300, uid=2000)
    seen: Any = await node.inside.services.monitor.report(other.caller, p.Nothing())
    assert costs(seen) == ["stalled_work"]
    assert component(seen, "stalled_work")["processes"] == []
    assert seen["recommendations"] == []
    assert "/p" not in str(seen)


async def test_trends_survive_a_restart(node: Node) -> None:
    await look(node, 30)
    await node.restart()
    report = await look(node)
    used = next(one for one in report["trends"] if one["name"] == "used_bytes")
    assert used["span_seconds"] == 30 * MINUTE


async def test_without_a_series_there_are_no_trends_and_health_all_the_same(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "series").mkdir(parents=True)
    node = await Node(store).start()
    report = await look(node, 3)
    assert (report["score"], report["trends"]) == (100, [])
    await node.stop()
