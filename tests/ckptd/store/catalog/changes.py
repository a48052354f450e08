"""Changes as the services make them, with what a test doesn't care about filled in."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ckptd.core.change import (
    Change,
    CheckpointType,
    Claim,
    Guard,
    JournalAppend,
    JournalRecord,
    ManifestPart,
    NewCheckpoint,
    ProgressNow,
    Rewind,
)
from ckptd.core.ids import BodyKey, CheckpointKey, Epoch, Holder, ProcessKey, RequestId
from ckptd.core.journal import DONE, key_digest
from ckptd.core.process_table import Act

UID = 1000
LINEAGE = b"lineage lineage "
CHUNK_KEY = b"key of the store" * 2
NOW = 1_750_000_000_000_000
SECOND = 1_000_000

SESSION = b"session session "


def holder(pid: int = 1) -> Holder:
    return Holder(b"boot boot boot !", pid, pid * 100, SESSION)


def asked(number: int, session: bytes = SESSION) -> RequestId:
    return RequestId(session, number)


def take(
    name: str = "job",
    process: int | None = None,
    seen: int | None = None,
    *,
    request: RequestId | None = None,
    uid: int = UID,
    at: int = NOW,
    held: bool = True,
    **fields: Any,
) -> Change:
    """A registration; with `process` and `seen`, one that resumes; not `held`, a fence or a row that nobody holds."""
    claim = Claim(
        uid=uid,
        process_id=name,
        process=None if process is None else ProcessKey(process),
        seen_epoch=None if seen is None else Epoch(seen),
        holder=holder() if held else None,
        act=Act.TAKE if held else Act.SAVE,
        incarnation=b"one life of it !",
    )
    return Change(at, uid, request, claim=replace(claim, **fields))


def checkpoint(seq: int, **fields: Any) -> NewCheckpoint:
    new = NewCheckpoint(
        seq=seq,
        type=CheckpointType.CUSTOM,
        created_at=NOW,
        expires_at=None,
        task_id="task",
        description="",
        metadata=b"",
        tags=(),
        depends=(),
        manifest=b"manifest %d" % seq,
        checksum=b"c" * 32,
        parts=(),
        small=b"state",
        logical_bytes=5,
        own_bytes=5,
        journal_position=0,
        has_state=True,
        schema_version=0,
    )
    return replace(new, **fields)


def part(*bodies: BodyKey) -> ManifestPart:
    return ManifestPart("part", b"", 1, b"h" * 32, bodies)


def guarded(process: int, epoch: int | None = 1, by: bytes | None = None, at: int = NOW, **fields: Any) -> Change:
    guard = Guard(ProcessKey(process), None if epoch is None else Epoch(epoch), by, fields.pop("head", None))
    return Change(at, UID, guard=guard, **fields)


def save(
    process: int, seq: int, epoch: int | None = 1, *, request: RequestId | None = None, at: int = NOW, **fields: Any
) -> Change:
    return guarded(process, epoch, at=at, request=request, checkpoint=checkpoint(seq, **fields))


def items(*ends: tuple[object, int]) -> tuple[JournalRecord, ...]:
    """Records of (item, kind): a number is an ordinal, a text a key."""
    records = []
    for item, kind in ends:
        ordinal = item if isinstance(item, int) else None
        name = repr(item).encode()
        records.append(JournalRecord(kind, ordinal, key_digest(ordinal, name), name, b"result"))
    return tuple(records)


def done(*names: object) -> tuple[JournalRecord, ...]:
    return items(*((name, DONE) for name in names))


def append(
    process: int,
    position: int,
    records: Sequence[JournalRecord],
    epoch: int = 1,
    by: bytes | None = None,
    clears: Sequence[bytes] = (),
    **fields: Any,
) -> Change:
    journal = JournalAppend(position, tuple(records), tuple(clears))
    return guarded(process, epoch, by, journal=journal, **fields)


def progress(completed: int = 0, done: int = 0, failed: int = 0, at: int = NOW) -> ProgressNow:
    return ProgressNow(10, completed, "step", None, b"", done, failed, b"", at)


def rewind(
    process: int,
    checkpoint: int | None,
    seqs: tuple[int, int],
    positions: tuple[int, int],
    counts: tuple[int, int] = (0, 0),
    epoch: int = 1,
) -> Change:
    back = Rewind(None if checkpoint is None else CheckpointKey(checkpoint), *seqs, *positions)
    return guarded(process, epoch, rewind=back, progress=progress(0, *counts))
