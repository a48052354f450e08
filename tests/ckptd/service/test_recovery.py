"""What a journalled loop with state means when anything dies in the middle: the rules of recovery, one test each."""

import asyncio
from pathlib import Path
from typing import Any

import msgpack
import pytest

from ckptclient.errors import Conflict, Fenced
from ckptclient.wire import params as p
from tests.ckptd.service.node import Node, Worker


async def _stateful(worker: Worker, *, recorded_after: int = 3) -> bytes:
    """Two items, a state, and some more items; then the token."""
    token: bytes = (await worker.register(progress=p.Progress(total=10)))["token"]
    await worker.record(token, 0, 1, progress=p.Progress(completed=2))
    await worker.save(token, b"after two")
    await worker.record(token, *range(2, 2 + recorded_after), progress=p.Progress(completed=2 + recorded_after))
    return token


async def test_acknowledged_before_fenced(node: Node) -> None:
    """A takeover waits for every save that was admitted under the old epoch."""
    first, second = node.worker(100), node.worker(200)
    token = (await first.register())["token"]
    saves = [asyncio.ensure_future(first.save(token, bytes([n]) * 20_000)) for n in range(8)]  # noqa: TID251 - the race is the test
    await asyncio.sleep(0)  # noqa: TID251 - one turn: they are admitted
    taken = asyncio.ensure_future(second.register(takeover=True))  # noqa: TID251
    saved = [one["checkpoint_id"] for one in await asyncio.gather(*saves)]
    new = await taken
    assert [one["checkpoint_id"] for one in await second.list()] == saved[::-1]
    assert new["checkpoint"]["checkpoint_id"] == saved[-1]


async def test_what_was_recorded_after_the_state_is_set_aside_by_the_restore(node: Node) -> None:
    worker = node.worker()
    await _stateful(worker)
    await worker.dies()
    again = node.worker(200)
    found = await again.register()
    token = found["token"]
    assert found["mode"] == "stateful"
    assert await again.done(token) == [0, 1, 2, 3, 4]  # not by the registration
    restored = await again.restore(token)
    assert restored["parts"][0][3] == b"after two"
    assert await again.done(token) == [0, 1]
    assert (restored["progress"]["completed"], restored["progress"]["done"]) == (2, 2)


async def test_two_deaths_from_one_checkpoint_do_not_collide(node: Node) -> None:
    await _stateful(node.worker(100))
    await node.worker(100).dies()
    for pid in (200, 300):
        worker = node.worker(pid)
        token = (await worker.register())["token"]
        await worker.restore(token)
        await worker.record(token, 2, 3)
        assert await worker.done(token) == [0, 1, 2, 3]
        await worker.dies()
    last = node.worker(400)
    token = (await last.register())["token"]
    await last.restore(token)
    assert await last.done(token) == [0, 1]


async def test_items_that_are_done_again_count_once(node: Node) -> None:
    await _stateful(node.worker(100))
    await node.worker(100).dies()
    worker = node.worker(200)
    token = (await worker.register())["token"]
    await worker.restore(token)
    await worker.record(token, 2, 3, 4, 5)
    page: Any = await node.inside.services.journal.read(worker.caller, p.ReadRecords(process_id="p"))
    assert [record[2] for record in page["records"]] == [0, 1, 2, 3, 4, 5]
    assert (await worker.show())["progress"]["done"] == 6


async def test_checkpoints_after_a_rewind_are_never_candidates_again(node: Node) -> None:
    worker = node.worker(100)
    token = (await worker.register())["token"]
    kept = await worker.save(token, b"one")
    lost = await worker.save(token, b"two")
    _damage(node, lost["seq"])
    await worker.dies()
    second = node.worker(200)
    found = await second.register()
    assert [name for name, _ in found["skipped"]] == [lost["checkpoint_id"]]
    assert found["state_checkpoint"]["checkpoint_id"] == kept["checkpoint_id"]
    restored = await second.restore(found["token"])
    assert restored["parts"][0][3] == b"one"
    _mend(node, lost["seq"])
    await second.dies()
    third = await node.worker(300).register()
    assert third["state_checkpoint"]["checkpoint_id"] == kept["checkpoint_id"]
    assert {one["checkpoint_id"] for one in await second.list()} == {kept["checkpoint_id"], lost["checkpoint_id"]}


async def test_the_newest_with_state_is_restored_from_behind_newer_ones_without(node: Node) -> None:
    worker = node.worker(100)
    token = await _stateful(worker, recorded_after=1)
    await worker.save(token, has_state=False)
    await worker.dies()
    second = node.worker(200)
    found = await second.register()
    assert found["checkpoint"]["has_state"] is False
    assert (await second.restore(found["token"]))["parts"][0][3] == b"after two"
    assert await second.done(found["token"]) == [0, 1]


async def test_a_stateful_process_without_a_state_begins_at_the_beginning(node: Node) -> None:
    worker = node.worker(100)
    token = (await worker.register())["token"]
    sequence = p.Sequence(request=worker.next(), token=token, digest=b"d", length=9, stateful=True)
    await node.inside.services.journal.sequence(worker.caller, sequence)
    await worker.record(token, 0, 1, progress=p.Progress(completed=2))
    await worker.dies()
    second = node.worker(200)
    token = (await second.register())["token"]
    restored = await second.restore(token)
    assert restored["found"] is False
    assert await second.done(token) == []
    assert (await second.show())["progress"]["completed"] == 0


