"""Monitor and optimizer: complete from the first call, measured or None, never invented."""

from collections.abc import Iterator

import pytest

from ckptclient import CheckpointConfig, CheckpointManager, CheckpointMonitor, CheckpointOptimizer, calls
from ckptclient.monitor import setup_checkpoint_system
from ckptclient.results import StoreStatus
from tests.daemon import RunningDaemon, shared_daemon  # noqa: F401

STATUS = {
    "version": "0", "pid": 1, "uptime_seconds": 1.0, "store_path": "/", "lineage": b"", "read_only": None,
    "connections": 1, "processes": {}, "checkpoints": 3, "limit_bytes": 1000, "used_bytes": 100, "free_bytes": 10_000,
    "commits": {}, "last_cleanup": None,
}  # fmt: skip


@pytest.fixture
def manager(shared_daemon: RunningDaemon) -> Iterator[CheckpointManager]:  # noqa: F811
    with CheckpointManager(socket_path=shared_daemon.socket) as one:
        yield one


def answering(monkeypatch: pytest.MonkeyPatch, manager: CheckpointManager, **changes: object) -> CheckpointMonitor:
    """A monitor whose daemon says this of its store."""
    call = manager.client.call
    status = StoreStatus.read(STATUS | changes)
    monkeypatch.setattr(manager.client, "call", lambda one: status if one.method == "store.status" else call(one))
    return CheckpointMonitor(manager)


@pytest.mark.parametrize(
    ("changes", "word", "score"),
    [
        ({}, "healthy", 100),
        ({"limit_bytes": None, "used_bytes": 10**9, "free_bytes": 10**12}, "healthy", 100),
        ({"used_bytes": 850}, "warning", 85),
        ({"used_bytes": 960}, "warning", 70),
        ({"used_bytes": 960, "free_bytes": 1}, "critical", 55),
        ({"read_only": "the disk is full"}, "critical", 40),
    ],
)
def test_the_score_says_what_it_is_made_of(
    monkeypatch: pytest.MonkeyPatch, manager: CheckpointManager, changes: dict[str, object], word: str, score: int
) -> None:
    report = answering(monkeypatch, manager, **changes).get_health_report()
    assert (report["status"], report["health_score"]) == (word, score)
    assert len(report["issues"]) == len(report["recommendations"])
    assert bool(report["issues"]) is (score < 100)


def test_a_report_is_complete_from_the_first_call_on(manager: CheckpointManager) -> None:
    monitor = CheckpointMonitor(manager)
    first = monitor.get_health_report()
    assert set(first) == {"status", "health_score", "issues", "metrics", "trends", "recommendations"}
    assert first["trends"]["storage_change_mb"] is None
    assert first["metrics"]["storage"]["total_size_bytes"] >= 0
    second = monitor.get_health_report()
    assert second["trends"]["storage_change_mb"] is not None


def test_without_a_daemon_there_is_no_data(shared_daemon: RunningDaemon) -> None:  # noqa: F811
    with CheckpointManager(socket_path=f"{shared_daemon.socket}.gone", on_unavailable="raise") as manager:
        report = CheckpointMonitor(manager).get_health_report()
    assert report["status"] == "no_data"
    assert "gone" in report["message"]
    assert report["issues"] == []


def test_monitoring_starts_and_stops_harmlessly(manager: CheckpointManager) -> None:
    monitor = CheckpointMonitor(manager)
    for _ in range(2):
        monitor.start_monitoring()
    for _ in range(2):
        monitor.stop_monitoring()


def test_the_optimizer_says_what_it_did_and_what_is_known(manager: CheckpointManager) -> None:
    manager.create_checkpoint("p", "t", "custom", {"data": "x" * 10_000}, ttl_hours=0.0000001)
    optimizer = CheckpointOptimizer(manager=manager)
    done = optimizer.optimize_storage()
    assert set(done) == {
        "actions_taken", "space_freed_mb", "checkpoints_archived", "checkpoints_compressed", "checkpoints_deduplicated",
    }  # fmt: skip
    assert any("expired" in action for action in done["actions_taken"])
    manager.create_checkpoint("p", "t", "custom", {"data": "y" * 10_000})
    analysis = optimizer.analyze_performance()
    assert 0 < analysis["storage_efficiency"]["compression_ratio"] <= 1
    assert analysis["storage_efficiency"]["fragmentation_ratio"] is None
    assert set(analysis["access_patterns"].values()) == {None}
    resources = analysis["performance_metrics"]["system_resources"]
    assert 0 <= resources["disk_percent"] <= 100
    assert 0 <= resources["memory_percent"] <= 100
    assert isinstance(analysis["recommendations"], list)


def test_setup_gives_both_ready(shared_daemon: RunningDaemon, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("CKPTD_SOCKET", str(shared_daemon.socket))
    manager, monitor = setup_checkpoint_system(CheckpointConfig(auto_checkpoint_interval=60))
    try:
        assert monitor.manager is manager
        assert manager.auto_checkpoint_interval == 60
        assert manager.client.call(calls.ping()) > 0
    finally:
        manager.stop_background_tasks()
        monitor.stop_monitoring()
        manager.close()
