"""Lines for screens of any size: nothing is wider, what matters stays, colour is never alone."""

import re

import pytest

from ckptclient.results import EventInfo, HealthReport, ProcessInfo, StoreStatus
from ckptd.ctl.answer import Column
from ckptd.ctl.shown import View
from ckptd.ctl.top import drawing, rates, rows
from ckptd.ctl.top.drawing import Line, Scene, width_of
from ckptd.ctl.top.reading import Reading, key_of
from tests.ckptd.ctl import canned
from tests.ckptd.ctl.canned import NOW

PROCESSES = [
    ProcessInfo.read(canned.process()),
    ProcessInfo.read(canned.INTERRUPTED),
    ProcessInfo.read(canned.process(process_id="日本語" * 20, progress=canned.progress(total=None, percent=None))),
]


def scene(**more: object) -> Scene:
    status = StoreStatus.read({**canned.STATUS, **more.pop("status", {})})  # type: ignore[dict-item]
    health = more.pop("health", HealthReport.read(canned.HEALTH))
    reading = Reading(NOW, 0.0, status, PROCESSES, [EventInfo.read(one) for one in canned.EVENTS], True, health)  # type: ignore[arg-type]
    terms: dict[str, object] = {"processes": PROCESSES, **more}
    return Scene(reading, rates.Rates(), "node-a", View(NOW, utc=True), **terms)  # type: ignore[arg-type]


def text(line: Line) -> str:
    return "".join(piece for piece, _ in line)


@pytest.mark.parametrize("width", [1, 2, 10, 40, 80, 120, 160, 250])
def test_nothing_is_wider_than_the_screen(width: int) -> None:
    one = scene(wanted="x" * 30)
    lines = [
        *drawing.header(one, width),
        *drawing.table(one, width, 10),
        *drawing.news(one, width, 3),
        drawing.keys(("", ""), [("q", "quit"), ("?", "help")], width),
        drawing.keys(("a long message " * 30, "bad"), [], width),
    ]
    assert [text(line) for line in lines if width_of(line) > width] == []


@pytest.mark.parametrize(
    ("line", "width", "has"),
    [
        (0, 80, "ckptd node-a   health 92 ✓ healthy -8 rpo   up 1 d 2 h"),
        (0, 30, "health 92 ✓ healthy -8 rpo"),
        (1, 80, "at risk 6 m 40 s (etl-nightly)   1 running, 1 interrupted   12 connections"),
        (2, 120, "saves"),
        (3, 80, "store ██████░░░░ 6.1 GB of 10.0 GB   free 84.0 GB   checkpoints 214"),
    ],
)
def test_the_header(line: int, width: int, has: str) -> None:
    assert has[:width] in text(drawing.header(scene(), width)[line])


@pytest.mark.parametrize(
    ("more", "line", "has", "mark"),
    [
        ({"status": {"read_only": "the disk failed"}}, 0, "✗ read-only: the disk failed", "bad"),
        ({"status": {"used_bytes": 9_500_000_000}, "health": None}, 0, "! nearly full", "warn"),
        ({"health": None}, 0, "✓ up", "good"),
        ({"away": "the daemon is away"}, 0, "✗ the daemon is away", "bad"),
        ({"status": {"limit_bytes": None}}, 3, "6.1 GB", ""),
        ({"status": {"processes": {}}}, 1, "nobody works", "dim"),
        ({"health": HealthReport.read({**canned.HEALTH, "level": "critical", "score": 20})}, 0, "20 ✗ critical", "bad"),
    ],
)
def test_what_is_wrong_is_said_with_a_sign(more: dict[str, object], line: int, has: str, mark: str) -> None:
    pieces = drawing.header(scene(**more), 160)[line]
    assert [found for piece, found in pieces if has in piece] == [mark]


def test_only_processes_on_the_screen_are_drawn() -> None:
    drawn: list[str] = []
    infos = [ProcessInfo.read(canned.process(process_id=f"p{index}")) for index in range(1000)]
    column = rows.COLUMNS[0]

    def draw(info: ProcessInfo, _view: object) -> str:
        drawn.append(info.process_id)
        return info.process_id

    watched = Column(column.name, draw, column.key, width_min=16)
    before, rows.COLUMNS = rows.COLUMNS, (watched,)  # type: ignore[misc]
    try:
        lines = drawing.table(scene(processes=infos, first=500), 80, 11)
    finally:
        rows.COLUMNS = before  # type: ignore[misc]
    assert drawn == [f"p{index}" for index in range(500, 510)]
    assert len(lines) == 11


def test_the_chosen_one_and_the_order_are_seen() -> None:
    lines = drawing.table(scene(selected=key_of(PROCESSES[1]), sort="progress", reverse=True), 80, 10)
    assert "PROGRESS▲" in text(lines[0])
    assert [{mark for _, mark in line} == {"chosen"} for line in lines[1:]] == [False, True, False]


def test_what_comes_from_outside_does_nothing_to_the_terminal() -> None:
    hostile = ProcessInfo.read(
        canned.process(process_id="a\x1b[2Jb\nc", user="\x07", progress=canned.progress(step="\x1b]0;x\x07"))
    )
    event = EventInfo.read([1, NOW, "failed", "a\x1bb", "anna", {"error": "line 1\nline 2\x1b[31m"}])
    one = scene(processes=[hostile], status={"store_path": "/\x1b[31m"}, away="\x1b[31m")
    drawn = [*drawing.header(one, 300), *drawing.table(one, 300, 9), drawing.event_line(event, one.view, 300)]
    assert [line for line in map(text, drawn) if re.search(r"[\x00-\x1f\x7f]", line)] == []


@pytest.mark.parametrize(("wanted", "processes", "has"), [("x", [], "no process matches x"), ("", [], "no processes")])
def test_an_empty_table_says_so(wanted: str, processes: list[ProcessInfo], has: str) -> None:
    assert has in text(drawing.table(scene(wanted=wanted, processes=processes), 80, 9)[1])


def test_the_newest_events_stand_first() -> None:
    lines = drawing.news(scene(), 80, 3)
    assert [text(line).split()[1] for line in lines[1:]] == ["crawl-eu", "etl-nightly"]


@pytest.mark.parametrize(
    ("given", "cells", "kept"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_cutting_counts_cells(given: str, cells: int, kept: str) -> None:
    assert drawing.cut(given, cells) == kept
