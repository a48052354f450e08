"""The handle over a real daemon: workers are killed, and what comes after agrees with what would have been."""

import random  # noqa: TID251 - the type of the injected one
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ckptclient import calls
from ckptclient.errors import Conflict, Fenced, Held, NotFound
from ckptclient.manager import CheckpointManager
from tests.daemon import RunningDaemon, daemon, environment  # noqa: F401
from tests.waiting import wait_until

RUN_SECONDS = 30.0


class Runs:
    """Starts the workers of a test."""

    def __init__(self, daemon: RunningDaemon, directory: Path) -> None:  # noqa: F811
        self.daemon = daemon
        self.seen_path = directory / "seen"
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, worker: str, process_id: str, *arguments: object) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.ckptclient.process.workers", worker, process_id, str(self.seen_path)]
        started = subprocess.Popen([*command, *map(str, arguments)], env=environment(self.daemon))
        self._started.append(started)
        return started

    def run(self, worker: str, process_id: str, *arguments: object) -> int:
        """Run one to its end, and return how that was."""
        return self.start(worker, process_id, *arguments).wait(RUN_SECONDS)

    def seen(self) -> list[str]:
        return self.seen_path.read_text().splitlines() if self.seen_path.exists() else []

    def close(self) -> None:
        for one in self._started:
            one.kill()
            one.wait()


@pytest.fixture
def runs(daemon: RunningDaemon, tmp_path: Path):  # type: ignore[no-untyped-def]  # noqa: F811
    started = Runs(daemon, tmp_path)
    yield started
    started.close()


def state_of(daemon: RunningDaemon, process_id: str) -> str:  # noqa: F811
    return daemon.client().call(calls.show(process_id)).state


def test_resumed_after_a_kill_only_what_was_not_recorded_is_done(runs: Runs) -> None:
    assert runs.run("items", "p", 10, 4) == -signal.SIGKILL
    wait_until(lambda: state_of(runs.daemon, "p") == "interrupted")
    assert runs.run("items", "p", 10, -1) == 0
    assert [int(line) for line in runs.seen()] == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]
    results = list(runs.daemon.manager().results("p"))
    assert [(one.item, one.value) for one in results] == [(n, n * n) for n in range(10)]
    assert state_of(runs.daemon, "p") == "completed"


def test_the_same_by_key(runs: Runs) -> None:
    assert runs.run("keyed", "p", 6, 2) == -signal.SIGKILL
    assert runs.run("keyed", "p", 6, -1) == 0
    assert [line.removeprefix("name-") for line in runs.seen()] == list("0122345")
    assert [one.item for one in runs.daemon.manager().results("p")] == [f"name-{n}" for n in range(6)]


@pytest.mark.parametrize("daemon_dies", [False, True])
def test_a_stateful_loop_ends_as_if_it_had_not_been_interrupted(runs: Runs, daemon_dies: bool) -> None:
    assert runs.run("stateful", "whole", 40, -1, 1000) == 0
    (finished,) = [line for line in runs.seen() if line.startswith("finished")]
    for dies_after in (7, 3, 11, 8):  # some of them before their first save: two deaths from one checkpoint
        assert runs.run("stateful", "cut", 40, dies_after, 5) == -signal.SIGKILL
        if daemon_dies:
            runs.daemon.restart()
    assert runs.run("stateful", "cut", 40, -1, 5) == 0
    assert runs.seen()[-1] == finished
    manager = runs.daemon.manager()
    whole, cut = ([(one.item, one.value) for one in manager.results(name)] for name in ("whole", "cut"))
    assert sorted(cut, key=repr) == sorted(whole, key=repr)
    assert manager.client.call(calls.show("cut")).progress.completed == 40


