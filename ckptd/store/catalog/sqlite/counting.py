"""The counters of quota and statistics: kept in the transaction, written once a batch, never found by a scan.

Dimensions: live checkpoints by the status that their process gives them, by type, and all checkpoints by place. A test
compares them with a recount.
"""

from collections import defaultdict

import apsw

from ckptd.core.change import Place
from ckptd.core.process_table import State
from ckptd.store.catalog.sqlite.processes import Process

STATUS, TYPE, PLACE = 0, 1, 2
"""Dimensions."""

STATUS_WORDS = ("active", "completed", "failed")
_STATUS_OF = {State.COMPLETED: 1, State.FAILED: 2}
"""State of the process to the status of its live checkpoints; all others count as active (0)."""

_ADD = (
    "INSERT INTO counter VALUES(?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
    "n=n+excluded.n,logical=logical+excluded.logical,stored=stored+excluded.stored"
)


class Counters:
    """What a batch adds to the counters."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._added: defaultdict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0, 0, 0])

    def appear(self, process: Process, type_: int, source: Place | None, target: Place) -> None:
        """A checkpoint of the process came from `source` (None: into being) to `target`.

        It has a type wherever it is but in the trash; the status that its process gives it only while it is live.
        """
        seen = (target is not Place.TRASH) - (source not in (None, Place.TRASH))
        process.checkpoints += seen
        self._added[process.uid, TYPE, type_][0] += seen
        live = (target is Place.LIVE) - (source is Place.LIVE)
        self._added[process.uid, STATUS, _STATUS_OF.get(process.state, 0)][0] += live

    def place(self, uid: int, place: Place, n: int, logical: int, stored: int) -> None:
        """So many checkpoints and bytes more in a place."""
        added = self._added[uid, PLACE, place]
        added[0] += n
        added[1] += logical
        added[2] += stored

    def restate(self, process: Process, state: State) -> None:
        """The process gets a state, and its checkpoints with it."""
        before, after = _STATUS_OF.get(process.state, 0), _STATUS_OF.get(state, 0)
        if before != after:
            self._added[process.uid, STATUS, before][0] -= process.checkpoints
            self._added[process.uid, STATUS, after][0] += process.checkpoints
        process.state = state

    def flush(self) -> None:
        """Add to the rows."""
        self._connection.executemany(_ADD, [(*key, *some) for key, some in self._added.items() if any(some)])
        self._added.clear()
