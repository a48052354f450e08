"""service.processes: progress, deaths, what killed whom, and what happens by itself."""

from typing import Any, NoReturn

import pytest

from ckptclient.errors import NoSpace, UnknownProcess
from ckptclient.wire import params as p
from ckptd.core.ids import Token
from ckptd.store.catalog.sqlite import SqliteCatalog
from tests.ckptd.service.node import Node, Worker

SIGABRT, SIGKILL = 6, 9


async def _announce(node: Node, worker: Worker, token: bytes, ordinal: int) -> None:
    said = p.Announce(token=token, ordinal=ordinal, item=b"item %d" % ordinal)
    node.inside.services.journal.announce(worker.caller, said)


async def _life(node: Node, pid: int, *, signal: int | None, dies_at: int = 2) -> bytes:
    """A worker that goes through what isn't done, announcing when it is told to be careful, and dies at one item."""
    worker = node.worker(pid)
    found = await worker.register()
    token: bytes = found["token"]
    done = await worker.done(token)
    for ordinal in range(5):
        if ordinal in done:
            continue
        if found["careful"]:
            await _announce(node, worker, token, ordinal)
        if ordinal == dies_at:
            await worker.dies(signal)
            return token
        await worker.record(token, ordinal)
    await worker.end(token)
    return token


async def test_the_item_that_kills_its_worker_is_set_aside_after_three_attempts(node: Node) -> None:
    for pid in (1, 2, 3, 4):  # the first death is nobody's: nothing was announced
        await _life(node, pid, signal=SIGABRT)
    worker = node.worker(5)
    found = await worker.register()
    assert [item for item, *_ in found["set_aside"]] == [b"item 2"]
    assert "SIGABRT" in found["set_aside"][0][2]
    page: Any = await node.inside.services.journal.read(worker.caller, p.ReadRecords(process_id="p", failed_only=True))
    assert [record[3] for record in page["records"]] == [b"item 2"]
    assert await worker.done(found["token"]) == [0, 1, 2]
    await worker.end(found["token"], "paused")
    await _life(node, 6, signal=None, dies_at=99)
    assert (await worker.show())["state"] == "completed"
    assert (await worker.show())["progress"]["failed"] == 1


async def test_a_kill_by_others_never_counts_where_the_kernel_tells(node: Node) -> None:
    for pid in range(1, 6):
        await _life(node, pid, signal=SIGKILL)
    found = await node.worker(9).register()
    assert (found["set_aside"], found["careful"]) == ([], False)


async def test_an_unknown_reason_counts(node: Node) -> None:
    for pid in (1, 2, 3, 4):
        await _life(node, pid, signal=None)
    assert (await node.worker(5).register())["set_aside"]


async def test_a_record_in_between_begins_the_count_anew(node: Node) -> None:
    for pid in (1, 2, 3):
        await _life(node, pid, signal=SIGABRT)
    between = node.worker(4)
    found = await between.register()
    await between.record(found["token"], 4)
    await _announce(node, between, found["token"], 2)
    await between.dies(SIGABRT)
    assert (await node.worker(5).register())["set_aside"] == []


async def test_a_stateful_loop_is_rid_of_its_poisoned_item_although_it_redoes_those_before(node: Node) -> None:
    for pid in (1, 2, 3, 4):
        worker = node.worker(pid)
        found = await worker.register()
        token = found["token"]
        if pid == 1:
            await worker.save(token, b"beginning")
        await worker.restore(token)
        for ordinal in range(3):
            if found["careful"]:
                await _announce(node, worker, token, ordinal)
            if ordinal == 2:
                await worker.dies(SIGABRT)
                break
            await worker.record(token, ordinal)
    worker = node.worker(5)
    token = (await worker.register())["token"]
    await worker.restore(token)
    assert await worker.done(token) == [2]  # failed, and the others are to be done again


async def test_a_checkpoint_whose_restore_kills_is_walked_past(node: Node) -> None:
    first = node.worker(1)
    token = (await first.register())["token"]
    good = await first.save(token, b"good")
    bad = await first.save(token, b"bad")
    await first.dies(SIGABRT)
    for pid in (2, 3, 4):
        worker = node.worker(pid)
        found = await worker.register()
        assert found["state_checkpoint"]["checkpoint_id"] == bad["checkpoint_id"]
        await worker.restore(found["token"])
        await worker.dies(SIGABRT)
    found = await node.worker(5).register()
    assert found["state_checkpoint"]["checkpoint_id"] == good["checkpoint_id"]
    assert "killed its worker 3 times" in found["skipped"][0][1]


async def test_a_restore_that_went_well_counts_nothing(node: Node) -> None:
    for pid in range(1, 6):
        worker = node.worker(pid)
        found = await worker.register()
        if pid == 1:
            await worker.save(found["token"])
        await worker.restore(found["token"])
        await worker.advance(found["token"], completed=pid)
        await worker.dies(SIGABRT)
    assert (await node.worker(9).register())["skipped"] == []


async def test_a_restore_that_went_well_takes_earlier_attempts_back(node: Node) -> None:
    first = node.worker(1)
    saved = await first.save((await first.register())["token"])
    await first.dies(SIGABRT)
    for pid, goes_on in ((2, False), (3, False), (4, True)):
        worker = node.worker(pid)
        token = (await worker.register())["token"]
        await worker.restore(token)
        assert saved["checkpoint_id"] == (await worker.list())[-1]["checkpoint_id"]
        if goes_on:
            await worker.record(token, 1)
        await worker.dies(SIGABRT)
    assert [one["attempts"] for one in await first.list()] == [0]