def test_records_after_the_checkpoint_are_set_aside_and_progress_goes_back(runs: Runs) -> None:
    assert runs.run("stateful", "p", 40, 8, 5) == -signal.SIGKILL
    wait_until(lambda: state_of(runs.daemon, "p") == "interrupted")
    assert runs.daemon.client().call(calls.show("p")).journal.done == 7  # the eighth was in hand
    state: dict[str, int] = {}
    process = runs.daemon.manager().process("p")
    turns = process.track(range(40), state=state)
    assert state["sum"] == sum(range(5))
    assert process.state.completed_steps == 5
    assert runs.daemon.client().call(calls.show("p")).journal.done == 5
    assert next(turns) == 5


def test_the_holder_is_protected_and_takeover_fences_it(runs: Runs) -> None:
    holder = runs.start("holds", "p")
    wait_until(runs.seen)
    manager = runs.daemon.manager()
    with pytest.raises(Held):
        manager.process("p")
    with pytest.raises(Held):
        manager.create_checkpoint("p", "t", "custom", 1)
    mine = manager.process("p", takeover=True)
    assert mine.epoch == 2
    assert (mine.state.completed_steps, mine.state.current_step) == (3, "holding")
    holder.kill()
    mine.advance()
    mine.report()
    assert state_of(runs.daemon, "p") == "running"


def test_ones_own_second_registration_fences_the_first_and_is_never_held(daemon: RunningDaemon) -> None:  # noqa: F811
    manager, other = daemon.manager(), daemon.manager()
    first = manager.process("p")
    second = manager.process("p")
    with pytest.raises(Fenced):
        first.report()
    third = other.process("p")
    with pytest.raises(Fenced):
        second.report()
    assert [first.epoch, second.epoch, third.epoch] == [1, 2, 3]


def test_a_restart_of_the_daemon_interrupts_nobody(runs: Runs) -> None:
    worker = runs.start("slow", "p", 150)
    wait_until(lambda: len(runs.seen()) > 20)
    runs.daemon.restart()
    assert worker.wait(RUN_SECONDS) == 0
    assert runs.seen()[-1] == "ended completed"
    assert [one.item for one in runs.daemon.manager().results("p")] == list(range(150))
    assert runs.daemon.client().call(calls.show("p")).epoch == 1


def test_sigterm_ends_the_loop_after_the_item_in_hand_saved(runs: Runs) -> None:
    worker = runs.start("slow", "p", 10_000)
    wait_until(lambda: len(runs.seen()) > 5)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(RUN_SECONDS) == 0
    assert runs.seen()[-1] == "ended interrupted"
    done = len(runs.seen()) - 1
    assert len(list(runs.daemon.manager().results("p"))) == done
    shown = runs.daemon.client().call(calls.show("p"))
    assert (shown.state, shown.progress.completed) == ("interrupted", done)


def test_a_stop_that_an_operator_asks_for_is_heard(runs: Runs) -> None:
    worker = runs.start("slow", "p", 10_000)
    wait_until(runs.seen)
    assert runs.daemon.client().call(calls.stop("p"))
    assert worker.wait(RUN_SECONDS) == 0
    assert runs.seen()[-1] == "ended interrupted"


def test_the_item_that_kills_its_worker_is_set_aside_and_the_rest_is_done(runs: Runs) -> None:
    statuses = [runs.run("poison", "p", 6, 3) for _ in range(6) if state_or_none(runs.daemon, "p") != "completed"]
    assert statuses[-1] == 0
    assert set(statuses[:-1]) == {-signal.SIGABRT}
    results = {one.item: one.error for one in runs.daemon.manager().results("p")}
    assert [item for item, error in results.items() if error is not None] == [3]
    assert set(results) == set(range(6))


def state_or_none(daemon: RunningDaemon, process_id: str) -> str | None:  # noqa: F811
    try:
        wait_until(lambda: state_of(daemon, process_id) != "running")
        return state_of(daemon, process_id)
    except NotFound:
        return None


