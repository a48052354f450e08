"""Stores as the original wrote them: its table, its files, and pickles of classes that nobody here can import."""

import gzip
import hashlib
import json
import pickle  # noqa: TID251  (what is to be read)
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, make_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any


def _unlockable() -> str:
    """Why no process can be locked in here; empty where one can."""
    program = "from ckptd.ctl.original.locking import lock; lock(); import os; os._exit(0)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    return "" if ran.returncode == 0 else ran.stderr.strip().rpartition("\n")[2]


UNLOCKABLE = _unlockable()

TABLE = """CREATE TABLE checkpoints (checkpoint_id TEXT PRIMARY KEY, checkpoint_type TEXT NOT NULL, process_id TEXT NOT NULL,
  task_id TEXT NOT NULL, created_at DATETIME NOT NULL, version TEXT DEFAULT '1.0', description TEXT, tags TEXT,
  dependencies TEXT, size_bytes INTEGER DEFAULT 0, compression BOOLEAN DEFAULT 1, encryption BOOLEAN DEFAULT 0,
  ttl_hours INTEGER DEFAULT 24, status TEXT DEFAULT 'active', file_path TEXT, checksum TEXT, metadata TEXT)"""

AT = datetime(2025, 6, 15, 12, 0)  # noqa: DTZ001  (the original's have no zone)

STATE_FIELDS = (
    "process_id", "task_id", "current_step", "total_steps", "completed_steps", "progress_percentage", "start_time",
    "last_update", "estimated_completion", "current_batch", "processed_items", "failed_items", "metadata",
)  # fmt: skip


@contextmanager
def original_classes() -> Iterator[Any]:
    """The original's module, for as long as something is pickled."""
    module: Any = ModuleType("checkpoint_system")
    module.ProcessingState = make_dataclass("ProcessingState", STATE_FIELDS)
    module.ProcessingState.__module__ = "checkpoint_system"
    statuses: Any = Enum
    module.CheckpointStatus = statuses("CheckpointStatus", {"ACTIVE": "active"}, module="checkpoint_system")
    sys.modules["checkpoint_system"] = module
    try:
        yield module
    finally:
        del sys.modules["checkpoint_system"]


def state(process_id: str = "etl", completed: int = 40) -> Any:
    """A `ProcessingState` of the original; within `original_classes`."""
    kind = sys.modules["checkpoint_system"].ProcessingState
    return kind(
        process_id,
        "nightly",
        f"batch {completed}",
        100,
        completed,
        float(completed),
        AT,
        AT,
        None,
        {"n": 4},
        ["a"],
        [],
        {"loss": 0.5},
    )


@dataclass
class OriginalStore:
    """A store that is being written."""

    path: Path
    count: int = 0
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.path / "data").mkdir(parents=True)
        with sqlite3.connect(self.path / "checkpoints.db") as connection:
            connection.execute(TABLE)

    def save(self, data: object, *, pickled: bytes | None = None, compression: bool = True, **columns: Any) -> str:
        """As the original saved a checkpoint; `pickled` in place of the data's own pickle."""
        self.count += 1
        name: str = columns.get("checkpoint_id", f"etl_custom_{self.count}")
        raw = pickle.dumps(data) if pickled is None else pickled
        path = self.path / "data" / f"{name}.pkl{'.gz' if compression else ''}"
        path.write_bytes(gzip.compress(raw) if compression else raw)
        row = {
            "checkpoint_id": name, "checkpoint_type": "custom", "process_id": "etl", "task_id": "nightly",
            "created_at": AT.replace(minute=self.count).isoformat(), "description": "", "tags": json.dumps(["old"]),
            "dependencies": "[]", "compression": compression, "ttl_hours": 24, "status": "active",
            "file_path": f"/somewhere/else/data/{path.name}", "checksum": hashlib.sha256(path.read_bytes()).hexdigest(),
            **columns,
        }  # fmt: skip
        with sqlite3.connect(self.path / "checkpoints.db") as connection:
            marks = ",".join("?" * len(row))
            connection.execute(f"INSERT INTO checkpoints ({','.join(row)}) VALUES ({marks})", list(row.values()))
        self.ids.append(name)
        return name
