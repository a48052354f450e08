"""How far something long has come, on stderr: a bar on a terminal, else a line now and then; nothing for what is short.

In JSON nothing is drawn. Carriage returns go to terminals alone: a journal would store them as bytes.
"""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from ckptd.ctl import shown
from ckptd.ctl.session import Session

_SILENT_SECONDS: Final = 1.0
"""What ends before isn't worth a word."""

_DRAW_SECONDS: Final = 0.1
_LINE_SECONDS: Final = 10.0
_CELLS: Final = 20


class Bar:
    """Counts bytes towards a total; a context that leaves the terminal's line clean."""

    def __init__(self, session: Session, what: str, total_bytes: int) -> None:
        world = session.world
        self._what, self._total = what, total_bytes
        self._monotonic = world.clock.monotonic
        self._draw = None if session.common.json else world.draw
        self._say = None if session.common.json or self._draw else world.say
        self._begun = self._monotonic()
        self._next = self._begun + (_SILENT_SECONDS if self._draw else _LINE_SECONDS)
        self._drawn = False
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn and self._draw is not None:
            self._draw("")

    def through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same pieces, counted once they were taken."""
        for piece in pieces:
            yield piece
            self.add(len(piece))

    def add(self, size_bytes: int) -> None:
        """So many bytes more are done."""
        self._bytes += size_bytes
        now = self._monotonic()
        if now < self._next:
            return
        if self._draw is not None:
            self._draw(self._line(now))
            self._drawn = True
            self._next = now + _DRAW_SECONDS
        elif self._say is not None:
            self._say(self._line(now))
            self._next = now + _LINE_SECONDS

    def _line(self, now: float) -> str:
        percent = min(100.0, 100.0 * self._bytes / self._total) if self._total else None
        per_second = self._bytes / max(now - self._begun, 1e-3)
        left = shown.span(max(0, self._total - self._bytes) / per_second) if per_second else shown.NOTHING
        sizes = f"{shown.size(self._bytes)} of {shown.size(self._total)}"
        words = (shown.percent(percent), sizes, f"{shown.size(round(per_second))}/s", f"{left} left")
        return f"{shown.clean(self._what)} {shown.bar(percent, _CELLS)} {'  '.join(words)}"
