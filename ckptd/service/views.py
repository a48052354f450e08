"""Rows and entries as the maps that a reply has; one place, so that every method shows a thing the same way."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgpack

from ckptd.core.cadence import Speed
from ckptd.core.change import CheckpointRow, ManifestPart, ProcessRow, ProgressNow
from ckptd.service.users import user_name
from ckptd.store.catalog.interface import Proof

Map = dict[str, object]

PROGRESS_PART = "progress"
"""The part that the daemon adds to every checkpoint of a process: where it stood."""
PROGRESS_FORM: bytes = msgpack.packb({"kind": "progress"})


PAGE_BYTES_MAX = 768 << 10
"""What an application's own values may take of one page, which has to fit a frame."""

_ROW_BYTES = 700
"""About what a row has besides, at most."""


def fitting(sizes: Iterable[int]) -> int:
    """How many rows of a page fit, by the bytes of their applications' values; at least one."""
    room, count = PAGE_BYTES_MAX, 0
    for size in sizes:
        room -= size + _ROW_BYTES
        if room < 0 and count:
            break
        count += 1
    return count


def progress(now: ProgressNow, at: int) -> Map:
    """PROGRESS of the protocol."""
    speed = Speed.unpack(now.speed)
    percent = min(100.0, 100.0 * now.completed / now.total) if now.total else None
    return {
        "total": now.total,
        "completed": now.completed,
        "step": now.step,
        "batch": now.batch,
        "metadata": now.metadata,
        "done": now.done,
        "failed": now.failed,
        "percent": percent,
        "updated_at": now.at,
        "eta": speed.eta(now.total, now.completed, at),
        "per_second": speed.per_second,
    }


def progress_part(now: ProgressNow) -> bytes:
    """What the progress part of a checkpoint has."""
    return msgpack.packb(
        {
            "total": now.total,
            "completed": now.completed,
            "step": now.step,
            "batch": now.batch,
            "metadata": now.metadata,
            "done": now.done,
            "failed": now.failed,
            "updated_at": now.at,
        }
    )


def standing(packed: bytes, now: ProgressNow, done: int, failed: int) -> ProgressNow:
    """The progress that a checkpoint's progress part has, with these counts; `now` gives the speed."""
    part: Map = msgpack.unpackb(packed)
    return ProgressNow(
        part["total"], part["completed"], part["step"], part["batch"], part["metadata"], done, failed, now.speed, now.at  # type: ignore[arg-type]
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Related:
    """What a checkpoint's own row doesn't have."""

    tags: Sequence[str] = ()
    depends: Sequence[str] = ()


ALONE = Related()


def checkpoint(row: CheckpointRow, related: Related = ALONE) -> Map:
    """CHECKPOINT of the protocol."""
    return {
        "checkpoint_id": row.checkpoint_id,
        "process_id": row.process_id,
        "user": user_name(row.uid),
        "task_id": row.task_id,
        "seq": row.seq,
        "epoch": row.epoch,
        "type": row.type.word,
        "status": row.status,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "pinned": row.pinned,
        "size_bytes": row.logical_bytes,
        "stored_bytes": row.own_bytes,
        "has_state": row.has_state,
        "journal_position": row.journal_position,
        "schema_version": row.schema_version,
        "checksum": row.checksum,
        "description": row.description,
        "tags": related.tags,
        "metadata": row.metadata,
        "depends": related.depends,
        "attempts": row.attempts,
        "proven_at": row.proven_at,
    }


def part(one: ManifestPart, data: bytes | None) -> list[object]:
    """A part as [name, form, size_bytes, data]."""
    return [one.name, one.form, one.size_bytes, data]


def process(
    row: ProcessRow,
    word: str,
    now: ProgressNow,
    at: int,
    *,
    checkpoints: int,
    last: CheckpointRow | None,
    alive: bool | None,
    proof: Proof | None,
) -> Map:
    """PROCESS of the protocol; `word` is its state's, and `now` may be newer than the row."""
    holder: Mapping[str, object] | None = None
    if row.holder is not None:
        holder = {"pid": row.holder.pid, "alive": alive, "since": row.registered_at}
    return {
        "process_id": row.process_id,
        "user": user_name(row.uid),
        "uid": row.uid,
        "task_id": row.task_id,
        "description": row.description,
        "state": word,
        "mode": row.mode.name.lower(),
        "epoch": row.epoch,
        "progress": progress(now, at),
        "holder": holder,
        "checkpoints": checkpoints,
        "last_checkpoint": checkpoint(last) if last is not None else None,
        "registered_at": row.registered_at,
        "ended_at": row.ended_at,
        "deaths": row.deaths,
        "journal": {"position": row.next_position, "done": now.done, "failed": now.failed},
        "proven_at": proof.proven_at if proof is not None else None,
        "proven_seq": proof.seq if proof is not None else None,
    }
