"""SIGTERM, for loops that want to end after the item in hand; owns the flag *terminated*.

The handler is put in only in the main thread, only over the default one, and taken out again with the last loop: a
program that has its own keeps it. Once the signal came it counts for the rest of the program, so that a program which
goes through many processes doesn't begin the next one. Not for: what then happens to the process (`handle`).
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class Termination:
    """Whether this program was asked to end, and who is to hear of it."""

    def __init__(self) -> None:
        self.asked = False
        self._alarms: list[Callable[[], None]] = []
        self._installed = False

    def enter(self, alarm: Callable[[], None]) -> None:
        """Have a function called when the signal comes; it must not block."""
        self._alarms.append(alarm)
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._came)
            self._installed = True

    def leave(self, alarm: Callable[[], None]) -> None:
        """Undo `enter`; with the last one the default handler comes back, unless somebody put another in."""
        self._alarms.remove(alarm)
        if self._alarms or not self._installed or threading.current_thread() is not threading.main_thread():
            return
        self._installed = False
        if signal.getsignal(signal.SIGTERM) == self._came:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _came(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        for alarm in tuple(self._alarms):
            alarm()


terminated = Termination()


class Watch:
    """While it is entered, SIGTERM sets the flag and calls `alarm`."""

    def __init__(self, alarm: Callable[[], None]) -> None:
        self._alarm = alarm

    def __enter__(self) -> None:
        terminated.enter(self._alarm)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        terminated.leave(self._alarm)
