"""The verb `top`: live on a terminal, one picture elsewhere."""

import platform
from dataclasses import replace
from importlib.util import find_spec
from typing import Final

from ckptclient.errors import BadRequest
from ckptd.ctl import documents
from ckptd.ctl.answer import Answer, Facts, Lines, Table
from ckptd.ctl.session import Session
from ckptd.ctl.top import drawing, rates, rows
from ckptd.ctl.top.drawing import Scene
from ckptd.ctl.top.rates import Rates, Sample
from ckptd.ctl.top.reading import Reader

SNAPSHOT_SECONDS: Final = 1.0
"""Between the two looks of one picture: speeds are differences."""

SNAPSHOT_CELLS: Final = 160


def top(session: Session, *, by: str, filter_: str, completed: bool, every: float) -> Answer:
    """Processes and speeds, live."""
    reader, figures = Reader(session), Rates()
    reader.completed = completed
    reading = reader.read()
    figures.add(Sample.of(reading.monotonic, reading.status))
    node = platform.node() or "this machine"
    view = session.view()
    ordered = rows.arranged(reading.processes, view.now, sort=by, wanted=filter_)
    scene = Scene(reading, figures, node, view, ordered, sort=by, wanted=filter_)
    if not _live(session):
        return _snapshot(session, reader, scene)
    if find_spec("textual") is None:
        raise BadRequest("ckptctl top needs textual", hint="pip install 'ckptd[ctl]', or ckptctl ps --watch")
    from ckptd.ctl.top.app import Top

    Top(session, reader, scene, every).run()
    return Answer({})


def _live(session: Session) -> bool:
    """Whether somebody looks on, with a terminal that can be drawn on and a keyboard."""
    world = session.world
    dumb = world.environ.get("TERM") == "dumb"
    return world.terminal() is not None and world.asks() and not session.common.json and not dumb


def _snapshot(session: Session, reader: Reader, scene: Scene) -> Answer:
    session.world.sleep(SNAPSHOT_SECONDS)
    reading = reader.read()
    scene.rates.add(Sample.of(reading.monotonic, reading.status))
    view = session.view()
    ordered = rows.arranged(reading.processes, view.now, sort=scene.sort, wanted=scene.wanted)
    scene = replace(scene, reading=reading, view=view, processes=ordered, sparks=0)
    figures, health = scene.rates, reading.health
    document: documents.Document = {
        "at": documents.time_of(reading.at),
        "daemon": documents.daemon(reading.status),
        "store": documents.store(reading.status),
        "health": None if health is None else {"score": health.score, "level": health.level},
        "saves_per_second": figures.last(rates.saves_per_second),
        "changes_per_second": figures.last(rates.changes_per_second),
        "stored_bytes_per_second": figures.last(rates.stored_per_second),
        "commit_seconds": figures.last(rates.commit_seconds),
        "processes": [documents.process(info, view.now) for info in ordered],
    }
    head = "\n".join("".join(text for text, _ in line).rstrip() for line in drawing.header(scene, SNAPSHOT_CELLS))
    blocks = (Lines(head), Table(rows.COLUMNS, ordered, "no processes"), Facts(_events(scene), "events"))
    return Answer(document, blocks if reading.events else blocks[:2])


def _events(scene: Scene) -> list[tuple[str, str]]:
    return [
        (scene.view.moment(event.at), "".join(text for text, _ in drawing.event_line(event, scene.view, SNAPSHOT_CELLS)[1:]))
        for event in scene.reading.events[-drawing.NEWS_LINES :]
    ]  # fmt: skip
