"""The contract of the original's API, over a real daemon."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import ckptclient
from ckptclient import (
    CheckpointConfig,
    CheckpointManager,
    CheckpointMetadata,
    CheckpointStatus,
    CheckpointType,
    ProcessingState,
)
from ckptclient.errors import BadRequest, Encoding, Fenced, Held, UnknownProcess
from tests.daemon import RunningDaemon, shared_daemon  # noqa: F401


@pytest.fixture
def manager(shared_daemon: RunningDaemon) -> Iterator[CheckpointManager]:  # noqa: F811
    with CheckpointManager(socket_path=shared_daemon.socket) as one:
        yield one


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A process id of the test's own."""
    return str(request.node.name)


def test_register_gives_a_live_state_and_an_initial_checkpoint(manager: CheckpointManager, name: str) -> None:
    state = manager.register_process(name, "task", 100, description="words")
    assert isinstance(state, ProcessingState)
    assert (state.process_id, state.task_id, state.current_step, state.total_steps) == (
        name,
        "task",
        "initialized",
        100,
    )
    assert (state.completed_steps, state.progress_percentage, state.metadata) == (0, 0.0, {"description": "words"})
    assert state.start_time.tzinfo is not None
    assert manager.active_processes == {name: state}
    (initial,) = manager.storage.list_checkpoints(process_id=name)
    assert initial.checkpoint_id.startswith(f"{name}_processing_state_")


def test_updates_show_in_the_state_that_was_given_out_and_metadata_is_merged(
    manager: CheckpointManager, name: str
) -> None:
    state = manager.register_process(name, "task", 100)
    assert manager.update_process_progress(name, 40, "step 40", {"a": 1}) is state
    manager.update_process_progress(name, metadata={"b": [2]})
    assert (state.completed_steps, state.progress_percentage, state.current_step) == (40, 40.0, "step 40")
    assert state.metadata == {"a": 1, "b": [2]}


def test_each_five_percent_makes_a_checkpoint_unless_it_is_not_wanted(manager: CheckpointManager, name: str) -> None:
    manager.register_process(name, "task", 100)
    for step in range(1, 21):
        manager.update_process_progress(name, step)
    assert len(manager.storage.list_checkpoints(process_id=name)) == 1 + 4
    for step in range(21, 41):
        manager.update_process_progress(name, step, auto_checkpoint=False)
    assert len(manager.storage.list_checkpoints(process_id=name)) == 1 + 4


@pytest.mark.parametrize(
    "act",
    [
        lambda manager: manager.update_process_progress("nobody", 1),
        lambda manager: manager.complete_process("nobody"),
        lambda manager: manager.fail_process("nobody"),
    ],
)
def test_an_unknown_process_is_a_value_error(manager: CheckpointManager, act: Any) -> None:
    with pytest.raises(ValueError, match="nobody") as caught:
        act(manager)
    assert isinstance(caught.value, UnknownProcess)


def test_complete_makes_the_final_checkpoint_and_the_earlier_ones_completed(
    manager: CheckpointManager, name: str
) -> None:
    manager.register_process(name, "task", 10)
    manager.update_process_progress(name, 10, "all")
    final = manager.complete_process(name, {"result": (1, 2)})
    assert name not in manager.active_processes
    metadata, data = manager.storage.load_checkpoint(final)
    assert data["final_data"] == {"result": (1, 2)}
    assert (data["state"]["completed_steps"], data["state"]["current_step"]) == (10, "all")
    assert metadata.ttl_hours == pytest.approx(168)
    listed = manager.storage.list_checkpoints(process_id=name)
    assert listed[0].checkpoint_id == final
    assert {one.status for one in listed} == {CheckpointStatus.COMPLETED}
    assert manager.recover_process(name) is None


def test_recover_gives_the_state_as_of_its_checkpoint(shared_daemon: RunningDaemon, name: str) -> None:  # noqa: F811
    before, after = shared_daemon.manager(), shared_daemon.manager()
    before.register_process(name, "task", 100)
    before.update_process_progress(name, 50, "half", {"k": "v"})
    before.update_process_progress(name, 52, "more")  # no checkpoint has seen this
    before.create_checkpoint(name, "task", CheckpointType.PROCESSING_STATE, {"error": "other data"})
    recovered = after.recover_process(name)
    assert recovered is not None
    assert (recovered.completed_steps, recovered.current_step, recovered.total_steps) == (52, "more", 100)
    assert (recovered.task_id, recovered.metadata) == ("task", {"k": "v"})
    with pytest.raises(Fenced):
        before.update_process_progress(name, 60)
    assert after.update_process_progress(name, 60) is recovered
    after.complete_process(name)


