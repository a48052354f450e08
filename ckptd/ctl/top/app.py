"""The terminal: puts lines on it, hears keys. The one module that loads textual.

A look at the daemon runs on a thread, so that keys are answered while a daemon is slow; a picture replaces the last
line by line, and only lines that changed are drawn. The terminal's own colours are used, none with NO_COLOR.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input
from typing_extensions import override

from ckptclient.errors import CkptdError, Unreachable
from ckptd.ctl.answer import Block
from ckptd.ctl.session import Session
from ckptd.ctl.terminal import STYLES
from ckptd.ctl.top import details, drawing, rows
from ckptd.ctl.top.acts import ACTS, Asked
from ckptd.ctl.top.details import HELP, Details
from ckptd.ctl.top.drawing import Line, Scene
from ckptd.ctl.top.rates import Sample
from ckptd.ctl.top.reading import Key, Reader, Reading, key_of

Words = Sequence[tuple[str, str]]
LIST_WORDS: Final[Words] = (
    ("q", "quit"), ("?", "help"), ("Enter", "details"), ("/", "filter"), ("s", "sort"), ("r", "reverse"),
    ("a", "completed"), ("p", "pin"), ("S", "stop"), ("f", "fence"),
)  # fmt: skip
PAGE_WORDS: Final[Words] = (
    ("Esc", "back"),
    ("up/down", "scroll"),
    ("p", "pin"),
    ("S", "stop"),
    ("f", "fence"),
    ("q", "quit"),
)
WORKERS_WORD: Final = ("own processes only", "no operator")
ALL_STYLES: Final[Mapping[str, Style]] = {
    name: Style.parse(words or "none") for name, words in {**STYLES, "title": "bold", "chosen": "reverse"}.items()
}


class Canvas(Widget, can_focus=True):
    """A screen of lines."""

    lines: Sequence[Line] = ()

    def show(self, lines: Sequence[Line]) -> None:
        """Draw what is new."""
        changed = [
            y for y, (old, new) in enumerate(zip_longest(self.lines, lines)) if old is None or new is None or list(old) != list(new)
        ]  # fmt: skip
        self.lines = lines
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    @override
    def render_line(self, y: int) -> Strip:
        line = self.lines[y] if y < len(self.lines) else ()
        return Strip([Segment(text, ALL_STYLES[mark]) for text, mark in line]).adjust_cell_length(self.size.width)


class Top(App[None]):
    """`ckptctl top` on a terminal."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: ansi_default; color: ansi_default; layers: base above; }
    Canvas { background: ansi_default; color: ansi_default; width: 100%; height: 100%; layer: base; }
    Input { layer: above; dock: bottom; display: none; background: ansi_default; color: ansi_default; height: 1; border: none; }
    """
    MOVES: ClassVar[Mapping[str, int]] = {"up": -1, "k": -1, "down": 1, "j": 1}

    def __init__(self, session: Session, reader: Reader, scene: Scene, interval: float) -> None:
        super().__init__(ansi_color=True)
        self._session = session
        self._reader = reader
        self._scene = scene
        self._interval = interval
        self._looking = False
        self._still = False
        self._asked: Asked | None = None
        self._details: Details | None = None
        self._page: Sequence[Block] | None = None
        self._page_first = 0
        self._keys: Mapping[str, Callable[[], None]] = {
            "q": self.exit, "question_mark": self._help, "h": self._help, "f1": self._help, "enter": self._enter,
            "escape": self._back, "slash": self._filter, "s": lambda: self._sort(1), "greater_than_sign": lambda: self._sort(1),
            "less_than_sign": lambda: self._sort(-1), "r": self._reverse, "w": self._why, "a": self._completed, "space": self._stand_still,
        }  # fmt: skip

    @override
    def compose(self) -> ComposeResult:
        yield Canvas()
        yield Input(placeholder="filter: words, user:anna, state:running", compact=True, select_on_focus=False)

    def on_mount(self) -> None:
        """Begin."""
        self.query_one(Input).cursor_blink = False
        self.query_one(Canvas).focus()
        self.set_interval(self._interval, self.look)

    def on_resize(self, _event: events.Resize) -> None:
        """Another size, which is known to everybody only after this."""
        self.call_after_refresh(self._draw)

    # Looking

    def look(self) -> None:
        """Ask the daemon, unless it is being asked."""
        if not self._looking and not self._still:
            self._looking = True
            self.run_worker(self._look(), group="look")

    async def _look(self) -> None:
        try:
            visible = [key_of(info) for info in self._scene.processes[self._scene.first :][: self._rows]]
            reading, page = await asyncio.to_thread(self._read, visible, self._details)
        except CkptdError as error:
            away = "the daemon is away; waiting for it" if isinstance(error, Unreachable) else error.message
            self._scene = replace(self._scene, away=away)
        else:
            self._landed(reading)
            if page is not None and self._details is not None:
                self._page = page
        finally:
            self._looking = False
        self._arrange()

    def _read(self, visible: Sequence[Key], of: Details | None) -> tuple[Reading, Sequence[Block] | None]:
        reading = self._reader.read(visible)
        return reading, None if of is None else of.read(self._session)

    def _landed(self, reading: Reading) -> None:
        self._scene.rates.add(Sample.of(reading.monotonic, reading.status))
        self._scene = replace(self._scene, reading=reading, away=None)

    # Drawing

    @property
    def _rows(self) -> int:
        """How many processes find room."""
        return max(1, self.size.height - drawing.HEADER_LINES - drawing.NEWS_LINES - 3)

    def _arrange(self) -> None:
        """Order what was read anew, keep the chosen one on the screen, and draw."""
        scene = self._scene
        view = self._session.view()
        ordered = rows.arranged(
            scene.reading.processes, view.now, sort=scene.sort, reverse=scene.reverse, wanted=scene.wanted
        )
        self._scene = replace(scene, view=view, processes=ordered)
        self._keep_in_sight()

    def _keep_in_sight(self) -> None:
        index, first = self._index(), self._scene.first
        if index is None:
            first, self._scene = 0, replace(self._scene, selected=None)
        else:
            first = min(max(first, index - self._rows + 1), index)
        last = max(0, len(self._scene.processes) - self._rows)
        self._scene = replace(self._scene, first=min(first, last))
        self._draw()

    def _index(self) -> int | None:
        for index, info in enumerate(self._scene.processes):
            if key_of(info) == self._scene.selected:
                return index
        return None

    def _draw(self) -> None:
        scene, width, height = self._scene, self.size.width, self.size.height
        lines = drawing.header(scene, width)[: max(1, height - 5)]
        room = height - len(lines) - 1
        if self._page is not None:
            body = details.lines(self._page, scene.view, width)
            self._page_first = min(self._page_first, max(0, len(body) - room))
            lines += self._filled(body[self._page_first :][:room], room)
            words: Words = PAGE_WORDS
        else:
            news = drawing.news(scene, width, drawing.NEWS_LINES) if height > 16 else []
            lines += self._filled(drawing.table(scene, width, room - len(news)), room - len(news)) + news
            words = LIST_WORDS
        said = details.question(self._asked.command) if self._asked else scene.said
        if self._still and not said[0]:
            said = ("standing still: Space goes on", "warn")
        if not scene.reading.operator:
            words = (*words[:3], WORKERS_WORD, *words[3:])
        lines.append(drawing.keys(said, words, width))
        self.query_one(Canvas).show(lines)

    @staticmethod
    def _filled(lines: Sequence[Line], height: int) -> list[Line]:
        return [*lines, *([()] * (height - len(lines)))]

    # Keys

    def on_key(self, event: events.Key) -> None:
        """One key, that no field took."""
        if event.key == "enter" and self.query_one(Input).display:
            return  # the field's: it has been submitted, and comes here all the same
        if self._asked is not None:
            self._answered(event.key)
            return
        self._scene = replace(self._scene, said=("", ""))
        acts = {act.key: act for act in ACTS}
        pages = {"pageup": -self._rows, "pagedown": self._rows, "home": -(10**9), "end": 10**9}
        moves = {**self.MOVES, **pages}
        if event.key in moves:
            self._move(moves[event.key])
        elif event.key in self._keys:
            self._keys[event.key]()
        elif event.character in acts:
            self._ask(event.character)
        if self.is_running:
            self._draw()

    def on_mouse_scroll_down(self, _event: events.MouseScrollDown) -> None:
        """The wheel."""
        self._move(3)

    def on_mouse_scroll_up(self, _event: events.MouseScrollUp) -> None:
        """The wheel."""
        self._move(-3)

    def _move(self, by: int) -> None:
        if self._page is not None:
            self._page_first = max(0, self._page_first + by)
            self._draw()
            return
        count, index = len(self._scene.processes), self._index()
        if count:
            to = (0 if by < count else count - 1) if index is None else min(max(0, index + by), count - 1)
            self._scene = replace(self._scene, selected=key_of(self._scene.processes[to]))
            self._keep_in_sight()

    def _sort(self, by: int) -> None:
        at = (rows.SORTS.index(self._scene.sort) + by) % len(rows.SORTS)
        self._scene = replace(self._scene, sort=rows.SORTS[at], said=(f"sorted by {rows.SORTS[at]}", "dim"))
        self._arrange()

    def _reverse(self) -> None:
        self._scene = replace(self._scene, reverse=not self._scene.reverse)
        self._arrange()

    def _completed(self) -> None:
        self._reader.completed = not self._reader.completed
        said = "with completed processes" if self._reader.completed else "without completed processes"
        self._scene = replace(self._scene, said=(said, "dim"))
        self.look()

    def _stand_still(self) -> None:
        self._still = not self._still
        self.look()

    def _help(self) -> None:
        self._page, self._page_first, self._details = HELP, 0, None

    def _why(self) -> None:
        self._page, self._page_first, self._details = details.reasons(self._scene.reading.health), 0, None

    def _back(self) -> None:
        if self._page is not None:
            self._page, self._details = None, None
        elif self._scene.selected is not None:
            self._scene = replace(self._scene, selected=None)
        else:
            self._scene = replace(self._scene, wanted="")
        self._arrange()

    def _enter(self) -> None:
        if self._page is not None or not self._scene.processes:
            return
        index = self._index() or 0
        info = self._scene.processes[index]
        self._scene = replace(self._scene, selected=key_of(info))
        self._details, self._page, self._page_first = Details(info, key_of(info)), (), 0
        self.look()

    # The filter

    def _filter(self) -> None:
        self._page, self._details = None, None
        field = self.query_one(Input)
        field.value = self._scene.wanted
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """What is typed is looked for at once."""
        self._scene = replace(self._scene, wanted=event.value)
        self._arrange()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Keep the filter, and go back to the list."""
        self.query_one(Input).display = False
        self.query_one(Canvas).focus()

    # Acts

    def _ask(self, key: str) -> None:
        index = self._index()
        if index is None:
            self._scene = replace(self._scene, said=("choose a process first: up, down", "warn"))
            return
        act = next(one for one in ACTS if one.key == key)
        name = act.of(self._session, self._scene.processes[index])
        if name is None:
            self._scene = replace(self._scene, said=("it has no checkpoint", "warn"))
        else:
            self._asked = Asked(act, name)

    def _answered(self, key: str) -> None:
        asked, self._asked = self._asked, None
        if key == "enter" and asked is not None:
            self.run_worker(self._do(asked), group="acts")
        elif key in ("q", "ctrl+c"):
            self.exit()
        else:
            self._scene = replace(self._scene, said=("nothing was done", "dim"))
            self._draw()

    async def _do(self, asked: Asked) -> None:
        try:
            said = (await asyncio.to_thread(asked.do, self._session), "good")
        except CkptdError as error:
            said = (f"{error.message} [{error.code}]", "bad")
        self._scene = replace(self._scene, said=said)
        self._draw()
        self.look()
