"""The verb `history`: a process's life as a time line; owns the term *moment*.

Events say when it was registered, interrupted, taken up again and ended; its checkpoints lie between them and are told
of in groups, one for each stretch of work. A speed is how far the result journal went within a group, which every
checkpoint says; where that is not known none is shown. Not for: single checkpoints, which `ls` has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ckptclient import calls, results
from ckptclient.wire import params
from ckptd.ctl import documents, naming, shown
from ckptd.ctl.answer import Answer, Column, Facts, Mark, Table
from ckptd.ctl.session import Session, paged
from ckptd.ctl.shown import View

EVENTS_PAGE = 1000
LOST: Final = ("interrupted", "fenced", "failed")
BEGUN: Final = ("registered", "resumed")

_SIGNS: Final[Mapping[str, tuple[str, Mark]]] = {
    "registered": ("✓", "good"),
    "resumed": ("✓", "good"),
    "saves": ("●", ""),
    "rewound": ("!", "warn"),
    "fenced": ("!", "warn"),
    "abandoned_soon": ("!", "warn"),
    "interrupted": ("✗", "bad"),
    "failed": ("✗", "bad"),
    "completed": ("✓", "good"),
}


@dataclass(frozen=True, slots=True)
class Saves:
    """Checkpoints of one stretch that are still there, `first` to `last`; those that went are between their numbers."""

    first: results.CheckpointInfo
    last: results.CheckpointInfo
    count: int

    @property
    def seconds(self) -> float:
        """From the first to the last."""
        return (self.last.created_at - self.first.created_at) / 1e6

    @property
    def made(self) -> int:
        """How many were made from the first to the last, those included that are gone."""
        return self.last.seq - self.first.seq + 1

    @property
    def items_per_second(self) -> float | None:
        """Records of the journal in a second; None where there is but one save, or no record."""
        records = self.last.journal_position - self.first.journal_position
        return records / self.seconds if records > 0 and self.seconds > 0 else None


@dataclass(frozen=True, slots=True)
class Moment:
    """One line: an event, or a group of saves.

    `seconds_since_save`: of an end that lost work, the age of the newest checkpoint then. `seconds_down`: of a
    beginning, how long nobody worked before. None where it isn't known.
    """

    at: int
    kind: str
    event: results.EventInfo | None = None
    saves: Saves | None = None
    seconds_since_save: float | None = None
    seconds_down: float | None = None


def history(session: Session, *, process: str, limit: int) -> Answer:
    """A process's life, oldest first."""
    info = naming.process(session, process)
    line, more = timeline(session, info, limit)
    view = session.view()
    document = {
        "process": documents.process(info, view.now),
        "moments": [_document(one) for one in line],
        "complete": not more,
    }
    notes = (f"only the newest {limit} checkpoints are in it; --limit 0 takes all",) if more else ()
    return Answer(
        document, (Table(COLUMNS, line, f"nothing is known of {info.process_id}"), Facts(_now(info, view))), notes
    )


def timeline(session: Session, info: results.ProcessInfo, limit: int) -> tuple[list[Moment], bool]:
    """All moments of a process, of which the newest `limit` checkpoints (0: all) are told of; and whether there are more."""
    found = [one for one in _events(session, info.process_id) if one.user == info.user]
    name = naming.qualified(session, info)

    def read(after: int | None, many: int) -> tuple[tuple[results.CheckpointInfo, ...], int | None]:
        page = session.call(calls.checkpoints(params.ListCheckpoints(process_id=name, limit=many, after=after)))
        return page.checkpoints, page.next

    saved, more = paged(read, limit)
    return moments(found, saved), more


def _events(session: Session, process_id: str) -> Iterator[results.EventInfo]:
    last = -1
    while True:
        page = session.call(calls.events(last, process_id=process_id, limit=EVENTS_PAGE))
        yield from page.events
        if len(page.events) < EVENTS_PAGE:
            return
        last = page.last


