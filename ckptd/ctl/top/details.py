"""The view of one process, and the help: blocks that are read on a thread and laid out when they are drawn."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from ckptclient import calls, results
from ckptclient.wire import params
from ckptd.ctl import checkpoints, history, naming, processes, shown
from ckptd.ctl.answer import Block, Facts, Lines, Table
from ckptd.ctl.layout import Look
from ckptd.ctl.session import Session
from ckptd.ctl.shown import View
from ckptd.ctl.top import rows
from ckptd.ctl.top.acts import ACTS
from ckptd.ctl.top.drawing import SPARK_CELLS, Line, Piece, cut
from ckptd.ctl.top.reading import Key

SAVES_SHOWN: Final = 8
MOMENTS_SHOWN: Final = 12
MOMENTS_OF_SAVES: Final = 200


class Details:
    """One process, read again and again."""

    def __init__(self, info: results.ProcessInfo, key: Key) -> None:
        self.key = key
        self._info = info
        self._steps: deque[tuple[float, int]] = deque(maxlen=SPARK_CELLS * 2 + 1)

    def read(self, session: Session) -> Sequence[Block]:
        """As of now: how it stands, how fast it went of late, its newest checkpoints, its life; raises NOT_FOUND."""
        name = naming.qualified(session, self._info)
        info = session.call(calls.show(name))
        self._steps.append((session.world.clock.monotonic(), info.progress.completed))
        saved = session.call(calls.checkpoints(params.ListCheckpoints(process_id=name, limit=SAVES_SHOWN))).checkpoints
        line, _ = history.timeline(session, info, MOMENTS_OF_SAVES)
        speeds = [
            max(0, after - before) / (end - begin)
            for (begin, before), (end, after) in zip(self._steps, list(self._steps)[1:], strict=False)
            if end > begin
        ]
        return (
            *processes.show(session, info).blocks,
            Facts([("steps/s", f"{shown.spark(speeds)} {shown.speed(speeds[-1]) if speeds else shown.NOTHING}")], "while this is open"),
            Table(checkpoints.COLUMNS, saved, "no checkpoints"),
            Table(history.COLUMNS, line[-MOMENTS_SHOWN:], "no events"),
        )  # fmt: skip


HELP: Final[Sequence[Block]] = (
    Lines("The processes of this daemon; those first that would lose most by a crash now."),
    Facts(
        [
            ("up down j k", "choose a process; PgUp PgDn Home End by the screen"),
            ("Enter", "all about it: progress, checkpoints, its life"),
            ("Esc", "back; in the list: choose none, and be at its beginning"),
            ("s  <  >", f"sort by another column: {', '.join(rows.SORTS)}"),
            ("r", "the other way round"),
            ("/", "filter: words, or user:anna state:running task:t step:s"),
            ("w", "why health is what it is, and what would help"),
            ("a", "completed processes too, or not"),
            ("Space", "stand still, and go on"),
            *((act.key, f"{act.word} (shows the command, Enter does it)") for act in ACTS),
            ("q", "leave"),
        ],
        "keys",
    ),
    Facts(
        [
            ("at-risk", "work that a crash would cost: the age of the newest checkpoint"),
            ("saved", "how long ago the newest checkpoint was made"),
            ("speed", "recent steps in a second, minute or hour"),
            ("saves stored", "of the last seconds, measured between two looks"),
            ("commit", "how long the last transactions took on average"),
        ],
        "words",
    ),
)


def reasons(health: results.HealthReport | None) -> Sequence[Block]:
    """Why health is what it is, and what would help."""
    if health is None:
        return (Lines("This daemon doesn't say how it fares."),)
    costs = [(f"-{one.points} {one.name}", one.sentence) for one in health.components if one.points]
    fine = [one.name for one in health.components if not one.points]
    advice = [(one.command, f"{one.why}: {one.gain}") for one in health.recommendations]
    return (
        Facts([("health", f"{health.score}, {health.level}"), *costs, ("within bounds", ", ".join(fine) or "nothing")]),
        *([Facts(advice, "what would help")] if advice else []),
    )


def lines(blocks: Sequence[Block], view: View, width: int) -> list[Line]:
    """Laid out for a screen of this width."""
    from ckptd.ctl.terminal import rich

    text = rich(blocks, Look(view, width))
    return [[(cut(line, width), "title" if _heads(line) else "")] for line in text.splitlines()]


def _heads(line: str) -> bool:
    """Whether it is the line of names above a table."""
    return bool(line) and line == line.upper() and line[:1].isalpha()


def question(command: str) -> Piece:
    """The line that shows what would be done."""
    return f"$ {shown.clean(command)}   Enter does it, Esc leaves it", "warn"
