"""`CheckpointOptimizer` and `CheckpointMonitor`: how the store is, as programs of the original ask for it.

Every figure is measured, by the daemon or when it is asked for; what isn't known is None, and never a guess. Not for: deciding what is
kept or removed or how healthy that is, which is the daemon's.
"""

import os
import shutil
from itertools import islice
from typing import Any

from ckptclient import calls, clock
from ckptclient.config import CheckpointConfig, moment
from ckptclient.errors import CkptdError
from ckptclient.manager import CheckpointManager
from ckptclient.results import HealthReport, StoreStatus

MEGABYTE = 1 << 20
SAMPLE_COUNT = 500
"""So many of the newest checkpoints stand for all where each would have to be looked at."""
CPU_SECONDS = 0.1


class CheckpointOptimizer:
    """Gives space back, and says how well the store does."""

    def __init__(self, config: CheckpointConfig | None = None, manager: CheckpointManager | None = None) -> None:
        """Of the store that the configuration names, or of a manager that is there."""
        self.config = config or CheckpointConfig.from_environment()
        self._own = None if manager is not None else CheckpointManager(self.config)
        self._manager = manager or self._own
        assert self._manager is not None, "one of the two is always there"
        self._client = self._manager.client

    def optimize_storage(self) -> dict[str, Any]:
        """Have the daemon remove what has expired, and say what that gave."""
        cleaned = self._client.call(calls.cleanup())
        actions = [f"expired {cleaned.expired} checkpoints"] if cleaned.expired else []
        if cleaned.purged:
            actions.append(f"emptied {cleaned.purged} checkpoints from the trash")
        return {
            "actions_taken": actions,
            "space_freed_mb": cleaned.freed_bytes / MEGABYTE,
            "checkpoints_archived": 0,
            "checkpoints_compressed": 0,
            "checkpoints_deduplicated": 0,
        }

    def analyze_performance(self) -> dict[str, Any]:
        """Ratios of the store and figures of the machine; None for each that isn't measured."""
        assert self._manager is not None
        status = self._client.call(calls.status())
        stats = self._manager.storage.get_storage_stats()
        newest = list(islice(self._manager.storage.find(), SAMPLE_COUNT))
        size, stored = sum(one.size_bytes for one in newest), sum(one.stored_bytes for one in newest)
        return {
            "storage_efficiency": {
                "compression_ratio": stored / size if size else None,
                "fragmentation_ratio": None,
                "storage_utilization": _share(status),
            },
            "access_patterns": {
                "cache_hit_ratio": None,
                "avg_access_time_ms": None,
                "frequent_access_ratio": None,
            },
            "performance_metrics": {
                "system_resources": {
                    "cpu_percent": _cpu_percent(),
                    "memory_percent": _memory_percent(),
                    "disk_percent": _disk_percent(status.store_path),
                },
                "checkpoint_metrics": {"checkpoints": status.checkpoints, "commits": dict(status.commits), **stats},
            },
            "recommendations": _advice(self._client.call(calls.health())),
        }

    def close(self) -> None:
        """End the connection, where it is its own."""
        if self._own is not None:
            self._own.close()


class CheckpointMonitor:
    """The health of the daemon and its store, as the daemon measures it once a minute, whoever asks."""

    def __init__(self, manager: CheckpointManager, config: CheckpointConfig | None = None) -> None:
        self.manager = manager
        self.config = config or manager.config

    def start_monitoring(self) -> None:
        """Nothing to do: the daemon looks at itself, and over restarts. Here for programs of the original."""

    def stop_monitoring(self) -> None:
        """Nothing to do, as `start_monitoring`."""

    def get_health_report(self) -> dict[str, Any]:
        """Status, score from 0 to 100, what lowers it, figures, trends over at most a day, and what would help.

        "healthy" from 90 on, "warning" from 70 on, else "critical"; "no_data" where no daemon answers. `metrics` has
        the processes and the storage of `get_system_stats`, and under `store` and `health` the figures behind the
        score by name. A trend is None while there is too little to go by.
        """
        try:
            health, status = self.manager.client.call(calls.health()), self.manager.client.call(calls.status())
            metrics = {**self.manager.get_system_stats(), "store": _figures(status), "health": _components(health)}
        except CkptdError as error:
            return _report("no_data", None, [], {}, _trends(None), []) | {"message": str(error)}
        issues = [one.sentence for one in sorted(health.components, key=lambda one: -one.points) if one.points]
        return _report(health.level, health.score, issues, metrics, _trends(health), _advice(health))


