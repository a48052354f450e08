"""The in-memory process table; owns the terms *entry* and *tick*.

It holds what the loop must know at once of processes that somebody holds or writes to: who holds it, where it
stands, what is in flight. The catalog stays the truth: an entry is rebuilt from its row at any time, and whatever an
entry says is advisory until the transaction has said the same.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ckptd.core.attempts import Announced
from ckptd.core.cadence import Cadence, Speed
from ckptd.core.change import ManifestPart, ProcessRow, ProgressNow
from ckptd.core.ids import CheckpointKey, Epoch, Holder, ProcessKey
from ckptd.core.process_table import Mode, State

Worker = tuple[bytes, int, int]
"""An OS process: boot, pid, start."""


def worker_of(holder: Holder) -> Worker:
    """The OS process of a holder, whatever session speaks for it."""
    return holder.boot_id, holder.pid, holder.start


@dataclass(slots=True, eq=False)
class Entry:
    """One process in memory. Times are microseconds UTC, as in the catalog."""

    key: ProcessKey
    uid: int
    process_id: str
    epoch: Epoch
    state: State
    mode: Mode
    task_id: str
    description: str
    holder: Holder | None
    schema_version: int
    next_seq: int
    next_position: int
    cadence: Cadence
    ttl_seconds: float | None
    total: int | None
    completed: int
    step: str
    batch: str | None
    metadata: bytes
    done: int
    failed: int
    speed: Speed
    progress_at: int
    registered_at: int
    deaths: int
    heard_at: int
    last_checkpoint_at: int
    last_checkpoint_completed: int
    lost_at: int | None = None
    """Since when no connection speaks for the holder; None while one does, or where nobody holds."""
    connections: set[int] = field(default_factory=set)
    members: dict[bytes, int] = field(default_factory=dict)
    announced: dict[Worker, Announced] = field(default_factory=dict)
    suspected: frozenset[bytes] = frozenset()
    """Items that were in hand at deaths; whatever becomes of one clears it."""
    counted_position: int = 0
    """Up to where `done` and `failed` count."""
    redo: int = 0
    """Records that a rewind set aside and that were not made up for: doing them again is not getting further."""
    got_further: bool = False
    """Whether anything new was recorded since the last death that counted."""
    unproven: CheckpointKey | None = None
    """The checkpoint that was put back, until the worker shows that it went well."""
    proven: CheckpointKey | None = None
    """The checkpoint that went well, until the next change says so."""
    save_cost_seconds: float | None = None
    stop_reason: str | None = None
    dirty: bool = False
    standing: ProgressNow | None = None
    """`progress` as it was last made; None once anything of it has changed."""
    progress_part: tuple[bytes, ManifestPart] | None = None
    """The part that checkpoints get of `standing`."""
    closing: bool = False
    """A claim is under way: nothing is admitted under this epoch any more."""
    in_flight: int = 0
    drained: list["asyncio.Future[None]"] = field(default_factory=list)
    queue: "asyncio.Future[None] | None" = None
    """Done when the newest save that had to wait has gone to the committer; later ones queue behind it."""

    def progress(self) -> ProgressNow:
        """What the row gets with the next change; made anew only when something was said since."""
        if self.standing is None:
            self.standing = ProgressNow(
                self.total, self.completed_now, self.step, self.batch, self.metadata, self.done, self.failed,
                self.speed.pack(), self.progress_at,
            )  # fmt: skip
            self.progress_part = None
        return self.standing

    @property
    def completed_now(self) -> int:
        """The holder's and all members' steps."""
        return self.completed + sum(self.members.values()) if self.members else self.completed

    def went_well(self) -> None:
        """The worker got on after its restore: whatever kills it now, the checkpoint didn't."""
        if self.unproven is not None:
            self.proven, self.unproven = self.unproven, None

    def take_proven(self) -> CheckpointKey | None:
        """What the next change says of the checkpoint that went well; once."""
        proven, self.proven = self.proven, None
        return proven

    def go_back(self, standing: ProgressNow, redo: int) -> None:
        """A checkpoint's state was put back, and its progress with it."""
        self.total, self.completed, self.step, self.batch = (
            standing.total,
            standing.completed,
            standing.step,
            standing.batch,
        )
        self.metadata, self.done, self.failed = standing.metadata, standing.done, standing.failed
        self.members.clear()
        self.standing = None
        self.speed = self.speed.resume(self.completed, self.progress_at)
        self.last_checkpoint_completed = self.completed
        self.redo = redo

    def recorded(self, position: int, done: int, failed: int) -> None:
        """Records up to a position are on disk; beyond what a rewind left to do again, the process got further."""
        if position <= self.counted_position:
            return  # the answer of a repetition: it was counted
        self.counted_position = position
        self.redo -= done + failed - self.done - self.failed
        self.done, self.failed, self.standing = done, failed, None
        if self.redo < 0:
            self.redo = 0
            self.got_further = True

    def landed(self) -> None:
        """One change in flight has its outcome."""
        self.in_flight -= 1
        if self.in_flight == 0:
            for waiter in self.drained:
                if not waiter.done():
                    waiter.set_result(None)
            self.drained.clear()

    async def drain(self) -> None:
        """Wait until everything that was admitted has its outcome."""
        while self.in_flight:
            waiter = asyncio.get_running_loop().create_future()
            self.drained.append(waiter)
            await waiter


