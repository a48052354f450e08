"""How often the daemon of a store has ended because the store failed; owns the term *failure* of a start.

A failed store ends the daemon and its manager starts another, which is right for a fault that passes and endless for
one that stays. So each end leaves a line in a small file, and whoever finds enough of them in a while comes up
read-only. The file lies where the store does not (the manager's runtime directory, else beside the socket): it must be
writable just when the store isn't. A clean end removes it: an operator who restarts the daemon has seen to it.
Not for: what read-only means (`compose`), nor for failures of single requests (`metrics`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

COUNT_MAX: Final = 5
"""Failures within the window after which a start writes no more. A manager that restarts after a second needs as many."""

WINDOW_SECONDS: Final = 600.0
"""A disk that fails twice a day is seen by other means; here it is about a start that can't succeed."""

_RUNTIME_DIRECTORY: Final = "RUNTIME_DIRECTORY"


def place(socket: Path, environ: Mapping[str, str]) -> Path:
    """Where the failures of the daemon behind this socket are counted."""
    given = environ.get(_RUNTIME_DIRECTORY, "").partition(":")[0]
    return Path(given) / "failures" if given else socket.with_name(f"{socket.name}.failures")


class Failures:
    """The file. No method raises: a place that can't be written counts nothing, and is said so by `note`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, now: int, why: str) -> bool:
        """Add one (microseconds UTC); whether it could be kept. Not synced: after a reboot the count begins anew."""
        lines = [*self._lines(now), (now, " ".join(why.split()))]
        try:
            self.path.write_text("".join(f"{at} {one}\n" for at, one in lines), encoding="utf-8", errors="replace")
        except OSError:
            return False
        return True

    def verdict(self, now: int) -> str | None:
        """Why this start shall not write, None where it may."""
        lines = self._lines(now)
        if len(lines) < COUNT_MAX:
            return None
        minutes = WINDOW_SECONDS / 60
        return f"the store failed {len(lines)} times within {minutes:.0f} minutes, at last: {lines[-1][1]}"

    def forget(self) -> None:
        """Begin anew."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return

    def _lines(self, now: int) -> Sequence[tuple[int, str]]:
        """Those within the window; one from the future was noted before the clock was set back, and says nothing."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        split = (line.partition(" ") for line in text.splitlines())
        noted = [(int(at), why) for at, _, why in split if at.isdecimal()]
        return [(at, why) for at, why in noted if 0 <= now - at <= WINDOW_SECONDS * 1_000_000]
