"""Verbs about processes: who works on what, how far it is, what a crash would cost now."""

import json
import shlex
from collections.abc import Sequence

from ckptclient import calls, results
from ckptclient.errors import TimedOut
from ckptd.ctl import documents, naming, shown
from ckptd.ctl.answer import Answer, Column, Facts, Mark, Table, done
from ckptd.ctl.session import Session, paged
from ckptd.ctl.shown import View

STATES = ("registered", "running", "paused", "interrupted", "completed", "failed", "stalled")

_SIGNS = {
    "running": "✓",
    "stalled": "!",
    "interrupted": "✗",
    "failed": "✗",
    "paused": "!",
    "completed": "·",
    "registered": "·",
}
_MARKS = {
    "running": "good",
    "stalled": "warn",
    "interrupted": "bad",
    "failed": "bad",
    "paused": "warn",
    "completed": "dim",
}
_URGENCY = {"stalled": 0, "running": 0, "interrupted": 1, "failed": 1, "paused": 2, "registered": 3, "completed": 4}


def _mark(info: results.ProcessInfo) -> Mark:
    return _MARKS.get(info.state, "")


def _progress(info: results.ProcessInfo, _view: View) -> str:
    progress = info.progress
    if progress.percent is not None:
        return f"{shown.bar(progress.percent)} {shown.percent(progress.percent):>7}"
    return f"{shown.bar(None)} {shown.count(progress.completed):>7}"


def _eta(info: results.ProcessInfo, view: View) -> str:
    return view.ahead(info.progress.eta) if info.state == "running" else shown.NOTHING


def _saved(info: results.ProcessInfo) -> int | None:
    return info.last_checkpoint.created_at if info.last_checkpoint else None


def _worker(info: results.ProcessInfo, _view: View) -> str:
    if info.holder is None:
        return shown.NOTHING
    return f"pid {info.holder.pid}" + (" (gone)" if info.holder.alive is False else "")


def columns(now: int) -> Sequence[Column[results.ProcessInfo]]:
    """The columns of `ps`; `now` is what the age of a save is counted from."""

    def at_risk(info: results.ProcessInfo) -> float | None:
        return documents.at_risk(info, now)

    def at_risk_text(info: results.ProcessInfo, _view: View) -> str:
        seconds = at_risk(info)
        return shown.NOTHING if seconds is None else shown.span(seconds)

    return (
        Column("process", lambda p, _: f"{_SIGNS.get(p.state, ' ')} {p.process_id}", lambda p: p.process_id, 0,
            width_min=40, mark=_mark),
        Column("user", lambda p, _: p.user, lambda p: p.user, 6),
        Column("state", lambda p, _: p.state, lambda p: _URGENCY.get(p.state, 9), 0, width_min=11, mark=_mark),
        Column("progress", _progress, lambda p: p.progress.percent, 1, width_min=18),
        Column("eta", _eta, lambda p: p.progress.eta, 3, right=True, width_min=9),
        Column("saved", lambda p, v: v.age(_saved(p)), _saved, 4, right=True, width_min=9),
        Column("at-risk", at_risk_text, at_risk, 2, right=True, width_min=9),
        Column("proven", lambda p, v: v.age(p.proven_at), lambda p: p.proven_at, 6, right=True, width_min=9),
        Column("ckpts", lambda p, _: shown.count(p.checkpoints), lambda p: p.checkpoints, 7, right=True),
        Column("failed", lambda p, _: shown.count(p.progress.failed), lambda p: p.progress.failed, 9, right=True),
        Column("epoch", lambda p, _: str(p.epoch), lambda p: p.epoch, 8, right=True),
        Column("worker", _worker, lambda p: p.holder.pid if p.holder else None, 5, width_min=9),
        Column("step", lambda p, _: shown.or_nothing(p.progress.step), lambda p: p.progress.step, 10, width_min=8),
        Column("task", lambda p, _: shown.or_nothing(p.task_id), lambda p: p.task_id, wide=True),
        Column("mode", lambda p, _: p.mode, lambda p: p.mode, wide=True),
        Column("done", lambda p, _: shown.count(p.progress.done), lambda p: p.progress.done, right=True, wide=True),
        Column("deaths", lambda p, _: str(p.deaths), lambda p: p.deaths, right=True, wide=True),
        Column("updated", lambda p, v: v.age(p.progress.updated_at or None), lambda p: p.progress.updated_at, right=True, wide=True),
        Column("registered", lambda p, v: v.age(p.registered_at), lambda p: p.registered_at, right=True, wide=True),
        Column("description", lambda p, _: shown.or_nothing(p.description), lambda p: p.description, wide=True),
    )  # fmt: skip


