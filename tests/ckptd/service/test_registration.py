"""service.registration: who becomes holder, what is found, and what an older epoch may still do."""

import pytest

from ckptclient.errors import BadRequest, Conflict, Denied, Fenced, Held, NotFound, UnknownProcess
from ckptclient.wire import params as p
from ckptd.service.caller import Role
from tests.ckptd.service.node import Node


async def test_a_new_process_begins_at_epoch_1(node: Node) -> None:
    found = await node.worker().register(progress=p.Progress(total=10))
    assert (found["epoch"], found["resumed"], found["state"]) == (1, False, "running")
    assert (found["progress"]["total"], found["progress"]["step"]) == (10, "initialized")


async def test_a_process_of_a_live_holder_is_held_and_says_by_whom(node: Node) -> None:
    await node.worker(100).register()
    with pytest.raises(Held, match="held by pid 100") as refusal:
        await node.worker(200).register()
    assert "takeover" in (refusal.value.hint or "")


async def test_takeover_fences_the_holder(node: Node) -> None:
    first, second = node.worker(100), node.worker(200)
    old = (await first.register())["token"]
    new = await second.register(takeover=True)
    assert new["epoch"] == 2
    with pytest.raises(Fenced) as refusal:
        await first.save(old)
    assert refusal.value.details["newer_epoch"] == 2
    for late in (first.record(old, 1), first.advance(old, completed=1), first.end(old)):
        with pytest.raises(Fenced):
            await late
    assert await second.list() == []


async def test_the_same_worker_registers_again_as_a_notebook_cell_does(node: Node) -> None:
    worker = node.worker()
    await worker.register()
    again = await worker.register()
    assert (again["epoch"], again["resumed"]) == (2, True)


async def test_a_dead_holder_bars_nobody(node: Node) -> None:
    first = node.worker(100)
    await first.register()
    await first.dies()
    found = await node.worker(200).register()
    assert (found["epoch"], found["resumed"]) == (2, True)


@pytest.mark.parametrize("has_state", [True, False])
async def test_a_state_that_was_brought_before_is_gone_on_with(node: Node, has_state: bool) -> None:
    """As an import does it: nobody has held the process yet."""
    worker = node.worker()
    await worker.save(None, process_id="p", has_state=has_state)
    found = await worker.register()
    assert (found["epoch"], found["resumed"], found["state_checkpoint"] is not None) == (1, has_state, has_state)


@pytest.mark.parametrize("state", ["paused", "interrupted", "failed"])
async def test_an_unfinished_process_is_resumed_with_journal_and_progress(node: Node, state: str) -> None:
    worker = node.worker()
    token = (await worker.register(progress=p.Progress(total=4)))["token"]
    await worker.record(token, 0, 1, progress=p.Progress(completed=2))
    await worker.end(token, state)
    found = await worker.register()
    assert (found["resumed"], found["progress"]["completed"], found["journal"]["done"]) == (True, 2, 2)
    assert await worker.done(found["token"]) == [0, 1]


async def test_a_completed_process_begins_a_new_life_that_sees_nothing_of_the_old(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.record(token, 0)
    saved = await worker.save(token)
    await worker.end(token)
    found = await worker.register()
    assert (found["epoch"], found["resumed"], found["checkpoint"]) == (1, False, None)
    assert await worker.done(found["token"]) == []
    # The old life's checkpoints stay listed, and numbers go on.
    assert [one["checkpoint_id"] for one in await worker.list()] == [saved["checkpoint_id"]]
    assert (await worker.save(found["token"]))["seq"] == saved["seq"] + 1


async def test_fresh_begins_a_new_life_of_an_unfinished_process(node: Node) -> None:
    worker = node.worker()
    old = (await worker.register())["token"]
    await worker.record(old, 0)
    found = await worker.register(fresh=True)
    assert (found["epoch"], found["resumed"]) == (1, False)
    assert await worker.done(found["token"]) == []
    with pytest.raises(Fenced):
        await worker.record(old, 1)


async def test_a_repeated_registration_answers_as_the_first_did(node: Node) -> None:
    worker = node.worker()
    request = p.Register(request=worker.next(), process_id="p")
    register = node.inside.services.registration.register
    first = await register(worker.caller, request)
    assert (await register(worker.caller, request))["token"] == first["token"]
    await node.restart()
    again = await node.inside.services.registration.register(worker.caller, request)
    assert (again["token"], again["resumed"]) == (first["token"], False)


async def test_recover_needs_something_to_recover(node: Node) -> None:
    worker = node.worker()
    recover = node.inside.services.registration.recover
    with pytest.raises(UnknownProcess):
        await recover(worker.caller, p.Recover(request=worker.next(), process_id="p"))
    await worker.register()
    with pytest.raises(NotFound, match="no checkpoint"):
        await recover(worker.caller, p.Recover(request=worker.next(), process_id="p"))


@pytest.mark.parametrize(("on_change", "resumed", "warned"), [("warn", True, True), ("restart", False, False)])
async def test_a_changed_fingerprint_is_judged_as_asked(
    node: Node, on_change: str, resumed: bool, warned: bool
) -> None:
    worker = node.worker()
    token = (await worker.register(fingerprint=b"one"))["token"]
    await worker.end(token, "paused")
    with pytest.raises(Conflict, match="another fingerprint"):
        await worker.register(fingerprint=b"two")
    found = await worker.register(fingerprint=b"two", on_change=on_change)
    assert (found["resumed"], bool(found["warnings"]), found["changed"]) == (resumed, warned, warned)


async def test_users_don_t_see_each_other(node: Node) -> None:
    anna, bob = node.worker(100, uid=1), node.worker(200, uid=2)
    token = (await anna.register())["token"]
    assert (await bob.register())["epoch"] == 1  # ids are unique for a user
    saved = await anna.save(token)
    assert await bob.list() == []
    with pytest.raises(NotFound):
        await node.inside.services.browsing.get(bob.caller, p.GetCheckpoint(checkpoint_id=saved["checkpoint_id"]))
    with pytest.raises(Denied):
        await bob.save(token)


async def test_an_operator_fences_by_name(node: Node) -> None:
    anna, operator = node.worker(100, uid=1), node.worker(300, uid=0, role=Role.OPERATOR)
    token = (await anna.register())["token"]
    request = p.MutateProcess(request=operator.next(), process_id="1/p")
    assert (await node.inside.services.registration.fence(operator.caller, request)) == {"epoch": 2}
    with pytest.raises(Fenced):
        await anna.save(token)
    assert (await anna.show())["state"] == "interrupted"


async def test_a_state_that_can_never_fit_is_refused_at_registration(node: Node) -> None:
    with pytest.raises(BadRequest, match="can never fit"):
        await node.worker().register(state_bytes=2_000_000_000)