def setup_checkpoint_system(config: CheckpointConfig | None = None) -> tuple[CheckpointManager, CheckpointMonitor]:
    """A manager and a monitor, ready: the node's daemon, else a private one that is started for the user."""
    manager = CheckpointManager(config)
    monitor = CheckpointMonitor(manager, config)
    manager.start_background_tasks()
    if monitor.config.monitoring_enabled:
        monitor.start_monitoring()
    return manager, monitor


def _report(
    status: str,
    score: int | None,
    issues: list[str],
    metrics: dict[str, Any],
    trends: dict[str, Any],
    advice: list[str],
) -> dict[str, Any]:
    return {
        "status": status,
        "health_score": score,
        "issues": issues,
        "metrics": metrics,
        "trends": trends,
        "recommendations": advice,
    }


def _trends(health: HealthReport | None) -> dict[str, Any]:
    found = {one.name: one for one in health.trends} if health is not None else {}
    used, left, checkpoints = found.get("used_bytes"), found.get("left_bytes"), found.get("checkpoints")
    begun = None if health is None or used is None else health.at - round(used.span_seconds * 1e6)
    growth = None if used is None else used.per_day
    return {
        "storage_change_mb": used.change / MEGABYTE if used is not None else None,
        "checkpoint_change": round(checkpoints.change) if checkpoints is not None else None,
        "since": moment(begun).isoformat() if begun is not None else None,
        "storage_growth_mb_per_day": growth / MEGABYTE if growth is not None else None,
        "seconds_until_full": left.seconds_until_zero if left is not None else None,
    }


def _components(health: HealthReport) -> dict[str, Any]:
    return {
        one.name: {"value": one.value, "unit": one.unit, "threshold": one.threshold, "points": one.points}
        for one in health.components
    }


def _advice(health: HealthReport) -> list[str]:
    return [f"{one.command}: {one.why}; it would give {one.gain}" for one in health.recommendations]


def _figures(status: StoreStatus) -> dict[str, Any]:
    return {
        "checkpoints": status.checkpoints,
        "used_mb": status.used_bytes / MEGABYTE,
        "free_mb": status.free_bytes / MEGABYTE,
        "utilization": _share(status),
        "processes": dict(status.processes),
        "uptime_seconds": status.uptime_seconds,
    }


def _share(status: StoreStatus) -> float | None:
    return status.used_bytes / status.limit_bytes if status.limit_bytes else None


def _cpu_percent() -> float | None:
    before = _cpu_times()
    clock.sleep(CPU_SECONDS)
    after = _cpu_times()
    if before is None or after is None or after[1] <= before[1]:
        return None
    return 100.0 * (1.0 - (after[0] - before[0]) / (after[1] - before[1]))


def _cpu_times() -> tuple[int, int] | None:
    """(idle, all) ticks since boot."""
    try:
        with open("/proc/stat") as stat:
            ticks = [int(word) for word in stat.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    return ticks[3] + ticks[4], sum(ticks)


def _memory_percent() -> float | None:
    try:
        with open("/proc/meminfo") as meminfo:
            figures = {line.split(":")[0]: int(line.split()[1]) for line in meminfo}
        return 100.0 * (1.0 - figures["MemAvailable"] / figures["MemTotal"])
    except (OSError, ValueError, LookupError):
        return None


def _disk_percent(path: str) -> float | None:
    if not os.path.isdir(path):
        return None
    usage = shutil.disk_usage(path)
    return 100.0 * usage.used / usage.total