def most_urgent_first(found: Sequence[results.ProcessInfo], now: int) -> list[results.ProcessInfo]:
    """What would lose most by a crash now, then what waits to be taken up again, then the rest."""

    def urgency(info: results.ProcessInfo) -> tuple[int, float, int]:
        risk = documents.at_risk(info, now)
        return _URGENCY.get(info.state, 9), -(risk or 0.0), -info.progress.updated_at

    return sorted(found, key=urgency)


def ps(session: Session, *, state: tuple[str, ...], task: str | None, limit: int) -> Answer:
    """Processes, worst first."""
    found, more = naming.processes(session, limit, states=state, task_id=task)
    view = session.view()
    ordered = most_urgent_first(found, view.now)
    return Answer(
        {"processes": [documents.process(info, view.now) for info in ordered], "complete": not more},
        (Table(columns(view.now), ordered, _none(state, task)),),
        (f"the {limit} that changed last; --limit 0 shows all",) if more else (),
    )  # fmt: skip


def _none(states: tuple[str, ...], task: str | None) -> str:
    what = " or ".join(states)
    return f"no {what} processes".replace("  ", " ") + (f" of task {task}" if task else "")


def _facts(info: results.ProcessInfo, view: View) -> Sequence[Facts]:
    """Everything about one process."""
    progress, last = info.progress, info.last_checkpoint
    risk = documents.at_risk(info, view.now)
    steps = shown.count(progress.completed) + (f" of {shown.count(progress.total)}" if progress.total else "")
    done_so_far = shown.NOTHING
    if progress.percent is not None:
        done_so_far = f"{shown.bar(progress.percent, 20)} {shown.percent(progress.percent)}"
    identity = (
        ("process", info.process_id),
        ("user", info.user),
        ("state", f"{_SIGNS.get(info.state, '')} {info.state}"),
        ("worker", _worker(info, view)),
        ("task", shown.or_nothing(info.task_id)),
        ("description", shown.or_nothing(info.description)),
        ("epoch", str(info.epoch)),
        ("resumes by", {"items": "items", "stateful": "state"}.get(info.mode, shown.NOTHING)),
        ("registered", view.both(info.registered_at)),
        ("ended", view.both(info.ended_at)),
        ("deaths", str(info.deaths)),
    )
    standing = (
        ("progress", done_so_far),
        ("steps", steps),
        ("speed", f"{progress.per_second:,.3g} steps a second" if progress.per_second else shown.NOTHING),
        ("expected end", view.both(progress.eta) if info.state == "running" else shown.NOTHING),
        ("step", shown.or_nothing(progress.step)),
        ("batch", shown.or_nothing(progress.batch)),
        ("updated", view.both(progress.updated_at or None)),
        ("items", f"{shown.count(info.journal.done)} done, {shown.count(info.journal.failed)} failed"),
    )
    saved = (
        ("checkpoints", shown.count(info.checkpoints)),
        ("newest", last.checkpoint_id if last else shown.NOTHING),
        ("saved", view.both(last.created_at if last else None)),
        ("at risk", shown.NOTHING if risk is None else shown.span(risk)),
        (
            "proven",
            f"{info.process_id}@{info.proven_seq}, {view.both(info.proven_at)}" if info.proven_at else shown.NOTHING,
        ),
    )
    return Facts(identity), Facts(standing, "progress"), Facts(saved, "saved")


def show(session: Session, info: results.ProcessInfo) -> Answer:
    """One process."""
    view = session.view()
    return Answer({"kind": "process", "process": documents.process(info, view.now)}, _facts(info, view))


