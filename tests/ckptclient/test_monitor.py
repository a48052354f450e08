"""Monitor and optimizer: complete from the first call, measured or None, never invented."""

from collections.abc import Iterator

import pytest

from ckptclient import CheckpointConfig, CheckpointManager, CheckpointMonitor, CheckpointOptimizer, calls
from ckptclient.monitor import setup_checkpoint_system
from ckptclient.results import HealthReport
from tests.daemon import RunningDaemon, shared_daemon  # noqa: F401

SPACE = {
    "name": "space", "value": 0.1, "unit": "share", "threshold": 0.2, "severe": 0.03, "weight": 40, "points": 24,
    "sentence": "10 % of the room is left", "processes": [],
}  # fmt: skip
FINE = SPACE | {"name": "loop_lag", "points": 0, "sentence": "the event loop was on time"}
TREND = {
    "name": "used_bytes", "now": 5e6, "change": 3 * 2**20, "span_seconds": 3600.0, "per_day": 72 * 2**20, "seconds_until_zero": None,
}  # fmt: skip
ADVICE = {"component": "space", "process": None, "command": "ckptctl cleanup", "why": "10 % is left", "gain": "4 GB"}
HEALTH = {
    "at": 1_750_000_000_000_000, "score": 76, "level": "warning", "components": [FINE, SPACE],
    "trends": [TREND, TREND | {"name": "left_bytes", "seconds_until_zero": 7200.0}, TREND | {"name": "checkpoints", "change": 17.0}],
    "recommendations": [ADVICE],
}  # fmt: skip


@pytest.fixture
def manager(shared_daemon: RunningDaemon) -> Iterator[CheckpointManager]:  # noqa: F811
    with CheckpointManager(socket_path=shared_daemon.socket) as one:
        yield one


def test_a_report_is_what_the_daemon_measured(monkeypatch: pytest.MonkeyPatch, manager: CheckpointManager) -> None:
    call = manager.client.call
    health = HealthReport.read(HEALTH)
    monkeypatch.setattr(manager.client, "call", lambda one: health if one.method == "health.report" else call(one))
    report = CheckpointMonitor(manager).get_health_report()
    assert (report["status"], report["health_score"]) == ("warning", 76)
    assert report["issues"] == ["10 % of the room is left"]
    assert report["recommendations"] == ["ckptctl cleanup: 10 % is left; it would give 4 GB"]
    assert report["metrics"]["health"]["space"] == {"value": 0.1, "unit": "share", "threshold": 0.2, "points": 24}
    assert report["trends"] == {
        "storage_change_mb": 3.0,
        "checkpoint_change": 17,
        "since": "2025-06-15T14:06:40+00:00",
        "storage_growth_mb_per_day": 72.0,
        "seconds_until_full": 7200.0,
    }


def test_a_report_is_complete_from_the_first_call_on(manager: CheckpointManager) -> None:
    first = CheckpointMonitor(manager).get_health_report()
    assert set(first) == {"status", "health_score", "issues", "metrics", "trends", "recommendations"}
    assert first["status"] in ("healthy", "warning", "critical")
    assert first["health_score"] == 100 - sum(one["points"] for one in first["metrics"]["health"].values())
    assert "storage_change_mb" in first["trends"]
    assert first["metrics"]["storage"]["total_size_bytes"] >= 0
    assert first["metrics"]["health"]["space"]["value"] > 0


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