def test_recover_of_what_was_never_there_is_none(manager: CheckpointManager, name: str) -> None:
    assert manager.recover_process(name) is None


def test_recover_takes_the_newest_checkpoint_that_holds_a_state(manager: CheckpointManager, name: str) -> None:
    manager.register_process(name, "task", 100)
    manager.update_process_progress(name, 10)
    manager.update_process_progress(name, 12, auto_checkpoint=False)
    recovered = manager.recover_process(name)
    assert recovered is not None
    assert recovered.completed_steps == 10


def test_fail_leaves_an_error_checkpoint_and_can_be_recovered(manager: CheckpointManager, name: str) -> None:
    manager.register_process(name, "task", 10)
    manager.update_process_progress(name, 4)
    checkpoint_id = manager.fail_process(name, RuntimeError("disk on fire"))
    _, data = manager.load_checkpoint(checkpoint_id)
    assert data["error"] == "RuntimeError: disk on fire"
    recovered = manager.recover_process(name)
    assert recovered is not None
    assert recovered.completed_steps == 4


@pytest.mark.parametrize("kind", list(CheckpointType))
def test_create_without_registration(manager: CheckpointManager, kind: CheckpointType) -> None:
    process_id = f"unregistered-{kind.value}"
    data = {"epoch": 15, "when": datetime(2026, 1, 1, tzinfo=UTC), "shape": (1, 2)}
    created = manager.create_checkpoint(process_id, "t", kind, data, "words", ["x", "y"], ttl_hours=0.5)
    assert created.startswith(f"{process_id}_{kind.value}_")
    metadata, loaded = manager.load_checkpoint(created)
    assert loaded == data
    assert (metadata.checkpoint_type, metadata.description, sorted(metadata.tags)) == (kind, "words", ["x", "y"])
    assert (metadata.task_id, metadata.process_id, metadata.status) == ("t", process_id, CheckpointStatus.ACTIVE)
    assert metadata.ttl_hours == pytest.approx(0.5)
    assert metadata.size_bytes > 0


def test_what_cannot_be_stored_is_refused_with_its_path(manager: CheckpointManager) -> None:
    with pytest.raises(Encoding, match=r'state\["model"\]\[1\]'):
        manager.create_checkpoint("p", "t", "custom", {"model": [1, object()]})
    with pytest.raises(BadRequest, match="accepted"):
        manager.create_checkpoint("p", "t", "nonsense", 1)


def test_one_held_elsewhere_is_protected(shared_daemon: RunningDaemon, name: str) -> None:  # noqa: F811
    holder, other = shared_daemon.manager(), shared_daemon.manager()
    holder.register_process(name, "t", 10)
    with pytest.raises(Held):
        other.create_checkpoint(name, "t", "custom", 1)
    assert holder.create_checkpoint(name, "t", "custom", 1)


def test_callbacks_hear_of_every_checkpoint(manager: CheckpointManager, name: str) -> None:
    told: list[tuple[str, str, CheckpointType]] = []
    here = threading.get_ident()

    async def on_created(checkpoint_id: str, event_type: str, metadata: CheckpointMetadata) -> None:
        assert threading.get_ident() != here
        told.append((checkpoint_id, event_type, metadata.checkpoint_type))

    manager.add_checkpoint_callback("created", on_created)
    manager.register_process(name, "t", 10)
    model = manager.create_checkpoint(name, "t", CheckpointType.MODEL_STATE, 1)
    loose = manager.create_checkpoint(f"{name}-loose", "t", CheckpointType.CUSTOM, 1)
    final = manager.complete_process(name)
    manager.stop_background_tasks()
    assert [one[0] for one in told][1:] == [model, loose, final]
    assert told[1][1:] == ("created", CheckpointType.MODEL_STATE)


