"""Results as JSON documents; owns the *contract* that `docs/CLI_JSON_OUTPUT.md` writes down.

Names carry units, times are RFC 3339 in UTC, what is unknown is null, what is empty is []. Nothing is rounded. Keys
are only ever added within a `SCHEMA`. Not for: people's tables.
"""

import json
from array import array
from base64 import b64encode
from collections import deque
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from math import isfinite
from typing import Any

from ckptclient import results
from ckptclient.errors import CkptdError, Encoding
from ckptclient.payload import decode_value

SCHEMA = 1

Document = dict[str, object]


def time_of(at: int | None) -> str | None:
    """RFC 3339 of microseconds since 1970, always with six digits of the second."""
    if at is None:
        return None
    when = datetime.fromtimestamp(at // 1_000_000, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{at % 1_000_000:06d}Z"


def value(packed: bytes | None) -> object:
    """A value that the application encoded, as near as JSON comes to it; null where there is none."""
    if not packed:
        return None
    try:
        return jsonable(decode_value(packed))
    except Encoding:
        return {"base64": b64encode(packed).decode()}


def jsonable(plain: object) -> object:
    """What JSON has no form for becomes the nearest that it has; the document of the contract has the table."""
    if plain is None or isinstance(plain, bool | int | str):
        return plain if type(plain).__module__ == "builtins" else _scalar(plain)
    if isinstance(plain, float):
        return float(plain) if isfinite(plain) else {"text": repr(float(plain))}
    if isinstance(plain, bytes | bytearray | memoryview):
        return {"base64": b64encode(plain).decode()}
    if isinstance(plain, Mapping):
        return _object(plain)
    if isinstance(plain, datetime | date | time):
        return plain.isoformat()
    if isinstance(plain, list | tuple | set | frozenset | deque | array | range):
        return [jsonable(inner) for inner in plain]
    if is_array(plain):
        return _array(plain)
    return _scalar(plain)


def is_array(plain: object) -> bool:
    """Whether it is a NumPy array; NumPy isn't loaded to find that out."""
    return type(plain).__module__ == "numpy" and type(plain).__name__ == "ndarray"


def _array(plain: Any) -> Document:
    # Times as text: NumPy gives them as numbers of a unit, or not at all.
    elements = plain.astype(str) if plain.dtype.kind in "mM" else plain
    return {"dtype": str(plain.dtype), "shape": list(plain.shape), "data": jsonable(elements.tolist())}


def _object(plain: Mapping[object, object]) -> object:
    """An object, or its pairs where two keys would become one: nothing is left out."""
    keys = [key if isinstance(key, str) else str(key) for key in plain]
    if len(set(keys)) < len(keys):
        return {"pairs": [[jsonable(key), jsonable(inner)] for key, inner in plain.items()]}
    return {key: jsonable(inner) for key, inner in zip(keys, plain.values(), strict=True)}


def _scalar(plain: object) -> object:
    """A NumPy scalar as the number that it is; anything else as its text."""
    item = getattr(plain, "item", None)
    if callable(item) and hasattr(plain, "dtype"):
        number = item()
        if isinstance(number, bool | int | float | str | bytes):
            return jsonable(number)
    return {"text": str(plain)}


def line(document: Mapping[str, object]) -> str:
    """A document as `--json` prints it: one line, in ASCII, so that no terminal and no locale spoils it."""
    return plain_line({"schema": SCHEMA, **document})


def plain_line(document: Mapping[str, object]) -> str:
    """Without the schema: an error's object."""
    return json.dumps(document) + "\n"


def pretty(plain: object) -> str:
    """A value for people."""
    return json.dumps(plain, indent=2)


def progress(info: results.ProgressInfo) -> Document:
    """Where a process stands."""
    return {
        "total": info.total,
        "completed": info.completed,
        "percent": info.percent,
        "per_second": info.per_second,
        "eta": time_of(info.eta),
        "step": info.step or None,
        "batch": info.batch or None,
        "metadata": value(info.metadata),
        "items_done": info.done,
        "items_failed": info.failed,
        "updated_at": time_of(info.updated_at or None),
    }


def checkpoint(info: results.CheckpointInfo) -> Document:
    """One checkpoint."""
    return {
        "checkpoint_id": info.checkpoint_id,
        "process_id": info.process_id,
        "user": info.user,
        "task_id": info.task_id or None,
        "seq": info.seq,
        "epoch": info.epoch,
        "type": info.type,
        "status": info.status,
        "created_at": time_of(info.created_at),
        "expires_at": time_of(info.expires_at),
        "pinned": info.pinned,
        "size_bytes": info.size_bytes,
        "stored_bytes": info.stored_bytes,
        "has_state": info.has_state,
        "journal_position": info.journal_position,
        "schema_version": info.schema_version,
        "checksum_sha256": info.checksum.hex(),
        "description": info.description or None,
        "tags": list(info.tags),
        "metadata": value(info.metadata),
        "depends": list(info.depends),
        "restore_attempts": info.attempts,
        "proven_at": time_of(info.proven_at),
    }


def part(info: results.PartInfo) -> Document:
    """One part of a checkpoint, without its bytes."""
    return {"name": info.name, "size_bytes": info.size_bytes, "form": value(info.form)}


def process(info: results.ProcessInfo, now: int) -> Document:
    """One process; `at_risk_seconds` is what a crash would cost now."""
    holder = info.holder
    return {
        "process_id": info.process_id,
        "user": info.user,
        "uid": info.uid,
        "task_id": info.task_id or None,
        "description": info.description or None,
        "state": info.state,
        "mode": None if info.mode == "unknown" else info.mode,
        "epoch": info.epoch,
        "progress": progress(info.progress),
        "holder": None
        if holder is None
        else {"pid": holder.pid, "alive": holder.alive, "since": time_of(holder.since)},
        "at_risk_seconds": at_risk(info, now),
        "checkpoint_count": info.checkpoints,
        "last_checkpoint": None if info.last_checkpoint is None else checkpoint(info.last_checkpoint),
        "registered_at": time_of(info.registered_at),
        "ended_at": time_of(info.ended_at),
        "death_count": info.deaths,
        "journal": {
            "position": info.journal.position,
            "items_done": info.journal.done,
            "items_failed": info.journal.failed,
        },
        "proven_at": time_of(info.proven_at),
        "proven_seq": info.proven_seq,
    }


def at_risk(info: results.ProcessInfo, now: int) -> float | None:
    """Seconds of work that a crash would cost: the age of the newest checkpoint; None where nobody works."""
    if info.state not in ("running", "stalled"):
        return None
    last = info.last_checkpoint
    saved_at = info.registered_at if last is None else max(last.created_at, info.registered_at)
    return max(0.0, (now - saved_at) / 1e6)


def proven(info: results.Proven) -> Document:
    """One process's drill."""
    return {
        "process_id": info.process_id,
        "user": info.user,
        "checkpoint_id": info.checkpoint_id,
        "seq": info.seq,
        "proven_at": time_of(info.proven_at),
        "size_bytes": info.size_bytes,
        "seconds": info.seconds,
        "damaged": [{"checkpoint_id": one.checkpoint_id, "why": one.why} for one in info.damaged],
    }


def record(info: results.RecordInfo) -> Document:
    """One item's end; of `result` and `error` one is null."""
    failed = info.kind != 0
    return {
        "position": info.position,
        "outcome": "failed" if failed else "done",
        "ordinal": None if info.ordinal < 0 else info.ordinal,
        "item": value(info.item),
        "result": None if failed else value(info.result),
        "error": value(info.result) if failed else None,
        "recorded_at": time_of(info.at),
    }


def event(info: results.EventInfo) -> Document:
    """Something that happened; `data` depends on the kind."""
    return {
        "seq": info.seq,
        "at": time_of(info.at),
        "kind": info.kind,
        "process_id": info.process_id,
        "user": info.user,
        "data": jsonable(info.data),
    }


def store(info: results.StoreStatus) -> Document:
    """The store at a glance."""
    return {
        "path": info.store_path,
        "lineage": info.lineage.hex(),
        "read_only": info.read_only,
        "limit_bytes": info.limit_bytes,
        "used_bytes": info.used_bytes,
        "free_bytes": info.free_bytes,
        "checkpoint_count": info.checkpoints,
        "last_cleanup": time_of(info.last_cleanup),
        "commits": jsonable(info.commits),
    }


def ending(info: results.EndingInfo) -> Document:
    """One checkpoint that a cleanup would end."""
    return {
        "checkpoint_id": info.checkpoint_id,
        "user": info.user,
        "why": info.why,
        "size_bytes": info.size_bytes,
        "stored_bytes": info.stored_bytes,
    }


def daemon(info: results.StoreStatus) -> Document:
    """The daemon at a glance."""
    return {
        "version": info.version,
        "pid": info.pid,
        "uptime_seconds": info.uptime_seconds,
        "connection_count": info.connections,
    }


def error(problem: CkptdError) -> Document:
    """What stderr has where a verb failed."""
    return {
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "retryable": problem.retryable,
        "details": jsonable(problem.details),
    }
