"""How the demo counts for itself: figures of each worker in a shared file, which no SIGKILL takes away.

The comparison at the end must not rest on what ckptd says of itself; so each worker writes here what it really did.
One writer for each row, plain 8-byte stores, and readers that look again a moment later: no lock is needed.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FIELDS = ("life", "executed", "position", "resumed_at", "first_at")
ROW_BYTES = 8 * len(FIELDS)


@dataclass(slots=True)
class Row:
    """One worker's figures, read and written in place."""

    _cells: memoryview

    @property
    def life(self) -> int:
        """Which start of the worker has begun its first file; 0 before that."""
        return self._cells[0]

    @property
    def executed(self) -> int:
        """Files measured by all its lives together."""
        return self._cells[1]

    @property
    def position(self) -> int:
        """How many files of its share the present life has behind it."""
        return self._cells[2]

    @property
    def resumed_at(self) -> int:
        """The position at which the present life began."""
        return self._cells[3]

    @property
    def first_at(self) -> float:
        """When its first file began, in seconds of the monotonic clock, which all processes share."""
        return self._cells[4] / 1e9

    def begin(self, life: int, position: int, at: float) -> None:
        """A life begins its first file. `life` goes last: who sees it sees the others too."""
        self._cells[2] = self._cells[3] = position
        self._cells[4] = int(at * 1e9)
        self._cells[0] = life

    def turn(self) -> None:
        """One more file is measured."""
        self._cells[1] += 1
        self._cells[2] += 1


class Tally:
    """The rows of all workers."""

    def __init__(self, path: Path, workers: int) -> None:
        """Maps the file, which is made where it doesn't exist."""
        size = ROW_BYTES * workers
        with open(path, "r+b" if path.exists() else "w+b") as file:
            file.truncate(size)
            self._cells = memoryview(mmap.mmap(file.fileno(), size)).cast("Q")
        self._rows = [Row(self._cells[one * len(FIELDS) : (one + 1) * len(FIELDS)]) for one in range(workers)]

    def __getitem__(self, worker: int) -> Row:
        return self._rows[worker]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    @property
    def position(self) -> int:
        """The files that all workers together have behind them."""
        return sum(row.position for row in self)

    @property
    def executed(self) -> int:
        """The files that were measured, repetitions counted."""
        return sum(row.executed for row in self)