def test_system_statistics(manager: CheckpointManager, name: str) -> None:
    state = manager.register_process(name, "task", 100)
    manager.update_process_progress(name, 25, "quarter")
    stats = manager.get_system_stats()
    assert stats["active_processes"] == 1
    details = stats["process_details"][name]
    assert details == {
        "task_id": "task",
        "progress": 25.0,
        "current_step": "quarter",
        "start_time": state.start_time.isoformat(),
        "estimated_completion": state.estimated_completion and state.estimated_completion.isoformat(),
    }
    assert "status_counts" in stats["storage"]


def test_background_tasks_start_and_stop_harmlessly(manager: CheckpointManager) -> None:
    for _ in range(2):
        manager.start_background_tasks()
    for _ in range(2):
        manager.stop_background_tasks()


def test_processed_items_are_those_of_the_journal(manager: CheckpointManager, name: str) -> None:
    with manager.process(name) as process:
        for item in process.track(["a", "b", "c"]):
            if item == "b":
                process.fail_item(item, "why")
        process.flush()
        state = process.state
        assert list(state.processed_items) == ["a", "c"] == state.processed_items
        assert (len(state.processed_items), state.processed_items[1], state.failed_items[-1]) == (2, "c", "b")


def test_many_threads_share_a_manager(manager: CheckpointManager, name: str) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            process_id = f"{name}-{number}"
            manager.register_process(process_id, "t", 20)
            for step in range(1, 21):
                manager.update_process_progress(process_id, step)
            manager.complete_process(process_id)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert not manager.active_processes


def test_everything_is_exported() -> None:
    for exported in (
        "CheckpointManager", "AsyncCheckpointManager", "CheckpointConfig", "CheckpointMonitor", "CheckpointOptimizer",
        "CheckpointMetadata", "CheckpointStatus", "CheckpointType", "ProcessingState", "create_checkpoint_config",
        "setup_checkpoint_system", "register_type", "Process", "Member", "Result", "Saved", "Stopped",
    ):  # fmt: skip
        assert getattr(ckptclient, exported).__name__ == exported


def test_a_limit_that_does_not_count_is_warned_of_once(
    shared_daemon: RunningDaemon,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = CheckpointConfig(max_storage_size_gb=0.001)
    with CheckpointManager(config, socket_path=shared_daemon.socket) as manager:
        for _ in range(2):
            manager.start_background_tasks()
    assert len([one for one in caplog.messages if "max_storage_size_gb" in one]) == 1


def test_a_configurations_intervals_and_ttl_go_with_its_registrations(
    shared_daemon: RunningDaemon,  # noqa: F811
    name: str,
) -> None:
    config = CheckpointConfig(auto_checkpoint_interval=7, default_ttl_hours=2)
    with CheckpointManager(config, socket_path=shared_daemon.socket) as manager:
        policy = manager.process(name)._registered.policy
        assert (policy.interval_seconds, policy.ttl_seconds) == (7.0, 7200.0)
        manager.register_process(f"{name}-2", "t", 10)
        assert manager.list_checkpoints(f"{name}-2")[0].ttl_hours == pytest.approx(2)


def test_what_a_process_asks_for_goes_before_it(manager: CheckpointManager, name: str) -> None:
    process = manager.process(name, checkpoint_interval="auto", checkpoint_progress=50, ttl_hours=1, abandon_after=9)
    policy = process._registered.policy
    assert (policy.auto, policy.progress_percent, policy.abandon_after_seconds) == (True, 50.0, 9.0)
    process.save({"a": 1}).wait()
    assert manager.list_checkpoints(name)[0].ttl_hours == pytest.approx(1)


def test_a_pickled_state_needs_the_word_for_it(manager: CheckpointManager, name: str) -> None:
    manager.process(name).save({"range": slice(3)}, serializer="pickle").wait()
    with pytest.raises(Encoding, match="pickle"):
        manager.process(name).restore()
    assert manager.process(name).restore(allow_pickle=True) == {"range": slice(3)}


@pytest.mark.parametrize("wrong", ["sometimes", None])
def test_on_unavailable_is_one_of_three(wrong: Any) -> None:
    with pytest.raises(BadRequest, match="on_unavailable"):
        CheckpointManager(on_unavailable=wrong)