def test_a_completed_id_begins_a_new_life(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    for life in range(2):
        with manager.process("p") as process:
            assert not process.resumed
            assert [item * 10 + life for item in process.track(range(3))] == [life, 10 + life, 20 + life]


def test_a_paused_process_goes_on(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    with manager.process("p") as process:
        for item in process.track(range(5)):
            if item == 2:
                break
    assert state_of(daemon, "p") == "paused"
    with manager.process("p") as process:
        assert process.resumed
        assert list(process.track(range(7))) == [2, 3, 4, 5, 6]  # two were appended
    assert state_of(daemon, "p") == "completed"


def test_large_states_cross_in_pieces_and_come_back(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    state = {"weights": bytes(range(256)) * 20_000, "small": [1, 2], "more": bytearray(3_000_000)}
    with manager.process("p") as process:
        process.save(state).wait()
    with manager.process("p") as process:
        assert process.restore() == state
        lazily = process.restore(lazy=True)
        assert set(lazily) == {"state", "state/0", "state/1"}
        assert lazily["state/0"] == state["weights"]


def test_fingerprint_and_schema_version(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    with manager.process("p", fingerprint={"lr": 1}, schema_version=1) as process:
        process.save({"v": 1}).wait()
    with pytest.raises(Conflict, match="fingerprint"):
        manager.process("p", fingerprint={"lr": 2})
    with manager.process("p", fingerprint={"lr": 2}, on_change="warn", schema_version=2) as process:
        assert process.restore(upgrade=lambda state, version: {**state, "from": version}) == {"v": 1, "from": 1}
    with manager.process("p", fingerprint={"lr": 3}, on_change="restart") as process:
        assert not process.resumed
        assert process.restore("none") == "none"


def test_failed_items_and_members_and_results(daemon: RunningDaemon) -> None:  # noqa: F811
    manager, pool = daemon.manager(), daemon.manager()
    with manager.process("p") as process, pool.member(process.member_token()) as member:
        for item in process.track(["a", "b", "c"]):
            if item == "b":
                member.fail_item(item, "why")
            elif item == "a":
                member.record(item, item.upper())
    assert state_of(daemon, "p") == "paused"  # nobody recorded c
    with manager.process("p") as process:
        assert list(process.track(["a", "b", "c"], retry_failed=True)) == ["b", "c"]
        assert next((one.item, one.value) for one in process.results()) == ("a", "A")
    assert state_of(daemon, "p") == "completed"


def test_progress_of_twenty_thousand_steps_stands_in_the_table(daemon: RunningDaemon) -> None:  # noqa: F811
    process = daemon.manager().process("p", total_steps=20_000)
    for _ in range(20_000):
        process.advance()
    wait_until(lambda: daemon.client().call(calls.show("p")).progress.completed == 20_000)


def work(manager: CheckpointManager, process_id: str, rng: random.Random, death_rate: float) -> dict[str, int] | None:
    """A stateful loop that may end as a killed worker does, without a word. Its final state, or None."""
    state: dict[str, int] = {}
    process = manager.process(process_id, checkpoint_interval=3600.0, checkpoint_progress=7.0)
    for item in process.track(range(100), state=state):
        state["sum"] = state.get("sum", 0) + item
        state["hash"] = (state.get("hash", 7) * 31 + item) % 1_000_003
        process.record(item, dict(state))
        if rng.random() < 0.1:
            process.save(state).wait()
        if rng.random() < death_rate:
            if rng.random() < 0.5:
                process.flush()
            process._outbox.close()
            return None
    process.complete()
    return state


def test_fifty_interruptions_at_random_change_nothing(
    daemon: RunningDaemon,  # noqa: F811
    rng: random.Random,
) -> None:
    manager = daemon.manager()
    whole = work(manager, "whole", rng, 0.0)
    deaths = [work(manager, "cut", rng, 0.2) is None for _ in range(60)]
    assert deaths.count(True) >= 50
    assert work(manager, "cut", rng, 0.0) == whole
    whole_results, cut_results = (
        sorted((repr(one.item), repr(one.value)) for one in manager.results(name)) for name in ("whole", "cut")
    )
    assert cut_results == whole_results