async def test_a_state_after_resuming_by_items_alone_is_refused_with_a_reason(node: Node) -> None:
    worker = node.worker(100)
    token = (await worker.register())["token"]
    await worker.record(token, 0, 1)
    await worker.dies()
    second = node.worker(200)
    token = (await second.register())["token"]
    sequence = p.Sequence(request=second.next(), token=token, digest=b"d", length=9)
    await node.inside.services.journal.sequence(second.caller, sequence)
    with pytest.raises(Conflict, match="resumed by its recorded items"):
        await second.save(token)


async def test_numbers_are_never_given_twice(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    first = await worker.save(token)
    await node.restart()
    second = await worker.save(token)
    assert second["seq"] > first["seq"]


async def test_a_restart_of_the_daemon_interrupts_nobody(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.record(token, 0)
    await node.restart()
    assert (await worker.show())["state"] == "running"
    await worker.record(token, 1)
    await worker.save(token)
    assert await worker.done(token) == [0, 1]


async def test_whoever_died_while_the_daemon_was_down_is_interrupted_at_its_start(node: Node) -> None:
    worker = node.worker()
    await worker.register()
    node.workers.dead.add(100)
    await node.restart()
    assert (await worker.show())["state"] == "interrupted"


@pytest.mark.parametrize("seen_alive", [True, False])
async def test_after_the_grace_only_who_is_seen_alive_keeps_its_process(node: Node, seen_alive: bool) -> None:
    worker = node.worker(100)
    token = (await worker.register())["token"]
    if not seen_alive:
        node.workers.untold.add(100)
    node.inside.services.processes.disconnected(worker.caller)
    await node.tend(29)
    assert (await worker.show())["state"] == "running"
    await node.tend(2)
    assert (await worker.show())["state"] == ("running" if seen_alive else "interrupted")
    if seen_alive:
        assert (await node.inside.services.processes.attach(worker.caller, p.Attach(token=token)))["epoch"] == 1


async def test_a_save_is_answered_the_same_when_it_is_repeated_after_a_restart(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    first = await worker.save(token, request=worker.next())
    for _ in range(2):
        assert await worker.save(token, request=worker.number) == first
        await node.restart()
    assert len(await worker.list()) == 1


async def test_records_are_applied_once_when_they_are_repeated(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    first = await worker.record(token, 0, 1, request=worker.next())
    assert (await worker.record(token, 0, 1, request=worker.number))["position"] == first["position"]
    await node.restart()
    assert (await worker.record(token, 0, 1, request=worker.number))["position"] == first["position"]
    page: Any = await node.inside.services.journal.read(worker.caller, p.ReadRecords(process_id="p"))
    assert len(page["records"]) == 2
    assert (await worker.show())["progress"]["done"] == 2


async def test_members_write_until_the_epoch_is_raised(node: Node) -> None:
    holder, member = node.worker(100), node.worker(101)
    token = (await holder.register(progress=p.Progress(total=9)))["token"]
    asked = p.Member(request=holder.next(), token=token)
    told: Any = await node.inside.services.processes.member(holder.caller, asked)
    member_token = told["token"]
    await member.record(member_token, 3)
    await member.advance(member_token, completed=1)
    await holder.advance(token, completed=2)
    assert (await holder.show())["progress"]["completed"] == 3
    await holder.dies()
    await member.record(member_token, 4)
    assert (await holder.show())["state"] == "interrupted"
    second = node.worker(200)
    new = (await second.register())["token"]
    with pytest.raises(Fenced):
        await member.record(member_token, 5)
    assert await second.done(new) == [3, 4]


async def test_members_do_independent_items_only(node: Node) -> None:
    holder, member = node.worker(100), node.worker(101)
    token = (await holder.register())["token"]
    await holder.save(token)
    asked = p.Member(request=holder.next(), token=token)
    with pytest.raises(Conflict, match="stateful"):
        await node.inside.services.processes.member(holder.caller, asked)
    assert member.number == 0


def _catalog_row(node: Node, seq: int, change: bytes) -> None:
    import apsw

    with apsw.Connection(str(Path(node.path) / "catalog.db")) as connection:
        connection.execute("UPDATE checkpoint SET small=CAST(? || substr(small, 2) AS BLOB) WHERE seq=?", (change, seq))


def _damage(node: Node, seq: int) -> None:
    """The first byte of an inline state is another one."""
    _catalog_row(node, seq, b"X")


def _mend(node: Node, seq: int) -> None:
    _catalog_row(node, seq, b"t")


async def test_the_state_of_recover_is_as_of_the_checkpoint(node: Node) -> None:
    worker = node.worker(100)
    token = (await worker.register(progress=p.Progress(total=9)))["token"]
    await worker.save(token, progress=p.Progress(completed=3), has_state=False)
    await worker.advance(token, completed=5)
    await worker.end(token, "interrupted")
    second = node.worker(200)
    asked = p.Recover(request=second.next(), process_id="p")
    found: Any = await node.inside.services.registration.recover(second.caller, asked)
    got: Any = await node.inside.services.browsing.get(
        second.caller, p.GetCheckpoint(checkpoint_id=found["checkpoint"]["checkpoint_id"])
    )
    parts = {name: data for name, _, _, data in got["parts"]}
    assert msgpack.unpackb(parts["progress"])["completed"] == 3