class Table:
    """Entries by key, by name and by session; made from rows, dropped when nobody holds or writes."""

    def __init__(self, cadence_of: Callable[[bytes], tuple[Cadence, float | None]]) -> None:
        self._cadence_of = cadence_of
        self._by_key: dict[ProcessKey, Entry] = {}
        self._by_session: dict[bytes, set[ProcessKey]] = {}
        self._claims: dict[tuple[int, str], asyncio.Lock] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._by_key.values()))

    def get(self, key: ProcessKey) -> Entry | None:
        """The entry of a process, where it is in memory."""
        return self._by_key.get(key)

    def of_session(self, session: bytes) -> Iterator[Entry]:
        """Entries whose holder is this session."""
        return iter([self._by_key[key] for key in self._by_session.get(session, ()) if key in self._by_key])

    def take_in(self, row: ProcessRow, now: int, last: tuple[int, int] | None = None) -> Entry:
        """Make the entry of a row, in place of an older one; connections and what is in flight go over.

        `last` is time and steps of the newest checkpoint, from which the next one's turn is counted.
        """
        cadence, ttl_seconds = self._cadence_of(row.policy)
        progress = row.progress
        at, completed = last or (row.registered_at, progress.completed)
        entry = Entry(
            row.key, row.uid, row.process_id, row.epoch, row.state, row.mode, row.task_id, row.description, row.holder,
            row.schema_version, row.next_seq, row.next_position, cadence, ttl_seconds, progress.total, progress.completed, progress.step,
            progress.batch, progress.metadata, progress.done, progress.failed,
            Speed.unpack(progress.speed).resume(progress.completed, now), progress.at, row.registered_at, row.deaths, now, at,
            completed,
        )  # fmt: skip
        self._by_key[row.key] = entry
        if row.holder is not None:
            entry.lost_at = now
            self._by_session.setdefault(row.holder.session, set()).add(row.key)
        return entry

    def drop(self, entry: Entry) -> None:
        """Forget an entry; its row stays."""
        if self._by_key.get(entry.key) is entry:
            del self._by_key[entry.key]
        self._unlink(entry)

    def _unlink(self, entry: Entry) -> None:
        if entry.holder is not None:
            keys = self._by_session.get(entry.holder.session)
            if keys is not None:
                keys.discard(entry.key)
                if not keys:
                    del self._by_session[entry.holder.session]

    def let_go(self, entry: Entry) -> None:
        """Nobody holds the process any more; the entry stays a while, for who asks again."""
        self._unlink(entry)
        entry.holder = entry.lost_at = None
        entry.connections.clear()
        entry.dirty = False

    def claimed(self, uid: int, process_id: str) -> bool:
        """Whether somebody is claiming a process, or waits to."""
        lock = self._claims.get((uid, process_id))
        return lock is not None and lock.locked()

    def claiming(self, uid: int, process_id: str) -> asyncio.Lock:
        """One claim of a process at a time. The locks of names that nobody waits for are dropped now and then."""
        if len(self._claims) > 4096:
            self._claims = {name: lock for name, lock in self._claims.items() if lock.locked()}
        return self._claims.setdefault((uid, process_id), asyncio.Lock())
