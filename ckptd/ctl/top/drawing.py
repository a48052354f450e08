"""Lines for a screen of any size; owns the term *line*.

A line is pieces of text, each with a mark that says how it is meant. Nothing is longer than the screen is wide: what
finds no room is left out whole, the least important first. What comes from outside passes `clean`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ckptclient import results
from ckptd.ctl import documents, shown
from ckptd.ctl.answer import Mark
from ckptd.ctl.layout import GAP, cells_of
from ckptd.ctl.shown import View
from ckptd.ctl.top import rates, rows
from ckptd.ctl.top.reading import Key, Reading, key_of

Piece = tuple[str, Mark]
Line = Sequence[Piece]
"""Marks are those of an answer, and `title` and `chosen`."""

HEADER_LINES: Final = 4
NEWS_LINES: Final = 3
SPARK_CELLS: Final = 20
REASONS_SHOWN: Final = 2
NEARLY_FULL: Final = 0.9
_GOOD_LEVEL: Final = "healthy"
_BAD_LEVEL: Final = "critical"

_EVENT_MARKS: Final[Mapping[str, Mark]] = {
    "interrupted": "bad", "failed": "bad", "fenced": "warn", "rewound": "warn", "deleted": "warn", "completed": "good",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a picture shows: a reading, its history, and where the person who looks is in it."""

    reading: Reading
    rates: rates.Rates
    node: str
    view: View
    processes: Sequence[results.ProcessInfo] = ()
    """In order, those that were filtered out left out."""
    selected: Key | None = None
    first: int = 0
    """Index of the process on the first line of the table."""
    sort: str = rows.SORTS[0]
    reverse: bool = False
    wanted: str = ""
    sparks: int = SPARK_CELLS
    """Values of a series that are drawn."""
    away: str | None = None
    """Why there is nothing newer."""
    said: Piece = field(default=("", ""))
    """What came of the last key, in the line of keys."""


def width_of(line: Line) -> int:
    """Cells that a line takes."""
    return sum(cells_of(text) for text, _ in line)


def cut(text: str, cells: int) -> str:
    """The text in so many cells at most, with an ellipsis where it was longer."""
    if cells_of(text) <= cells:
        return text
    kept = text[: max(0, cells - 1)]
    while cells_of(kept) >= cells and kept:  # wide characters take two
        kept = kept[:-1]
    return kept + "…"[:cells]


def fitted(groups: Sequence[tuple[int, Line]], width: int) -> Line:
    """Groups side by side; those with the highest rank go where there is no room, and the last is cut."""
    kept = list(groups)

    def together() -> int:
        return sum(width_of(line) for _, line in kept) + 3 * (len(kept) - 1)

    while len(kept) > 1 and together() > width:
        kept.remove(max(kept, key=lambda group: group[0]))
    line: list[Piece] = []
    for index, (_, pieces) in enumerate(kept):
        line += [("   ", "")] * bool(index) + list(pieces)
    return within(line, width)


def within(line: Line, width: int) -> Line:
    """The line, cut where it is longer."""
    kept: list[Piece] = []
    left = width
    for text, mark in line:
        if cells_of(text) > left:
            if left > 0:
                kept.append((cut(text, left), mark))
            break
        kept.append((text, mark))
        left -= cells_of(text)
    return kept


def header(scene: Scene, width: int) -> list[Line]:
    """Who is asked and how it fares; what would be lost; how fast it goes; how full it is."""
    return [fitted(groups, width) for groups in (_identity(scene), _risk(scene), _pace(scene), _space(scene))]


def _identity(scene: Scene) -> list[tuple[int, Line]]:
    status = scene.reading.status
    away: list[tuple[int, Line]] = [(0, [(f"✗ {shown.clean(scene.away)}", "bad")])] if scene.away else []
    return [
        (1, [("ckptd ", "dim"), (shown.clean(scene.node), "title")]),
        *away,
        *([] if scene.away else [(0, _health(scene))]),
        (3, [("up ", "dim"), (shown.span(status.uptime_seconds), "")]),
        (4, [(f"{status.version} pid {status.pid}", "dim")]),
        (2, [(scene.view.moment(scene.reading.at).partition(" ")[2], "dim")]),
    ]


def _health(scene: Scene) -> Line:
    status, health = scene.reading.status, scene.reading.health
    if status.read_only:
        return [(f"✗ read-only: {shown.clean(status.read_only)}", "bad")]
    if health is not None:
        mark = "good" if health.level == _GOOD_LEVEL else "bad" if health.level == _BAD_LEVEL else "warn"
        sign = {"good": "✓", "warn": "!", "bad": "✗"}[mark]
        costs = sorted((one for one in health.components if one.points), key=lambda one: -one.points)
        why = "".join(f" -{one.points} {one.name}" for one in costs[:REASONS_SHOWN])
        return [("health ", "dim"), (f"{health.score} {sign} {health.level}", mark), (shown.clean(why), mark)]
    if _nearly_full(status):
        return [("! nearly full", "warn")]
    return [("✓ up", "good")]


def _nearly_full(status: results.StoreStatus) -> bool:
    return status.limit_bytes is not None and status.used_bytes >= status.limit_bytes * NEARLY_FULL


