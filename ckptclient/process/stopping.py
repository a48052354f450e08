"""SIGTERM, for a loop that wants to end after the item in hand; owns the flag *terminated*.

The handler is put in only in the main thread, only over the default one, and taken out again with the loop: a program
that has its own keeps it. Once the signal came it counts for the rest of the program, so that a program which goes
through many processes doesn't begin the next one. Not for: what then happens to the process (`handle`).
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class Termination:
    """Whether this program was asked to end."""

    def __init__(self) -> None:
        self.asked = False


terminated = Termination()


class Watch:
    """While it is entered SIGTERM sets the flag and calls `alerted`, which must not block."""

    def __init__(self, alerted: Callable[[], None]) -> None:
        self._alerted = alerted
        self._installed = False

    def __enter__(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_signal)
            self._installed = True

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        terminated.asked = True
        self._alerted()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._installed and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._installed = False
