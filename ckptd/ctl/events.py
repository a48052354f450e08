"""The verb `events`: what happened, and with `--follow` what happens."""

from collections import deque
from collections.abc import Iterator, Sequence

from ckptclient import calls, results
from ckptd.ctl import documents, moments, naming, shown
from ckptd.ctl.answer import Answer, Column, Mark, Table
from ckptd.ctl.session import Session
from ckptd.ctl.shown import View

PAGE = 1000
WAIT_SECONDS = 30.0
"""How long one question waits for the next event; then it is asked again."""

_MARKS = {"interrupted": "bad", "failed": "bad", "fenced": "warn", "deleted": "warn", "completed": "good"}


def _mark(event: results.EventInfo) -> Mark:
    return _MARKS.get(event.kind, "")


def _data(event: results.EventInfo, _view: View) -> str:
    return "  ".join(f"{name}={value}" for name, value in event.data.items())


COLUMNS: Sequence[Column[results.EventInfo]] = (
    Column("time", lambda e, v: v.moment(e.at), lambda e: e.at, 0, width_min=19),
    Column("event", lambda e, _: e.kind, lambda e: e.kind, 0, width_min=11, mark=_mark),
    Column("process", lambda e, _: e.process_id or shown.NOTHING, lambda e: e.process_id, 0, width_min=20),
    Column("user", lambda e, _: e.user or shown.NOTHING, lambda e: e.user, 2),
    Column("details", _data, lambda e: e.seq, 1, width_min=12),
    Column("seq", lambda e, _: str(e.seq), lambda e: e.seq, right=True, wide=True),
)


def events(
    session: Session, *, process: str | None, since: str | None, limit: int, follow: bool
) -> Answer | Iterator[Answer]:
    """What happened, oldest first; the last `limit` of it."""
    name = naming.process(session, process).process_id if process else None
    kept: deque[results.EventInfo] = deque(maxlen=limit or None)
    last, total = _first(since), 0
    from_time = moments.past(since, session.world.clock.now()) if since and last < 0 else None
    while True:
        page = session.call(calls.events(last, process_id=name, limit=PAGE))
        wanted = [event for event in page.events if from_time is None or event.at >= from_time]
        kept.extend(wanted)
        total, last = total + len(wanted), page.last
        if not page.events:
            break
    if follow:
        return _follow(session, list(kept), last, name)
    notes = (f"the last {limit} of {total}; --limit 0 shows all",) if total > len(kept) else ()
    return Answer(_document(kept, last), (Table(COLUMNS, list(kept), "no events"),), notes)


def _first(since: str | None) -> int:
    return int(since) if since and since.isascii() and since.isdigit() else -1


def _document(found: Sequence[results.EventInfo] | deque[results.EventInfo], last: int) -> documents.Document:
    return {"events": [documents.event(one) for one in found], "last_seq": last}


def _follow(session: Session, found: Sequence[results.EventInfo], last: int, name: str | None) -> Iterator[Answer]:
    """What is there, then every event as it comes; a restart of the daemon only interrupts."""
    while True:
        if found:
            yield Answer(_document(found, last), (Table(COLUMNS, found),))
        page = session.patiently(calls.events(last, process_id=name, limit=PAGE, wait_seconds=WAIT_SECONDS), None)
        found, last = page.events, page.last
