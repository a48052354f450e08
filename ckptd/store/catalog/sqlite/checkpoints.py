"""Checkpoints come into being and move between live and trash, with all that must stay in step: head, counters,
references, aliases.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from ckptd.core.change import NewCheckpoint, Place
from ckptd.core.ids import CheckpointKey
from ckptd.store.catalog.sqlite.bodies import add_note
from ckptd.store.catalog.sqlite.counting import Counters
from ckptd.store.catalog.sqlite.processes import Process, Processes
from ckptd.store.catalog.sqlite.standing import MOVED, candidate_keys

_INSERT = (
    "INSERT INTO checkpoint(k,process,seq,epoch,type,place,created_at,expires_at,pinned,logical,own,journal_pos,attempts,"
    "schema_version,has_state,checksum,task_id,description,metadata,alias,manifest,small) "
    "VALUES(?,?,?,?,?,0,?,?,0,?,?,?,0,?,?,?,?,?,?,?,?,?)"
)


FLOOR = "checkpoint_floor"
"""Row of the table `store`: the highest key that was dropped while no higher one existed.

SQLite would give the key of the newest row again once that is deleted, and whoever still means the old one, a reader's
page or a request on its way, would meet another checkpoint.
"""

_NEXT = "SELECT 1+max((SELECT coalesce(max(k),0) FROM checkpoint),coalesce((SELECT v FROM store WHERE k=?),0))"


class Checkpoints:
    """The checkpoints that a batch makes and moves."""

    def __init__(self, connection: apsw.Connection, processes: Processes, counters: Counters) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._processes = processes
        self._counters = counters
        self._next_key = 0

    def _new_key(self) -> CheckpointKey:
        if not self._next_key:
            self._next_key = self._execute(_NEXT, (FLOOR,)).get
        key, self._next_key = CheckpointKey(self._next_key), self._next_key + 1
        return key

    def save(self, new: NewCheckpoint, process: Process) -> None:
        """Make one visible; it is the head."""
        key = self._new_key()
        values = (
            key, process.k, new.seq, process.epoch, new.type, new.created_at, new.expires_at, new.logical_bytes, new.own_bytes,
            new.journal_position, new.schema_version, new.has_state, new.checksum, new.task_id, new.description,
            new.metadata, new.alias, new.manifest, new.small,
        )  # fmt: skip
        self._execute(_INSERT, values)
        process.head, process.next_seq = key, max(process.next_seq, new.seq + 1)
        process.next_pos = max(process.next_pos, new.journal_position)
        self._counters.appear(process, new.type, None, Place.LIVE)
        stored = len(new.small) if new.small is not None else 0
        self._counters.place(process.uid, Place.LIVE, 1, new.logical_bytes, stored)
        if new.note is not None:
            add_note(self._connection, key, new.note)
        if new.parts or new.tags or new.depends or new.alias is not None:
            self._relate(key, new, process)

    def _relate(self, key: CheckpointKey, new: NewCheckpoint, process: Process) -> None:
        many = self._connection.executemany
        bodies = [
            (key, ordinal, extent, body)
            for ordinal, part in enumerate(new.parts)
            for extent, body in enumerate(part.bodies)
        ]
        many("INSERT INTO part VALUES(?,?,?,?)", bodies)
        many("UPDATE body SET refs=refs+1 WHERE k=?", [(body,) for _, _, _, body in bodies])
        many("INSERT OR IGNORE INTO tag VALUES(?,?)", [(tag, key) for tag in new.tags])
        many("INSERT OR IGNORE INTO dependency VALUES(?,?)", [(key, needed) for needed in new.depends])
        if new.alias is not None:
            name = (new.alias, process.uid)
            old = self._execute("SELECT checkpoint FROM alias WHERE id=? AND uid=?", name).fetchone()
            if old is not None:
                self.trash(old, new.created_at)
            self._execute("INSERT OR REPLACE INTO alias VALUES(?,?,?)", (*name, key))

    def trash(self, keys: Iterable[CheckpointKey], at: int) -> int:
        """Move to the trash; how many were there to move."""
        return sum(
            self._moved(key, Place.LIVE, Place.TRASH, at) or self._moved(key, Place.ARCHIVED, Place.TRASH, at)
            for key in keys
        )

    def revive(self, keys: Iterable[CheckpointKey], until: int | None) -> int:
        """Back from the trash, until its own end or until `until`, whichever is later; None and its own None: for ever.

        One whose alias has moved on meanwhile is known by its own id.
        """
        moved = 0
        for key in keys:
            if self._moved(key, Place.TRASH, self._home(key), None):
                moved += 1
                self._execute(
                    "UPDATE checkpoint SET expires_at=max(expires_at,?),alias=(SELECT id FROM alias a "
                    "WHERE a.id=checkpoint.alias AND a.checkpoint=k) WHERE k=?",
                    (until, key),
                )
        return moved

    def pin(self, keys: Iterable[CheckpointKey], pinned: int) -> int:
        """Pin or unpin what isn't in the trash; how many there were."""
        moved = 0
        for key in keys:
            self._execute("UPDATE checkpoint SET pinned=? WHERE k=? AND place!=1", (pinned, key))
            moved += self._connection.changes()
        return moved

    def _home(self, key: CheckpointKey) -> Place:
        """Where a checkpoint belongs that is in the trash."""
        row = self._execute("SELECT archive FROM checkpoint WHERE k=?", (key,)).fetchone()
        return Place.ARCHIVED if row is not None and row[0] else Place.LIVE

    def _moved(self, key: CheckpointKey, source: Place, target: Place, at: int | None) -> int:
        row = self._execute(f"SELECT {MOVED} FROM checkpoint c WHERE k=? AND place=?", (key, source)).fetchone()
        if row is None:
            return 0
        self.transfer(key, row, source, target, at)
        return 1

    def transfer(
        self,
        key: CheckpointKey,
        row: Sequence[Any],
        source: Place,
        target: Place,
        at: int | None,
        stored: int | None = None,
    ) -> None:
        """Move a checkpoint that is in `source`; `row` has the columns MOVED, `stored` what lies inline afterwards."""
        number, type_, logical, before = row
        process = self._processes.load(number)
        assert process is not None, "a process row outlives its checkpoints"
        self._processes.changed(process)
        self._execute("UPDATE checkpoint SET place=?,ended_at=? WHERE k=?", (target, at, key))
        self._counters.appear(process, type_, source, target)
        self._counters.place(process.uid, source, -1, -logical, -before)
        self._counters.place(process.uid, target, 1, logical, before if stored is None else stored)
        if target is not Place.TRASH or process.head == key:
            newest = candidate_keys(self._connection, process.k, False, 1)
            process.head = newest[0] if newest else None

    def tried(self, key: CheckpointKey) -> None:
        """A worker died before it showed that the restore went well."""
        self._execute("UPDATE checkpoint SET attempts=attempts+1 WHERE k=?", (key,))

    def proven(self, key: CheckpointKey, at: int) -> None:
        """A restore went well."""
        self._execute("UPDATE checkpoint SET attempts=0,proven_at=? WHERE k=?", (at, key))