def _risk(scene: Scene) -> list[tuple[int, Line]]:
    now = scene.view.now
    at_risk = [
        (risk, info)
        for info in scene.reading.processes
        if (risk := documents.at_risk(info, now)) is not None
    ]  # fmt: skip
    worst = max(at_risk, key=lambda one: one[0], default=None)
    said = "nothing" if worst is None else shown.span(worst[0])
    name = [] if worst is None else [(f" ({shown.clean(worst[1].process_id)})", "dim")]
    counts = [(state, count) for state, count in scene.reading.status.processes.items() if count]
    states: list[Piece] = []
    for state, count in counts:
        states += [(", ", "dim")] * bool(states) + [(f"{count} {state}", rows.SIGNS.get(state, ("", ""))[1])]
    return [
        (0, [("at risk ", "dim"), (said, "title"), *name]),
        (1, states or [("nobody works", "dim")]),
        (2, [(shown.counted(scene.reading.status.connections, "connection"), "dim")]),
    ]


def _pace(scene: Scene) -> list[tuple[int, Line]]:
    def series(name: str, between: rates.Between, text: str) -> Line:
        drawn = f"{shown.spark(scene.rates.series(between, scene.sparks))} " if scene.sparks else ""
        return [(f"{name} ", "dim"), (drawn, "good"), (text, "")]

    saves = scene.rates.last(rates.saves_per_second)
    stored = scene.rates.last(rates.stored_per_second)
    commit = scene.rates.last(rates.commit_seconds)
    changes = scene.rates.last(rates.changes_per_second)
    return [
        (0, series("saves", rates.saves_per_second, _per_second(saves))),
        (1, series("stored", rates.stored_per_second, _bytes_per_second(stored))),
        (2, [("commit ", "dim"), (shown.NOTHING if commit is None else f"{commit * 1e3:.1f} ms", "")]),
        (3, [("changes ", "dim"), (_per_second(changes), "")]),
    ]


def _per_second(value: float | None) -> str:
    return shown.NOTHING if value is None else "0/s" if value == 0 else f"{value:,.{0 if value >= 10 else 1}f}/s"


def _bytes_per_second(value: float | None) -> str:
    if value is None:
        return shown.NOTHING
    return f"{'-' if value < 0 else ''}{shown.size(round(abs(value)))}/s"


def _space(scene: Scene) -> list[tuple[int, Line]]:
    status = scene.reading.status
    used = shown.size(status.used_bytes)
    store: Line = [("store ", "dim"), (used, "")]
    if status.limit_bytes:
        mark = "warn" if _nearly_full(status) else ""
        share = 100 * status.used_bytes / status.limit_bytes
        store = [("store ", "dim"), (f"{shown.bar(share)} {used} of {shown.size(status.limit_bytes)}", mark)]
    return [
        (0, store),
        (1, [("free ", "dim"), (shown.size(status.free_bytes), "")]),
        (2, [("checkpoints ", "dim"), (shown.count(status.checkpoints), "")]),
        (3, [(shown.clean(status.store_path), "dim")]),
    ]


def table(scene: Scene, width: int, height: int) -> list[Line]:
    """Names of the columns, then as many processes as find room: only these are drawn."""
    columns = rows.columns_for(width)
    arrow = "▲" if scene.reverse else "▼"
    titles: list[Piece] = []
    for column, cells in columns:
        title = column.name.upper() + (arrow if column.name == scene.sort else "")
        titles += [(_padded(title, cells, column.right), "title"), (" " * rows.GAP, "")]
    lines: list[Line] = [within(titles[:-1], width)]
    for info in scene.processes[scene.first : scene.first + height - 1]:
        chosen = key_of(info) == scene.selected
        pieces: list[Piece] = []
        for column, cells in columns:
            mark = "chosen" if chosen else column.mark(info) if column.mark else ""
            text = _padded(shown.clean(column.text(info, scene.view)), cells, column.right)
            pieces += [(text, mark), (" " * rows.GAP, "chosen" if chosen else "")]
        lines.append(pieces[:-1])
    if not scene.processes:
        lines.append([(f"no process matches {scene.wanted}" if scene.wanted else "no processes", "dim")])
    return [within(line, width) for line in lines]


def _padded(text: str, cells: int, right: bool) -> str:
    text = cut(text, cells)
    blank = " " * (cells - cells_of(text))
    return blank + text if right else text + blank


def news(scene: Scene, width: int, count: int) -> list[Line]:
    """The newest events, newest first, under a rule that says what of the table is on the screen."""
    shown_of = f" {len(scene.processes):,} processes " if scene.processes else ""
    if scene.wanted:
        shown_of += f"of {len(scene.reading.processes):,} match {shown.clean(scene.wanted)} "
    rule: Line = [("─" * 2 + cut(shown_of, width - 4), "dim")]
    rule = [*rule, ("─" * (width - width_of(rule)), "dim")]
    return [
        within(rule, width),
        *(event_line(event, scene.view, width) for event in list(scene.reading.events)[-count:][::-1]),
    ]


def event_line(event: results.EventInfo, view: View, width: int) -> Line:
    """One event."""
    when = view.moment(event.at).partition(" ")[2]
    said = GAP.join(f"{name} {value}" for name, value in event.data.items())
    return within(
        [
            (f"{when} ", "dim"),
            (f"{shown.clean(event.process_id or 'store')} ", ""),
            (event.kind.replace("_", " "), _EVENT_MARKS.get(event.kind, "")),
            (f"  {shown.clean(said)}", "dim"),
        ],
        width,
    )


def keys(said: Piece, words: Sequence[tuple[str, str]], width: int) -> Line:
    """What the keys do, or what the last one did."""
    if said[0]:
        return within([said], width)
    return fitted([(index, [(key, "title"), (f" {word}", "dim")]) for index, (key, word) in enumerate(words)], width)
