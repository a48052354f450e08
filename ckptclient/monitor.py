"""`CheckpointOptimizer` and `CheckpointMonitor`: how the store is, as programs of the original ask for it.

Every figure is measured when it is asked for; what isn't known is None, and never a guess. Not for: deciding what is
kept or removed, which is the daemon's.
"""

import os
import shutil
import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ckptclient import calls, clock
from ckptclient.config import CheckpointConfig, moment
from ckptclient.errors import CkptdError
from ckptclient.manager import CheckpointManager
from ckptclient.results import StoreStatus

MEGABYTE = 1 << 20
SAMPLE_COUNT = 500
"""So many of the newest checkpoints stand for all where each would have to be looked at."""
SAMPLE_SECONDS = 60.0
SAMPLES_MAX = 1440
CPU_SECONDS = 0.1

HEALTHY, WARNING = 90, 70
"""The scores from which on a store counts as healthy, and from which on its state is a warning; below it is critical."""


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
            "recommendations": [advice for _, _, advice in _faults(status)],
        }

    def close(self) -> None:
        """End the connection, where it is its own."""
        if self._own is not None:
            self._own.close()


@dataclass(frozen=True, slots=True)
class Sample:
    """How much the store held at a moment (microseconds UTC)."""

    at: int
    used_bytes: int
    checkpoints: int


class CheckpointMonitor:
    """Watches a store from a program: samples on a thread, and a report that says what its score is made of."""

    def __init__(self, manager: CheckpointManager, config: CheckpointConfig | None = None) -> None:
        self.manager = manager
        self.config = config or manager.config
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start_monitoring(self) -> None:
        """Sample once a minute; harmless when repeated."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="ckptclient-monitor", daemon=True)
            self._thread.start()

    def stop_monitoring(self) -> None:
        """Stop sampling; harmless when repeated."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def get_health_report(self) -> dict[str, Any]:
        """Status, score from 0 to 100, what lowers it, figures, and what changed since the oldest sample.

        "healthy" from 90 on, "warning" from 70 on, else "critical"; "no_data" where no daemon answers.
        """
        try:
            status = self.manager.client.call(calls.status())
            metrics = {**self.manager.get_system_stats(), "store": _figures(status)}
        except CkptdError as error:
            return _report("no_data", None, [], {}, _trends(()), []) | {"message": str(error)}
        self._take(status)
        faults = _faults(status)
        score = max(0, 100 - sum(cost for cost, _, _ in faults))
        word = "healthy" if score >= HEALTHY else "warning" if score >= WARNING else "critical"
        issues, advice = [issue for _, issue, _ in faults], [one for _, _, one in faults]
        return _report(word, score, issues, metrics, _trends(tuple(self._samples)), advice)

    def _take(self, status: StoreStatus) -> None:
        self._samples.append(Sample(clock.now(), status.used_bytes, status.checkpoints))

    def _run(self) -> None:
        while not self._stopping.wait(SAMPLE_SECONDS):
            try:
                self._take(self.manager.client.call(calls.status()))
            except CkptdError:
                continue  # a report says so; the next sample may find the daemon again


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


def _trends(samples: tuple[Sample, ...]) -> dict[str, Any]:
    if len(samples) < 2:
        return {"storage_change_mb": None, "checkpoint_change": None, "since": None}
    first, last = samples[0], samples[-1]
    return {
        "storage_change_mb": (last.used_bytes - first.used_bytes) / MEGABYTE,
        "checkpoint_change": last.checkpoints - first.checkpoints,
        "since": moment(first.at).isoformat(),
    }


def _figures(status: StoreStatus) -> dict[str, Any]:
    return {
        "checkpoints": status.checkpoints,
        "used_mb": status.used_bytes / MEGABYTE,
        "free_mb": status.free_bytes / MEGABYTE,
        "utilization": _share(status),
        "processes": dict(status.processes),
        "uptime_seconds": status.uptime_seconds,
    }


def _faults(status: StoreStatus) -> list[tuple[int, str, str]]:
    """What lowers the score: by how much, what it is, and what to do."""
    faults = []
    share = _share(status)
    if status.read_only is not None:
        faults.append((60, f"the store can't be written: {status.read_only}", "mend what it names; reads go on"))
    if share is not None and share >= 0.8:
        cost = 30 if share >= 0.95 else 15
        faults.append(
            (cost, f"the store is {share:.0%} full", "shorten TTLs, delete checkpoints, or raise store.limit")
        )
    if status.free_bytes < status.used_bytes // 10:
        faults.append((15, "the file system is nearly full", "make room on it: commits need some"))
    return faults


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
