"""`manager.storage`: checkpoints by their ids, over a real daemon."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ckptclient import CheckpointManager, CheckpointMetadata, CheckpointStatus, CheckpointType, ProcessingState
from ckptclient.errors import BadRequest
from tests.daemon import RunningDaemon, shared_daemon  # noqa: F401


@pytest.fixture
def manager(shared_daemon: RunningDaemon) -> Iterator[CheckpointManager]:  # noqa: F811
    with CheckpointManager(socket_path=shared_daemon.socket) as one:
        yield one


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A process id of the test's own."""
    return str(request.node.name)


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


def test_one_that_has_progress_alone_gives_that(manager: CheckpointManager, name: str) -> None:
    manager.register_process(name, "t", 10, "words")
    metadata, data = manager.storage.load_checkpoint(manager.storage.list_checkpoints(name)[0].checkpoint_id)
    assert (data["process_id"], data["total_steps"], data["metadata"]) == (name, 10, {"description": "words"})
    assert metadata.checkpoint_type is CheckpointType.PROCESSING_STATE


def test_a_processing_state_is_stored_as_its_fields(manager: CheckpointManager, name: str) -> None:
    state = ProcessingState(name, "t", "s", 10, 5, processed_items=["a"])
    created = manager.create_checkpoint(name, "t", "processing_state", state)
    _, data = manager.storage.load_checkpoint(created)
    assert ProcessingState(**data) == state


def test_more_than_a_page_is_listed(manager: CheckpointManager, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptclient.storage.PAGE_COUNT", 2)
    ids = [manager.create_checkpoint(name, "t", "custom", number) for number in range(5)]
    assert [one.checkpoint_id for one in manager.storage.list_checkpoints(name)] == ids[::-1]


@pytest.mark.parametrize("wanted", [{"checkpoint_type": "nonsense"}, {"status": "nonsense"}])
def test_an_unknown_filter_says_what_is_accepted(manager: CheckpointManager, wanted: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="accepted"):
        manager.storage.list_checkpoints(**wanted)
