"""Which processes are shown, in which order and in which columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ckptclient import results
from ckptd.ctl import documents, processes, shown
from ckptd.ctl.answer import Column, Mark
from ckptd.ctl.shown import View

GAP: Final = 1
NAME_CELLS_MIN: Final = 16
NAME_CELLS_MAX: Final = 40

SIGNS: Final[Mapping[str, tuple[str, Mark]]] = {
    "running": ("✓", "good"),
    "stalled": ("!", "warn"),
    "interrupted": ("✗", "bad"),
    "failed": ("✗", "bad"),
    "paused": ("!", "warn"),
    "completed": ("·", "dim"),
    "registered": ("·", "dim"),
}


def sign(info: results.ProcessInfo) -> tuple[str, Mark]:
    """A character for the state, and how it is meant; a running process whose worker is gone is no good news."""
    if info.state == "running" and info.holder is not None and info.holder.alive is False:
        return "!", "bad"
    return SIGNS.get(info.state, ("·", ""))


def _mark(info: results.ProcessInfo) -> Mark:
    return sign(info)[1]


def _bar_cells(info: results.ProcessInfo, _view: View) -> str:
    percent = info.progress.percent
    if percent is None:
        return f"{shown.count(info.progress.completed):>15}"
    return f"{shown.bar(percent, 7)} {shown.percent(percent):>7}"


def _eta(info: results.ProcessInfo, view: View) -> str:
    return view.ahead(info.progress.eta) if info.progress.eta and info.state == "running" else shown.NOTHING


def _risk(info: results.ProcessInfo, view: View) -> str:
    risk = documents.at_risk(info, view.now)
    return shown.NOTHING if risk is None else shown.span(risk)


def _saved_at(info: results.ProcessInfo) -> int | None:
    return info.last_checkpoint.created_at if info.last_checkpoint else None


def _saved(info: results.ProcessInfo, view: View) -> str:
    at = _saved_at(info)
    return shown.NOTHING if at is None else shown.span(view.seconds_since(at))


def _size(info: results.ProcessInfo, _view: View) -> str:
    return shown.size(info.last_checkpoint.size_bytes if info.last_checkpoint else None)


def _worker(info: results.ProcessInfo, _view: View) -> str:
    if info.holder is None:
        return shown.NOTHING
    return f"{info.holder.pid}{' gone' if info.holder.alive is False else ''}"


def _speed(info: results.ProcessInfo, _view: View) -> str:
    return shown.speed(info.progress.per_second) if info.state == "running" else shown.NOTHING


Info = results.ProcessInfo
COLUMNS: Final[Sequence[Column[Info]]] = (
    Column("process", lambda p, _: f"{sign(p)[0]} {p.process_id}", lambda p: p.process_id, 0, width_min=NAME_CELLS_MIN, mark=_mark),
    Column("user", lambda p, _: p.user, lambda p: p.user, 4, width_min=8),
    Column("state", lambda p, _: p.state, lambda p: p.state, 2, width_min=11, mark=_mark),
    Column("progress", _bar_cells, lambda p: p.progress.percent, 0, width_min=15),
    Column("speed", _speed, lambda p: p.progress.per_second, 1, right=True, width_min=8),
    Column("eta", _eta, lambda p: p.progress.eta, 1, right=True, width_min=9),
    Column("at-risk", _risk, lambda p: p.registered_at, 0, right=True, width_min=9),
    Column("saved", _saved, _saved_at, 5, right=True, width_min=9),
    Column("ckpts", lambda p, _: shown.count(p.checkpoints), lambda p: p.checkpoints, 6, right=True, width_min=7),
    Column("size", _size, lambda p: p.last_checkpoint.size_bytes if p.last_checkpoint else None, 7, right=True, width_min=8),
    Column("worker", _worker, lambda p: p.holder.pid if p.holder else None, 8, right=True, width_min=8),
    Column("epoch", lambda p, _: str(p.epoch), lambda p: p.epoch, 9, right=True, width_min=5),
    Column("step", lambda p, _: shown.or_nothing(p.progress.step), lambda p: p.progress.step, 10, width_min=14),
)  # fmt: skip
"""`width_min` is how wide a column is; of what is left the first gets most, and the last the rest."""

SORTS: Final = ("at-risk", *(column.name for column in COLUMNS if column.name not in ("at-risk", "step")))
LARGEST_FIRST: Final = frozenset(("progress", "speed", "ckpts", "size", "epoch"))
"""What of these is asked for is what is most; of names and times it is what comes first."""


def columns_for(width: int) -> list[tuple[Column[Info], int]]:
    """The columns that find room in so many cells, and the width of each."""
    kept = list(COLUMNS)
    while len(kept) > 1 and _together(kept) > width:
        kept.remove(max(kept[1:], key=lambda column: column.rank))
    spare = max(0, width - _together(kept))
    named = min(spare, NAME_CELLS_MAX - NAME_CELLS_MIN)
    widths = [column.width_min for column in kept]
    widths[0] += named
    if kept[-1] is COLUMNS[-1]:
        widths[-1] += spare - named
    return list(zip(kept, widths, strict=True))


def _together(kept: Sequence[Column[Info]]) -> int:
    return sum(column.width_min for column in kept) + GAP * (len(kept) - 1)


def arranged(
    found: Sequence[Info], now: int, *, sort: str = SORTS[0], reverse: bool = False, wanted: str = ""
) -> list[Info]:
    """Those that `wanted` lets through, by this column; what has no value there comes last, either way."""
    kept = [info for info in found if matches(info, wanted)]
    if sort == SORTS[0]:
        ordered = processes.most_urgent_first(kept, now)
        return ordered[::-1] if reverse else ordered
    key: Callable[[Info], Any] = next(column.key for column in COLUMNS if column.name == sort)
    known = sorted((info for info in kept if key(info) is not None), key=lambda info: info.process_id)
    known.sort(key=key, reverse=reverse != (sort in LARGEST_FIRST))
    return known + [info for info in kept if key(info) is None]


_FIELDS: Final[Mapping[str, Callable[[Info], str]]] = {
    "user": lambda p: p.user,
    "state": lambda p: p.state,
    "task": lambda p: p.task_id,
    "step": lambda p: p.progress.step,
    "process": lambda p: p.process_id,
}


def matches(info: Info, wanted: str) -> bool:
    """Whether every word is in it: anywhere, or in one field (`state:running user:anna llm`)."""
    return all(_has(info, word) for word in wanted.lower().split())


def _has(info: Info, word: str) -> bool:
    field, colon, value = word.partition(":")
    if colon and field in _FIELDS:
        return value in _FIELDS[field](info).lower()
    return any(word in read(info).lower() for read in _FIELDS.values())