def results_of(session: Session, *, process: str, failed: bool, after: int, limit: int) -> Answer:
    """The result journal."""
    info = naming.process(session, process)
    name = naming.qualified(session, info)

    def read(where: int | None, many: int) -> tuple[tuple[results.RecordInfo, ...], int | None]:
        page = session.call(
            calls.records(name, after=after if where is None else where, limit=many, failed_only=failed)
        )
        return page.records, page.next

    found, more = paged(read, limit)
    journal = info.journal
    return Answer(
        {
            "process_id": info.process_id,
            "items_done": journal.done,
            "items_failed": journal.failed,
            "records": [documents.record(one) for one in found],
            "complete": not more,
        },
        (Table(RECORD_COLUMNS, found, f"{info.process_id} has no {'failed ' if failed else ''}results"),),
        (f"{journal.done:,} done, {journal.failed:,} failed; --limit 0 shows all, --after {found[-1].position} the next",)
        if more
        else (),
    )  # fmt: skip


def _value(packed: bytes | None) -> str:
    found = documents.value(packed)
    if found is None:
        return shown.NOTHING
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


RECORD_COLUMNS: Sequence[Column[results.RecordInfo]] = (
    Column("position", lambda r, _: str(r.position), lambda r: r.position, 3, right=True),
    Column("outcome", lambda r, _: "✗ failed" if r.kind else "✓ done", lambda r: r.kind, 0,
        mark=lambda r: "bad" if r.kind else "good", width_min=8),
    Column("ordinal", lambda r, _: shown.NOTHING if r.ordinal < 0 else str(r.ordinal), lambda r: r.ordinal, 4, right=True),
    Column("item", lambda r, _: _value(r.item), lambda r: r.position, 1, width_min=16),
    Column("result", lambda r, _: _value(r.result), lambda r: r.position, 0, width_min=16),
    Column("recorded", lambda r, v: v.age(r.at), lambda r: r.at, 2, right=True, width_min=9),
)  # fmt: skip


def fence(session: Session, *, process: str, dry_run: bool, yes: bool) -> Answer:
    """End a process's lease, by raising its epoch."""
    info = naming.process(session, process)
    holder = f"pid {info.holder.pid} can't write any more" if info.holder else "nobody holds it"
    if dry_run:
        return done(
            f"would fence {info.process_id} at epoch {info.epoch}: {holder}",
            process_id=info.process_id, epoch=info.epoch, dry_run=True,
        )  # fmt: skip
    if info.holder is not None:
        session.confirm(f"fence {info.process_id}, so that {holder}?", yes)
    epoch = session.call(calls.fence(naming.qualified(session, info)))
    return done(f"fenced {info.process_id}: epoch {epoch}", process_id=info.process_id, epoch=epoch, dry_run=False)


def stop(session: Session, *, process: str) -> Answer:
    """Ask a process's worker to save and stop after its item in hand."""
    info = naming.process(session, process)
    asked = session.call(calls.stop(naming.qualified(session, info)))
    line = f"asked {info.process_id} to stop" if asked else f"{info.process_id} is {info.state}: nobody to ask"
    return done(line, process_id=info.process_id, asked=asked)


EVENT_WAIT_SECONDS = 2.0
"""How long one look for a state may rely on an event to end it."""


def wait(session: Session, *, process: str, for_: tuple[str, ...], timeout: float | None) -> Answer:
    """Wait until a process is in one of the states."""
    clock = session.world.clock
    deadline = None if timeout is None else clock.monotonic() + timeout
    name = naming.qualified(session, naming.process(session, process))
    since = -1
    while True:
        info = session.patiently(calls.show(name), deadline)
        if info.state in for_:
            return done(f"{info.process_id} is {info.state}", process=documents.process(info, clock.now()))
        left = EVENT_WAIT_SECONDS if deadline is None else min(EVENT_WAIT_SECONDS, deadline - clock.monotonic())
        if left <= 0:
            wanted = " or ".join(for_)
            raise TimedOut(
                f"{info.process_id} is {info.state} and not {wanted} after {timeout:g} s",
                hint=f"ckptctl show {shlex.quote(name)}, or wait longer with --timeout",
                details={"process_id": info.process_id, "state": info.state},
            )
        page = session.patiently(
            calls.events(since, process_id=info.process_id, limit=1000, wait_seconds=left), deadline
        )
        since = page.last
