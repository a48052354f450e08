"""The contract of the original's API, over a real daemon."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import ckptclient
from ckptclient import CheckpointManager, CheckpointMetadata, CheckpointStatus, CheckpointType, ProcessingState
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


def test_storage_saves_under_the_callers_id_and_again_replaces(manager: CheckpointManager, name: str) -> None:
    at = datetime.now(UTC) - timedelta(minutes=5)  # noqa: TID251 - the past, whenever that is
    metadata = CheckpointMetadata(f"{name}-mine", CheckpointType.QUEUE_STATE, at, name, "t", tags=["a"], ttl_hours=2)
    assert f"{name}-mine" in manager.storage.save_checkpoint(metadata, {"n": 1})
    assert metadata.size_bytes > 0
    manager.storage.save_checkpoint(metadata, {"n": 2})
    found, data = manager.storage.load_checkpoint(f"{name}-mine")
    assert data == {"n": 2}
    assert (found.process_id, found.tags, found.checkpoint_type) == (name, ["a"], CheckpointType.QUEUE_STATE)
    assert abs(found.created_at - at) < timedelta(milliseconds=1)
    assert len(manager.storage.list_checkpoints(process_id=name)) == 1


def test_storage_lists_newest_first_by_all_filters(manager: CheckpointManager, name: str) -> None:
    ids = [
        manager.create_checkpoint(name, task, kind, 1)
        for task, kind in (("a", "custom"), ("a", "model_state"), ("b", "custom"))
    ]
    listed = manager.storage.list_checkpoints

    def found(**wanted: Any) -> list[str]:
        return [one.checkpoint_id for one in listed(process_id=name, **wanted)]

    assert found() == ids[::-1]
    assert found(checkpoint_type=CheckpointType.CUSTOM) == [ids[2], ids[0]]
    assert found(checkpoint_type="model_state", status="active") == [ids[1]]
    assert found(status=CheckpointStatus.FAILED) == []


def test_storage_deletes_and_says_whether(manager: CheckpointManager, name: str) -> None:
    created = manager.create_checkpoint(name, "t", "custom", 1)
    assert manager.storage.delete_checkpoint(created) is True
    assert manager.storage.delete_checkpoint(created) is False
    assert manager.delete_checkpoint("no such thing") is False
    with pytest.raises(FileNotFoundError):
        manager.storage.load_checkpoint(created)


def test_storage_statistics_have_every_key(manager: CheckpointManager, name: str) -> None:
    manager.create_checkpoint(name, "t", CheckpointType.SYSTEM_STATE, 1)
    stats = manager.storage.get_storage_stats()
    assert set(stats["status_counts"]) == {one.value for one in CheckpointStatus}
    assert set(stats["type_counts"]) == {one.value for one in CheckpointType}
    assert stats["type_counts"]["system_state"] >= 1
    assert stats["total_size_bytes"] > 0
    assert stats["total_size_mb"] == round(stats["total_size_bytes"] / 2**20, 2)
    assert stats["storage_path"].endswith("store")


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
