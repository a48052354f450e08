"""Several OS processes, a daemon that comes and goes, and what a fork leaves: over a real daemon."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ckptclient import calls
from ckptclient.errors import BadRequest, Conflict, Fenced, TimedOut, Unreachable
from ckptclient.manager import CheckpointManager
from tests.daemon import RunningDaemon, daemon, environment  # noqa: F401
from tests.waiting import wait_until

HOLDER = """
import signal
from ckptclient import CheckpointManager
process = CheckpointManager().process("p")
print(process.member_token(), flush=True)
signal.pause()
"""


def square(socket: str, token: str, numbers: list[int]) -> None:
    """What a pool's worker does."""
    with CheckpointManager(socket_path=socket) as manager, manager.member(token) as member:
        for number in numbers:
            member.record(number, number * number)


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_processes_of_a_pool_record_under_one_epoch(daemon: RunningDaemon, method: str) -> None:  # noqa: F811
    context: Any = multiprocessing.get_context(method)
    with daemon.manager().process("p") as process:
        token = process.member_token()
        items = list(process.track(range(20)))
        workers = [
            context.Process(target=square, args=(str(daemon.socket), token, items[part::4])) for part in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
            assert worker.exitcode == 0
    assert {one.item: one.value for one in daemon.manager().results("p")} == {n: n * n for n in range(20)}
    shown = daemon.client().call(calls.show("p"))
    assert (shown.state, shown.epoch, shown.progress.completed) == ("completed", 1, 20)


def test_a_member_goes_on_after_the_holders_death_until_the_epoch_is_raised(
    daemon: RunningDaemon,  # noqa: F811
) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], env=environment(daemon), stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        token = holder.stdout.readline().decode().strip()
        member = daemon.manager().member(token)
        member.record("before")
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
    wait_until(lambda: daemon.client().call(calls.show("p")).state == "interrupted")
    member.record("after")
    with daemon.manager().process("p") as process:
        assert list(process.track(["before", "after", "new"])) == ["new"]
        with pytest.raises(Fenced):
            member.record("too late")


def test_a_stateful_process_has_no_members(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    process = manager.process("p")
    process.save({"a": 1}).wait()
    with pytest.raises(Conflict):
        process.member_token()
    with_members = manager.process("q")
    assert with_members.member_token()
    for act in (lambda: with_members.save(1).wait(), lambda: with_members.track([1], state={})):
        with pytest.raises(Conflict):
            act()


def in_child(act: "Iterator[None]") -> int:
    """Fork, go on with the generator in the child, and return its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            next(act, None)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_a_clear_error_or_a_connection_of_its_own(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    with manager.process("p", total_steps=2) as process:
        process.advance()

        def child() -> Iterator[None]:
            process._live.lock.acquire()  # as if the parent's thread had been in it
            process.forked()
            for act in (
                process.advance,
                process.report,
                process.flush,
                lambda: process.save(1).wait(),
                lambda: process.track([1]),
            ):
                with pytest.raises(BadRequest, match="forked"):
                    act()
            assert manager.create_checkpoint("other", "t", "custom", 1)
            with manager.process("childs", total_steps=1) as own:
                own.advance()
            with process:  # its end is the parent's business
                pass
            yield

        assert in_child(child()) == 0
        process.advance()
    client = daemon.client()
    assert [client.call(calls.show(name)).state for name in ("p", "childs")] == ["completed", "completed"]
    assert client.call(calls.show("p")).epoch == 1


def test_spool_goes_on_without_the_daemon_and_sends_all_on_its_return(daemon: RunningDaemon) -> None:  # noqa: F811
    with daemon.manager(on_unavailable="spool").process("p") as process:
        for item in process.track(range(300)):
            process.record(item, item)
            if item == 100:
                process.flush()
                daemon.kill()
            if item == 250:
                daemon.start()
    assert [one.item for one in daemon.manager().results("p")] == list(range(300))


def test_raise_says_so_at_once_and_where_it_looked(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager(on_unavailable="raise")
    process = manager.process("p")
    daemon.kill()
    with pytest.raises(Unreachable, match=r"ckptd\.sock"):
        process.report()
    with pytest.raises(Unreachable, match=r"ckptd\.sock"):
        manager.process("q")
    daemon.start()
    process.advance()
    process.report()
    assert daemon.client().call(calls.show("p")).progress.completed == 1


def test_a_process_may_ask_for_another_way_than_its_manager(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    impatient = manager.process("p", on_unavailable="raise")
    spooling = manager.process("q", on_unavailable="spool")
    daemon.kill()
    with pytest.raises(Unreachable):
        impatient.report()
    spooling.advance(3)
    daemon.start()
    for process in (impatient, spooling):
        process.report()
    assert daemon.client().call(calls.show("q")).progress.completed == 3


def test_block_waits_until_its_time_is_over(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager(timeout=0.3)
    process = manager.process("p")
    daemon.kill()
    saved = process.save({"a": 1})
    with pytest.raises((Unreachable, TimedOut)):
        saved.wait()
    daemon.start()
    wait_until(saved.done)
    process.save({"a": 2}).wait()
    process.complete()
    assert daemon.client().call(calls.show("p")).state == "completed"


def test_saves_and_records_are_applied_once_over_many_restarts(daemon: RunningDaemon) -> None:  # noqa: F811
    state: dict[str, int] = {"sum": 0}
    with daemon.manager().process("p") as process:
        for item in process.track(range(60), state=state):
            state["sum"] += item
            process.record(item, state["sum"])
            if item % 10 == 5:
                saved = process.save(state)
                daemon.restart()
                saved.wait()
    manager = daemon.manager()
    assert [one.item for one in manager.results("p")] == list(range(60))
    checkpoints = [one for one in manager.storage.find("p") if one.has_state]
    assert len(checkpoints) == 6 + 1
    assert daemon.client().call(calls.show("p")).epoch == 1


def test_newest_and_newest_with_state(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    first = manager.process("p", total_steps=100)
    first.save({"at": 1}).wait()
    first.advance(50)
    first.join(first.put(description="progress alone"))
    count = len(manager.list_checkpoints("p"))
    second = manager.process("p")
    assert second._registered.checkpoint is not None
    assert not second._registered.checkpoint.has_state
    assert second.restore() == {"at": 1}
    assert second.state.completed_steps == 0
    assert len(manager.list_checkpoints("p")) == count


def test_a_private_daemon_is_started_for_the_path_of_a_configuration(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ckptclient.config import CheckpointConfig

    monkeypatch.delenv("CKPTD_SOCKET", raising=False)
    store = tmp_path_factory.mktemp("private") / "store"
    with CheckpointManager(CheckpointConfig(storage_path=str(store), max_storage_size_gb=1.0)) as manager:
        created = manager.create_checkpoint("p", "t", "custom", {"a": 1})
        pid = manager.client.call(calls.status()).pid
        assert manager.storage.storage_path == str(store)
    try:
        with CheckpointManager(str(store)) as again:
            assert again.load_checkpoint(created)[1] == {"a": 1}
    finally:
        os.kill(pid, signal.SIGTERM)
