"""Verbs that look at checkpoints and decide what is kept: `ls`, `show`, `expire`, `pin`, `unpin`."""

from collections.abc import Callable, Sequence
from typing import Any

from ckptclient import calls, results
from ckptclient.calls import Call
from ckptclient.errors import CkptdError, NotFound, Partial
from ckptclient.wire import params
from ckptd.ctl import documents, moments, naming, processes, shown
from ckptd.ctl.answer import Answer, Column, Facts, Mark, Table, done
from ckptd.ctl.session import Session, paged
from ckptd.ctl.shown import View

STATUSES = ("active", "completed", "failed", "expired", "archived")

_MARKS = {"active": "good", "completed": "", "failed": "bad", "expired": "dim", "archived": "dim"}


def _mark(info: results.CheckpointInfo) -> Mark:
    return _MARKS.get(info.status, "")


def _name(info: results.CheckpointInfo, _view: View) -> str:
    return f"{info.process_id}@{info.seq}"


def _kept(info: results.CheckpointInfo, view: View) -> str:
    return "pinned" if info.pinned else view.ahead(info.expires_at) if info.expires_at else "for ever"


COLUMNS: Sequence[Column[results.CheckpointInfo]] = (
    Column("checkpoint", _name, lambda c: (c.process_id, c.seq), 0, width_min=40),
    Column("user", lambda c, _: c.user, lambda c: c.user, 7),
    Column("type", lambda c, _: c.type, lambda c: c.type, 4, width_min=12),
    Column("status", lambda c, _: c.status, lambda c: c.status, 2, width_min=9, mark=_mark),
    Column("created", lambda c, v: v.age(c.created_at), lambda c: c.created_at, 0, right=True, width_min=9),
    Column("size", lambda c, _: shown.size(c.size_bytes), lambda c: c.size_bytes, 1, right=True, width_min=7),
    Column("stored", lambda c, _: shown.size(c.stored_bytes), lambda c: c.stored_bytes, 5, right=True, width_min=7),
    Column("kept", _kept, lambda c: c.expires_at, 3, right=True, width_min=9, mark=lambda c: "warn" if c.pinned else ""),
    Column("epoch", lambda c, _: str(c.epoch), lambda c: c.epoch, 8, right=True),
    Column("tags", lambda c, _: ",".join(c.tags), lambda c: c.tags, 9, width_min=6),
    Column("description", lambda c, _: c.description, lambda c: c.description, 10, width_min=11),
    Column("id", lambda c, _: c.checkpoint_id, lambda c: c.checkpoint_id, wide=True),
    Column("task", lambda c, _: shown.or_nothing(c.task_id), lambda c: c.task_id, wide=True),
    Column("journal", lambda c, _: shown.count(c.journal_position), lambda c: c.journal_position, right=True, wide=True),
)  # fmt: skip


def ls(
    session: Session, *, process: str | None, kind: str | None, tag: str | None, status: str | None, task: str | None,
    since: str | None, until: str | None, trash: bool, limit: int,
) -> Answer:  # fmt: skip
    """Checkpoints, newest first."""
    info = naming.process(session, process) if process else None
    name = naming.qualified(session, info) if info else None
    now = session.world.clock.now()
    after, before = (moments.past(text, now) if text else None for text in (since, until))

    def read(where: int | None, many: int) -> tuple[tuple[results.CheckpointInfo, ...], int | None]:
        wanted = params.ListCheckpoints(
            process_id=name, task_id=task, type=kind, tag=tag, status=status, since=after, until=before, trash=trash,
            limit=many, after=where,
        )  # fmt: skip
        page = session.call(calls.checkpoints(wanted))
        return page.checkpoints, page.next

    found, more = paged(read, limit)
    of = f" of {info.process_id}" if info else ""
    return Answer(
        {"checkpoints": [documents.checkpoint(one) for one in found], "complete": not more},
        (Table(COLUMNS, found, f"no checkpoints{of}{' in the trash' if trash else ''}"),),
        (f"the newest {limit}; --limit 0 shows all",) if more else (),
    )


def show(session: Session, *, id: str) -> Answer:
    """Everything about one process or checkpoint."""
    if "@" not in id and id != naming.LATEST:
        try:
            return processes.show(session, session.call(calls.show(id)))
        except NotFound:
            pass  # no process of exactly that name
    try:
        return _show(session, naming.checkpoint(session, id))
    except NotFound:
        if "@" in id:
            raise
        try:
            return processes.show(session, naming.process(session, id))
        except NotFound:
            raise NotFound(f"no process and no checkpoint {id}", hint="ckptctl ps and ckptctl ls list them") from None


def _show(session: Session, info: results.CheckpointContent) -> Answer:
    view = session.view()
    kept = "pinned" if info.pinned else f"until {view.both(info.expires_at)}" if info.expires_at else "for ever"
    pairs = [
        ("checkpoint", info.checkpoint_id),
        ("of", f"{info.process_id}@{info.seq}, epoch {info.epoch}, user {info.user}"),
        ("type", info.type),
        ("status", info.status),
        ("created", view.both(info.created_at)),
        ("kept", kept),
        ("size", f"{shown.size(info.size_bytes)}, {shown.size(info.stored_bytes)} of it stored for it alone"),
        ("holds", "the application's state" if info.has_state else "progress and journal only"),
        ("journal", f"up to record {info.journal_position}"),
        ("task", shown.or_nothing(info.task_id)),
        ("description", shown.or_nothing(info.description)),
        ("tags", shown.or_nothing(", ".join(info.tags))),
        ("needs", shown.or_nothing(", ".join(info.depends))),
        ("schema version", str(info.schema_version)),
        ("restores tried", str(info.attempts)),
        ("proven", view.both(info.proven_at)),
        ("sha-256", info.checksum.hex()),
    ]
    document = {**documents.checkpoint(info), "parts": [documents.part(one) for one in info.parts]}
    return Answer(
        {"kind": "checkpoint", "checkpoint": document},
        (Facts(pairs), Table(PART_COLUMNS, info.parts, "no parts")),
    )