def moments(found: Sequence[results.EventInfo], saved: Sequence[results.CheckpointInfo]) -> list[Moment]:
    """Events and saves in the order of time, saves between two events together, with what follows from their order."""
    both: list[results.EventInfo | results.CheckpointInfo] = sorted(
        [*found, *saved], key=lambda one: one.at if isinstance(one, results.EventInfo) else one.created_at
    )
    line: list[Moment] = []
    saved_at: int | None = None
    lost_at: int | None = None
    for one in both:
        if isinstance(one, results.CheckpointInfo):
            saved_at = one.created_at
            _add_save(line, one)
            continue
        moment = Moment(one.at, one.kind, one)
        if one.kind in LOST:
            moment = replace(moment, seconds_since_save=None if saved_at is None else (one.at - saved_at) / 1e6)
            lost_at = one.at if lost_at is None else lost_at
        elif one.kind in BEGUN:
            moment = replace(moment, seconds_down=None if lost_at is None else (one.at - lost_at) / 1e6)
            lost_at = None
        line.append(moment)
    return line


def _add_save(line: list[Moment], info: results.CheckpointInfo) -> None:
    before = line[-1].saves if line else None
    if before is None:
        line.append(Moment(info.created_at, "saves", saves=Saves(info, info, 1)))
    else:
        line[-1] = replace(line[-1], saves=Saves(before.first, info, before.count + 1))


def _document(one: Moment) -> documents.Document:
    saves = one.saves
    return {
        "at": documents.time_of(one.at),
        "kind": one.kind,
        "event": documents.event(one.event) if one.event else None,
        "saves": None
        if saves is None
        else {
            "until": documents.time_of(saves.last.created_at),
            "seq_first": saves.first.seq,
            "seq_last": saves.last.seq,
            "kept_count": saves.count,
            "size_bytes": saves.last.size_bytes,
            "items_per_second": saves.items_per_second,
        },
        "seconds_since_save": one.seconds_since_save,
        "seconds_down": one.seconds_down,
    }


def mark(one: Moment) -> Mark:
    """How a moment is meant."""
    return _SIGNS.get(one.kind, ("", ""))[1]


def what(one: Moment, _view: View) -> str:
    """The moment in a word, with its sign."""
    sign = _SIGNS.get(one.kind, ("·", ""))[0]
    if one.saves is not None:
        return f"{sign} {shown.counted(one.saves.made, 'save')}"
    return f"{sign} {one.kind.replace('_', ' ')}"


def details(one: Moment, _view: View) -> str:
    """What else there is to say of a moment."""
    if one.saves is not None:
        return _of_saves(one.saves)
    said: list[str] = []
    data = dict(one.event.data) if one.event else {}
    if "how" in data:
        said.append(f"{data.pop('how')}")
    said += [f"{name.replace('_', ' ')} {value}" for name, value in data.items()]
    if one.seconds_since_save is not None:
        said.append(f"{shown.span(one.seconds_since_save)} after its newest save")
    if one.seconds_down is not None:
        said.append(f"after {shown.span(one.seconds_down)}")
    return ", ".join(said)


def _of_saves(saves: Saves) -> str:
    if saves.made == 1:
        return f"@{saves.last.seq}, {shown.size(saves.last.size_bytes)}"
    said = [f"@{saves.first.seq} to @{saves.last.seq} in {shown.span(saves.seconds)}"]
    if saves.count < saves.made:
        said.append(f"{saves.count:,} of them kept")
    said.append(f"{shown.size(saves.last.size_bytes)} the newest")
    if saves.items_per_second:
        said.append(shown.speed(saves.items_per_second, "items"))
    return ", ".join(said)


COLUMNS: Sequence[Column[Moment]] = (
    Column("time", lambda m, v: v.moment(m.at), lambda m: m.at, 0, width_min=19),
    Column("what", what, lambda m: m.kind, 0, width_min=13, mark=mark),
    Column("ago", lambda m, v: shown.span(v.seconds_since(m.at)), lambda m: m.at, 2, right=True, width_min=9),
    Column("details", details, lambda m: m.at, 0, width_min=20),
)  # fmt: skip


def _now(info: results.ProcessInfo, view: View) -> list[tuple[str, str]]:
    progress, risk = info.progress, documents.at_risk(info, view.now)
    standing = (
        shown.percent(progress.percent) if progress.percent is not None else shown.counted(progress.completed, "step")
    )
    at_risk = "" if risk is None else f", {shown.span(risk)} of work at risk"
    return [("now", f"{info.state}, epoch {info.epoch}, {standing}{at_risk}")]