async def test_a_sign_of_life_does_not_vouch_for_a_restore(node: Node) -> None:
    first = node.worker(1)
    await first.save((await first.register())["token"], progress=p.Progress(completed=3))
    await first.dies(SIGABRT)
    second = node.worker(2)
    token = (await second.register())["token"]
    await second.restore(token)
    await second.advance(token, completed=3)
    await second.dies(SIGABRT)
    assert [one["attempts"] for one in await first.list()] == [1]


async def test_progress_is_written_once_a_second_and_survives(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register(progress=p.Progress(total=10)))["token"]
    await worker.advance(token, completed=4, step="four")
    await node.tend()
    await node.restart()
    progress = (await worker.show())["progress"]
    assert (progress["completed"], progress["step"], progress["percent"]) == (4, "four", 40.0)


async def test_an_idle_node_writes_nothing(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.advance(token, completed=4)
    await node.tend()
    before = node.inside.metrics.snapshot()["changes_total"]
    for _ in range(5):
        await node.tend()
    assert node.inside.metrics.snapshot()["changes_total"] == before


@pytest.mark.parametrize(
    ("said", "due"),
    [(p.Progress(total=100, completed=4), None), (p.Progress(total=100, completed=5), "progress")],
)
async def test_a_checkpoint_is_due_every_five_percent(node: Node, said: p.Progress, due: str | None) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    tick = await node.inside.services.processes.progress(worker.caller, p.Advance(token=token, progress=said))
    assert tick["reason"] == due
    assert (await worker.save(token, has_state=False))["due"]["due"] is False


async def test_a_checkpoint_is_due_by_time(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register(policy=p.Policy(interval_seconds=60.0)))["token"]
    assert (await worker.advance(token, completed=1))["due"] is False
    node.clock.tick(61)
    assert (await worker.advance(token, completed=2))["reason"] == "interval"


async def test_the_estimate_survives_a_recovery(node: Node) -> None:
    worker = node.worker(1)
    token = (await worker.register(progress=p.Progress(total=100)))["token"]
    for completed in range(10, 60, 10):
        node.clock.tick(10)
        await worker.advance(token, completed=completed)
    await worker.dies()
    node.clock.tick(3600)
    progress = (await node.worker(2).register())["progress"]
    assert progress["per_second"] == pytest.approx(1.0, rel=0.05)
    assert progress["eta"] == pytest.approx(node.clock.now() + 50e6, rel=0.01)


async def test_stop_is_heard_with_the_next_progress(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    await node.inside.services.processes.stop(worker.caller, p.NamedProcess(process_id="p"))
    assert (await worker.advance(token, completed=1))["stop"] is True


async def test_ends_are_answered_the_same_when_repeated(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    request = worker.next()
    assert await worker.end(token, "paused", request) == {"state": "paused"}
    await node.restart()
    assert await worker.end(token, "paused", request) == {"state": "paused"}


async def test_an_unknown_process_is_said_to_be_missing(node: Node) -> None:
    with pytest.raises(UnknownProcess, match="no process nobody"):
        await node.worker().show("nobody")


async def test_a_list_is_paged_and_filtered(node: Node) -> None:
    worker = node.worker()
    for n in range(5):
        found = await worker.register(f"p{n}", task_id="even" if n % 2 == 0 else "odd")
        if n == 4:
            await worker.end(found["token"])
    list_ = node.inside.services.processes.list_
    first = await list_(worker.caller, p.ListProcesses(limit=2))
    rest = await list_(worker.caller, p.ListProcesses(limit=9, after=first["next"]))  # type: ignore[arg-type]
    names = [one["process_id"] for page in (first, rest) for one in page["processes"]]  # type: ignore[attr-defined]
    assert names == ["p4", "p3", "p2", "p1", "p0"]
    running = await list_(worker.caller, p.ListProcesses(states=("running",), task_id="even"))
    assert [one["process_id"] for one in running["processes"]] == ["p2", "p0"]  # type: ignore[attr-defined]


async def test_a_death_that_meets_a_takeover_still_interrupts_what_else_its_worker_held(node: Node) -> None:
    worker, other = node.worker(1), node.worker(2)
    taken, left = (await worker.register("taken"))["token"], (await worker.register("left"))["token"]
    entry = node.inside.context.table.get(Token.unpack(taken).process)
    assert entry is not None
    await other.register("taken", takeover=True)
    now = node.inside.context.table.get(entry.key)
    assert now is not None
    # As between the commit of the claim and the moment at which the table hears of it.
    now.epoch, now.holder = entry.epoch, worker.holder
    await worker.dies(SIGKILL)
    assert (await other.show("taken"))["epoch"] == 2
    assert (await worker.show("left"))["state"] == "interrupted"
    assert left


async def test_a_full_disk_keeps_no_daemon_from_starting_and_a_death_is_written_down_later(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = node.worker(1)
    await worker.register()
    node.workers.dead.add(1)
    apply = SqliteCatalog.apply

    def full(self: SqliteCatalog, batch: object) -> NoReturn:
        raise NoSpace("the disk is full")

    monkeypatch.setattr(SqliteCatalog, "apply", full)
    await node.restart()
    assert (await worker.show())["state"] == "running"
    await node.tend()
    monkeypatch.setattr(SqliteCatalog, "apply", apply)
    await node.tend()
    assert (await worker.show())["state"] == "interrupted"