def _kind(info: results.PartInfo, _view: View) -> str:
    form = documents.value(info.form)
    return str(form.get("kind", shown.NOTHING)) if isinstance(form, dict) else shown.NOTHING


PART_COLUMNS: Sequence[Column[results.PartInfo]] = (
    Column("part", lambda p, _: p.name, lambda p: p.name, 0, width_min=12),
    Column("size", lambda p, _: shown.size(p.size_bytes), lambda p: p.size_bytes, 0, right=True, width_min=7),
    Column("kind", _kind, lambda p: p.name, 1, width_min=8),
)


def expire(session: Session, *, ids: tuple[str, ...], dry_run: bool, yes: bool) -> Answer:
    """Put checkpoints into the trash."""
    found = [naming.checkpoint(session, named) for named in ids]
    size_bytes = sum(info.size_bytes for info in found)
    what = f"{shown.counted(len(found), 'checkpoint')} ({shown.size(size_bytes)})"
    document: documents.Document = {
        "checkpoint_ids": [info.checkpoint_id for info in found], "size_bytes": size_bytes, "dry_run": dry_run,
    }  # fmt: skip
    if dry_run:
        lines = [f"would expire {_line(info)}" for info in found]
        return done("\n".join([*lines, f"would expire {what} in all"]), **document)
    session.confirm(f"expire {what}: {', '.join(f'{info.process_id}@{info.seq}' for info in found)}?", yes)
    _each(found, calls.delete, session)
    return done(f"expired {what}: in the trash until the cleanup empties it", **document)


def _line(info: results.CheckpointInfo) -> str:
    return f"{info.checkpoint_id} ({shown.size(info.size_bytes)}{', pinned' if info.pinned else ''})"


def pin(session: Session, *, ids: tuple[str, ...]) -> Answer:
    """Exempt checkpoints from retention."""
    return _pins(session, ids, calls.pin, "pinned")


def unpin(session: Session, *, ids: tuple[str, ...]) -> Answer:
    """Let checkpoints expire again."""
    return _pins(session, ids, calls.unpin, "unpinned")


def archive(session: Session, *, ids: tuple[str, ...]) -> Answer:
    """Move checkpoints of completed processes to the archive."""
    return _moves(session, ids, calls.archive, "archived")


def unarchive(session: Session, *, ids: tuple[str, ...]) -> Answer:
    """Bring archived checkpoints back."""
    return _moves(session, ids, calls.unarchive, "back from the archive:")


def _moves(session: Session, ids: tuple[str, ...], act: Callable[[str], Call[results.Archived]], words: str) -> Answer:
    found = [naming.checkpoint(session, named) for named in ids]
    _each(found, act, session)
    names = [info.checkpoint_id for info in found]
    return done(f"{words} {', '.join(names)}", checkpoint_ids=names, archived=act is calls.archive)


def revive(session: Session, *, ids: tuple[str, ...]) -> Answer:
    """Take checkpoints out of the trash."""
    revived: list[results.Revived] = []
    failed: list[tuple[str, CkptdError]] = []
    for named in ids:
        try:
            revived.append(_revive(session, named))
        except CkptdError as error:
            failed.append((named, error))
    if failed and not revived:
        raise failed[0][1]
    view = session.view()
    lines = [
        f"{'revived' if one.revived else 'not in the trash:'} {one.checkpoint_id}, kept "
        f"{'for ever' if one.expires_at is None else f'until {view.both(one.expires_at)}'}"
        for one in revived
    ]
    if failed:
        raise _partial(failed, len(ids))
    return done(
        "\n".join(lines),
        checkpoints=[
            {
                "checkpoint_id": one.checkpoint_id,
                "revived": one.revived,
                "expires_at": documents.time_of(one.expires_at),
            }
            for one in revived
        ],
    )


def _revive(session: Session, named: str) -> results.Revived:
    try:
        return session.call(calls.revive(named))
    except NotFound:
        if not named.rpartition("@")[0]:
            raise
    return session.call(calls.revive(naming.spelled_out(session, named)))


def _pins(session: Session, ids: tuple[str, ...], act: Callable[[str], Call[bool]], word: str) -> Answer:
    found = [naming.checkpoint(session, named) for named in ids]
    _each(found, act, session)
    names = [info.checkpoint_id for info in found]
    return done(f"{word} {', '.join(names)}", checkpoint_ids=names, pinned=word == "pinned")


def _each(found: Sequence[results.CheckpointContent], act: Callable[[str], Call[Any]], session: Session) -> None:
    """Do it to each, all of which are there; where some fail and others don't, PARTIAL says which."""
    failed: list[tuple[str, CkptdError]] = []
    for info in found:
        try:
            session.call(act(naming.qualified(session, info)))
        except CkptdError as error:
            failed.append((info.checkpoint_id, error))
    if failed and len(failed) == len(found):
        raise failed[0][1]
    if failed:
        raise _partial(failed, len(found))


def _partial(failed: Sequence[tuple[str, CkptdError]], count: int) -> Partial:
    return Partial(
        f"{len(failed)} of {count} failed",
        hint="the others were done; saying it again is safe",
        details={"failed": [{"id": name, "code": error.code, "message": error.message} for name, error in failed]},
    )
