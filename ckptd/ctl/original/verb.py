"""The verb `import-original`: each record of the original's store becomes a checkpoint under its own id, or is said why not.

Oldest first, so that what was newest there is newest here. A record that is there already is left alone: saying it again
after an interruption goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ckptclient import calls
from ckptclient.calls import UNNUMBERED
from ckptclient.errors import BadRequest, CkptdError, Conflict, NotFound, Unreachable
from ckptclient.payload import encode_value
from ckptclient.wire import params
from ckptd.ctl import documents, moments, sending, shown
from ckptd.ctl.answer import Answer, Column, Mark, Table
from ckptd.ctl.original import cell, store
from ckptd.ctl.original.store import Record
from ckptd.ctl.progressing import Bar
from ckptd.ctl.session import Session

EXIT_PARTIAL: Final = 3

_SIGNS: Final = {"imported": "✓ imported", "there": "· there", "skipped": "! skipped"}
_MARKS: Final[dict[str, Mark]] = {"imported": "good", "there": "dim", "skipped": "warn"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record."""

    record: Record
    outcome: str
    size_bytes: int | None = None
    why: str | None = None


COLUMNS: Sequence[Column[Outcome]] = (
    Column("outcome", lambda o, _: _SIGNS[o.outcome], lambda o: o.outcome, 0, width_min=10, mark=lambda o: _MARKS[o.outcome]),
    Column("checkpoint", lambda o, _: o.record.checkpoint_id, lambda o: o.record.checkpoint_id, 0, width_min=40),
    Column("created", lambda o, v: v.age(o.record.created_at or None), lambda o: o.record.created_at, 3, right=True, width_min=9),
    Column("size", lambda o, _: shown.size(o.size_bytes), lambda o: o.size_bytes or 0, 2, right=True, width_min=7),
    Column("why", lambda o, _: shown.or_nothing(o.why), lambda o: o.why or "", 1, width_min=20),
)  # fmt: skip


def import_original(session: Session, *, directory: str, allow_pickle: bool, ttl: str, dry_run: bool) -> Answer:
    """Import what can be imported, and report every record."""
    if not allow_pickle:
        raise BadRequest(
            "the original's checkpoints are pickles, and a pickle can name any code",
            hint="add --allow-pickle: each is read as plain data by a process that can open, write and reach nothing",
        )
    folder, ttl_seconds = Path(directory), moments.seconds(ttl)
    found = store.records(folder)
    outcomes: list[Outcome] = []
    taken: dict[str, bool] = {}
    with Bar(session, "importing", sum(_file_bytes(folder, record) for record in found)) as bar:
        for record in found:
            outcomes.append(_one(session, folder, record, taken, lambda r: None if dry_run else ttl_seconds))
            bar.add(_file_bytes(folder, record))
    counts = {word: sum(one.outcome == word for one in outcomes) for word in _SIGNS}
    word = "would import" if dry_run else "imported"
    return Answer(
        {
            "records": [_document(one) for one in outcomes],
            "imported_count": counts["imported"], "there_count": counts["there"], "skipped_count": counts["skipped"], "dry_run": dry_run,
        },
        (Table(COLUMNS, outcomes, "the store has no checkpoint"),),
        (f"{word} {counts['imported']}, {counts['there']} were there, {counts['skipped']} skipped",),
        EXIT_PARTIAL if counts["skipped"] else 0,
    )  # fmt: skip


def _file_bytes(folder: Path, record: Record) -> int:
    path = folder / "data" / record.file_name
    return path.stat().st_size if record.file_name and path.is_file() else 0


def _one(
    session: Session, folder: Path, record: Record, taken: dict[str, bool], ttl: Callable[[Record], float | None]
) -> Outcome:
    if record.wrong or record.status == "expired":
        return Outcome(record, "skipped", why=record.wrong or "it had expired: its file is gone")
    try:
        if _is_there(session, record.checkpoint_id):
            return Outcome(record, "there")
        if record.process_id not in taken:
            taken[record.process_id] = _is_taken(session, record.process_id)
        if taken[record.process_id]:
            raise Conflict(f"a worker has had process {record.process_id} here: its recovery would find the import")
        return Outcome(record, "imported", _import(session, folder, record, ttl(record)))
    except Unreachable:
        raise
    except CkptdError as error:
        return Outcome(record, "skipped", why=error.message)


def _is_there(session: Session, name: str) -> bool:
    try:
        session.call(calls.get(name, data=False))
    except NotFound:
        return False
    return True


def _is_taken(session: Session, process_id: str) -> bool:
    try:
        return session.call(calls.show(process_id)).epoch > 0
    except NotFound:
        return False


def _import(session: Session, folder: Path, record: Record, ttl_seconds: float | None) -> int:
    """Read one record in a cell and save what it gives; without a time to keep it, only read."""
    with store.opened(folder, record) as file, cell.opened(file) as read:
        if read.refused is not None:
            raise BadRequest(read.refused)
        parts = [
            sending.Sent(params.PartPlan(name=name, form=form, size_bytes=size), read.pieces(index))
            for index, (name, form, size) in enumerate(read.parts)
        ]
        if ttl_seconds is None:
            for part in parts:
                for _ in part.pieces:
                    pass
        else:
            sending.save(session, _save(session, record, ttl_seconds), parts)
    return sum(size for _, _, size in read.parts)


def _save(session: Session, record: Record, ttl_seconds: float) -> params.Save:
    age_seconds = max(0.0, (session.world.clock.now() - record.created_at) / 1e6)
    return params.Save(
        request=UNNUMBERED,
        process_id=record.process_id,
        task_id=record.task_id,
        type=record.type,
        has_state=False,  # as the functions of the original's names save: no state of a handle
        description=record.description,
        tags=record.tags,
        # Until the original would have let it go, and never less than what was asked for from now.
        ttl_seconds=max(record.ttl_hours * 3600.0, age_seconds + ttl_seconds),
        depends=tuple(name for name in record.depends if _is_there(session, name)),
        metadata=encode_value({"original_version": record.version, "original_status": record.status}),
        alias=record.checkpoint_id,
        created_at=record.created_at,
    )


def _document(one: Outcome) -> documents.Document:
    return {
        "checkpoint_id": one.record.checkpoint_id,
        "process_id": one.record.process_id or None,
        "created_at": documents.time_of(one.record.created_at or None),
        "outcome": one.outcome,
        "size_bytes": one.size_bytes,
        "why": one.why,
    }
