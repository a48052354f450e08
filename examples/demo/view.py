"""Shows a run while it goes: bars that move on a terminal, a line every few seconds elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from examples.demo.crew import Crew
from examples.demo.killer import Strike
from examples.demo.plan import DAEMON
from examples.demo.tally import Tally
from examples.demo.watch import Seen
from examples.demo.worker import PROTECTED, Task

LINE_EVERY_SECONDS = 5.0
STRIKES_SHOWN = 6
STATES = {"running": "green", "completed": "bright_black", "interrupted": "yellow"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One run, as it is looked at."""

    title: str
    task: Task
    crew: Crew
    tally: Tally
    shares: Sequence[int]
    strikes: Sequence[Strike]
    begun_at: float

    @property
    def files(self) -> int:
        """How many there are altogether."""
        return sum(self.shares)


class View:
    """Follows one run on a console."""

    def __init__(self, console: Console, shown: Shown) -> None:
        self._console, self._shown = console, shown
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._line_at = 0.0
        self._killed = 0
        self._back: set[int] = set()

    def __enter__(self) -> Self:
        if self._live is None:
            self._console.print(f"{self._shown.title}: {self._shown.files:,} files")
        else:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, seen: Seen, now: float) -> None:
        """Show where it is by now."""
        if self._live is not None:
            self._live.update(frame(self._shown, seen, now), refresh=True)
            return
        self._tell(now)
        if now >= self._line_at:
            self._line_at = now + LINE_EVERY_SECONDS
            self._line(now, _files(self._shown))

    def _tell(self, now: float) -> None:
        """Say what is new of the kills, in the order in which it happened."""
        strikes = self._shown.strikes
        for strike in strikes[self._killed :]:
            self._line(strike.at, f"{strike.name} killed{where(strike)}")
        self._killed = len(strikes)
        for place, strike in enumerate(strikes):
            if place not in self._back and strike.seconds is not None:
                self._back.add(place)
                self._line(now, f"{strike.name} {back(strike)}")

    def _line(self, at: float, words: str) -> None:
        self._console.print(f"  {at - self._shown.begun_at:5.1f} s  {words}")


def frame(shown: Shown, seen: Seen, now: float) -> RenderableType:
    """The whole picture of a moment."""
    bars = Table.grid(padding=(0, 2))
    for worker, (row, share) in enumerate(zip(shown.tally, shown.shares, strict=True)):
        bars.add_row(
            f"worker {worker + 1}",
            ProgressBar(total=share, completed=row.position, width=40),
            Text(f"{row.position:,}/{share:,}", justify="right"),
            _state(shown, worker, seen),
        )
    head = Text.assemble((f"{shown.title}  ", "bold"), f"{now - shown.begun_at:5.1f} s  {_files(shown)}")
    strikes = [Text(told(one, shown.begun_at), style="bright_black") for one in shown.strikes[-STRIKES_SHOWN:]]
    return Group(head, bars, *([_daemon(shown, seen)] if shown.task.name == PROTECTED else []), *strikes, Text())


def told(strike: Strike, begun_at: float) -> str:
    """One kill in a line."""
    end = back(strike) if strike.seconds is not None else "not back yet"
    return f"{strike.at - begun_at:5.1f} s  {strike.name} killed{where(strike)}; {end}"


def where(strike: Strike) -> str:
    """How far a killed worker was."""
    return "" if strike.victim == DAEMON else f" at file {strike.position:,}"


def back(strike: Strike) -> str:
    """What it cost."""
    cost = "the workers went on" if strike.victim == DAEMON else f"{counted(strike.repeated, 'file')} done again"
    return f"back after {strike.seconds:.2f} s, {cost}"


def counted(count: int, noun: str) -> str:
    """A number of things, in the right number."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _files(shown: Shown) -> str:
    done = shown.tally.position
    kills = f"  {counted(len(shown.strikes), 'kill')} so far" if shown.strikes else ""
    return f"{done:,} of {shown.files:,} files ({done / shown.files:.0%}){kills}"


def _state(shown: Shown, worker: int, seen: Seen) -> Text:
    row, life = shown.tally[worker], shown.crew.lives[worker]
    if life > 1 and row.life < life and row.position < shown.shares[worker]:
        return Text("killed, coming back", style="red")
    process = seen.processes.get(shown.task.process_id(worker))
    if process is None:
        return Text()
    text = f"{process.state}  epoch {process.epoch}  {counted(process.checkpoints, 'checkpoint')}"
    return Text(text, style=STATES.get(process.state, ""))


def _daemon(shown: Shown, seen: Seen) -> Text:
    life = shown.crew.daemon_lives
    if not seen.answers:
        return Text(f"ckptd     killed, coming back (life {life})", style="red")
    return Text(f"ckptd     answers (life {life})", style="green")
