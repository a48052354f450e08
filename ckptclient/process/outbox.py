"""What a process has to say to the daemon, in order; owns the terms *outbox* and *mark*.

One queue holds records and saves in the order in which they happened, because a checkpoint's position in the journal
must lie exactly behind the records whose state it holds. One sender at a time empties it: the outbox's own thread, or
whoever waits for something in it. One batch is in flight; the next goes when it is answered and is due: 50 ms after
its first record, at 1,000 records, or at once where somebody waits or a save stands behind it. Progress goes with the
records that it means, alone where there are none, and as a sign of life every few seconds.

The hot path (`entries.append`, a comparison with `mark`) takes no lock and reads no clock. Not for: what a record or a
save means (`loop`, `saving`).
"""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Generic, Literal, TypeAlias, TypeVar

from ckptclient import calls, clock
from ckptclient.calls import Call
from ckptclient.errors import BadRequest, Busy, CkptdError, Fenced, TimedOut, Unreachable
from ckptclient.results import Appended, SavedInfo, Tick

from .batch import BATCH_COUNT, Packer, Queue, Rows
from .daemon import Daemon
from .live import Live
from .saving import Job, StagedJob, late

T = TypeVar("T")

OnUnavailable: TypeAlias = Literal["block", "raise", "spool"]

BATCH_SECONDS = 0.05
REPORT_SECONDS = 0.05
SIGN_OF_LIFE_SECONDS = 5.0
"""At most, and a third of the lease. Also how soon an idle worker hears that a checkpoint is due or that it should stop,
and reattaches after a restart."""
RETRY_SECONDS = 0.5
ENTRIES_MAX = 100_000
RESULT_BYTES_MAX = 64 << 20
"""Records, and bytes of results in them, kept while the daemon is slow or gone; whoever adds more waits."""
JOIN_SECONDS = 120.0
"""Longest wait for a save without a time limit of its own: longer than any single call may take."""

SLOW_BYTES_PER_SECOND = 10e6
"""A large save may take the longer for its size."""

_PASSING = (Unreachable, TimedOut, Busy)
"""What loses nothing: it is sent again, under the same number."""


class Outbox:
    """The ordered queue of one process, and its thread."""

    def __init__(
        self,
        daemon: Daemon,
        token: bytes,
        live: Live,
        *,
        on_unavailable: OnUnavailable = "block",
        lease_seconds: float = 60.0,
        told: Callable[[Tick], None],
        saved: Callable[[Job, SavedInfo], None] = lambda _job, _info: None,
        alerted: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        """`told` hears each tick of the daemon, `saved` of each checkpoint, `alerted` that `check` would raise."""
        self.entries: Queue = deque()
        self.mark = 1
        """Whoever made the queue this long calls `marked`."""
        self.failure: CkptdError | None = None
        """What went wrong behind the application's back and is still to be raised."""
        self.fenced: CkptdError | None = None
        """Why nothing of this process is accepted any more."""
        self._daemon = daemon
        self._token = token
        self._live = live
        self._patience = on_unavailable
        self._beat_seconds = min(SIGN_OF_LIFE_SECONDS, lease_seconds / 3)
        self._told, self._saved, self._alerted = told, saved, alerted
        self._monotonic = monotonic
        self._sending = threading.Lock()
        self._current: Job | _Sending[Appended] | _Sending[Tick] | None = None
        self._lock = threading.Lock()
        self._wakeup = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._urgent = False
        self._closed = False
        self._packer = Packer()
        self._jobs_count = 0
        self._result_bytes = 0
        self._oldest_at: float | None = None
        self._heard_at = self._retry_at = monotonic()

    # What the worker says

    def marked(self) -> None:
        """The queue reached its mark: a batch has begun, is full, or the room is used up."""
        length = len(self.entries)
        if length >= ENTRIES_MAX or self._result_bytes > RESULT_BYTES_MAX:
            self._make_room()
        elif length >= BATCH_COUNT:
            self.mark = ENTRIES_MAX
            self._wake(urgent=True)
        else:
            self.mark = BATCH_COUNT
            self._oldest_at = self._monotonic()
            self._wake()

    def record(self, kind: int, packed_key: bytes, result: bytes | None) -> None:
        """Queue the record of an item that is known by its key, and count it as a step."""
        live = self._live
        with live.lock:
            completed = live.state.completed_steps + 1
            self.entries.append((kind, -1, packed_key, result, completed))
            live.state.completed_steps = completed
        if result is not None:
            self.weigh(result)
        if len(self.entries) >= self.mark:
            self.marked()

    def weigh(self, result: bytes) -> None:
        """Account for a result that is about to be recorded."""
        self._result_bytes += len(result)
        if self._result_bytes > RESULT_BYTES_MAX:
            self.mark = 0

    def put(self, job: Job, *, driven: bool = False) -> None:
        """Queue a save behind everything that was recorded before it; `driven`: the caller will `drive` it at once."""
        with self._lock:
            self._jobs_count += 1
        self.entries.append(job)
        if not driven:  # else the sender would take it from under the caller, by way of another thread
            self._wake(urgent=True)

    def changed(self) -> None:
        """The live state is to be reported; called when it became so, not at every step."""
        self._wake()

    def flush(self) -> None:
        """Send everything that is here, in this thread; raises where that can't be done."""
        with self._sending:
            self._send_all()
        self.check()

    def drive(self, job: Job, timeout: float | None, level: str = "disk") -> None:
        """Come back once a save has a level; sends in this thread unless another is at it or time is limited."""
        if timeout is None and self._sending.acquire(blocking=False):
            try:
                while not job.reached(level) and self._send_next():
                    pass
            finally:
                self._sending.release()
        if job.reached(level):
            return
        self._wake(urgent=True)
        seconds = JOIN_SECONDS + job.size_bytes / SLOW_BYTES_PER_SECOND if timeout is None else timeout
        if not job.wait(seconds, level):
            raise self.failure or late(seconds)

    def tell(self) -> Tick:
        """Report progress at once and hear what the daemon asks for."""
        with self._sending:
            while True:
                self._send_all()
                self.check()
                completed = self._live.state.completed_steps
                if not self.entries:  # as in _next
                    return self._now(calls.advance(self._token, self._live.report(completed)))

    def call(self, call: Call[T]) -> T:
        """Make another call of this process, behind everything that is queued."""
        with self._sending:
            self._send_all()
            self.check()
            return self._now(call)

    def check(self) -> None:
        """Raise what went wrong meanwhile: once, or each time where another worker has taken the process."""
        failure, self.failure = self.failure, None
        if self.fenced is not None:
            raise self.fenced
        if failure is not None:
            raise failure

    # The sender

    def _send_all(self) -> None:
        while self._current is not None or self.entries:
            if not self._send_next():
                return
        if self._live.dirty:
            self._send_next()

    def _send_next(self) -> bool:
        """Send one thing and take its answer in; False where there is nothing. The lock is held."""
        if self.fenced is not None:
            self._drop(self.fenced)
            return False
        current = self._current = self._current or self._next()
        if current is None:
            return False
        try:
            if isinstance(current, Job):
                self._save(current)
            else:
                current.send()
        except _PASSING:
            raise
        except Fenced as error:
            self.cut_off(error)
            self._drop(error)
            raise
        except CkptdError:
            if current.optional:
                self._current = None
            raise
        self._current = None
        self._heard_at = self._monotonic()
        if isinstance(self.failure, _PASSING):
            self.failure = None  # it was not told in time, and nothing came of it
        return True

    def _next(self) -> "Job | _Sending[Appended] | _Sending[Tick] | None":
        # In this order: a record is queued before its step is counted, so an empty queue means that no step which was
        # read before lacks its record.
        completed = self._live.state.completed_steps
        if not self.entries:
            self.mark = 1
        if self.entries:  # looked at anew: what came in between saw the old mark
            head = self.entries[0]
            if isinstance(head, Job):
                self.entries.popleft()
                with self._lock:
                    self._jobs_count -= 1
                self.mark = 1 if not self.entries else BATCH_COUNT
                return head
            return _Sending(partial(self._daemon.call, self._batch()), lambda answer: self._told(answer.due))
        self._oldest_at, self._result_bytes = None, 0
        if self._live.dirty or self._monotonic() >= self._heard_at + self._beat_seconds:
            report = calls.advance(self._token, self._live.report(completed))
            return _Sending(partial(self._daemon.call, report), self._told, optional=True)
        return None

    def _batch(self) -> Call[Appended]:
        batch = self._packer.take(self.entries)
        self._result_bytes -= batch.result_bytes
        self.mark = 1 if not self.entries else BATCH_COUNT
        self._oldest_at = self._monotonic()
        request = Rows(token=self._token, records=batch.rows, progress=self._live.report(batch.completed))
        call: Call[Appended] = Call("journal.append", request, Appended.read, mutates=True)
        return call.bind(self._daemon.next_request())

    def _save(self, job: Job) -> None:
        try:
            info = job.send(self._daemon)
        except _PASSING:
            raise
        except CkptdError as error:  # that is its outcome; whoever waits for it, or the next call, hears it
            job.land(None, error)
            self._alerted()
            if isinstance(error, Fenced):
                raise
            return
        if isinstance(job, StagedJob) and info.level != "disk":
            job.admit(info)
            # The queue goes on: neither the journal nor a sign of life waits for the disk.
            threading.Thread(target=self._follow, args=(job,), name="ckptclient-save", daemon=True).start()
        else:
            job.land(info, None)
            self._saved(job, info)
        if info.due is not None:
            self._told(info.due)

    def _follow(self, job: StagedJob) -> None:
        try:
            info = job.follow(self._daemon)
        except CkptdError as error:
            if isinstance(error, Fenced):
                self.cut_off(error)
            job.land(None, error)
            self._alerted()
        else:
            job.land(info, None)
            self._saved(job, info)

    def _now(self, call: Call[T]) -> T:
        try:
            answer = self._daemon.call(call)
        except Fenced as error:
            self.cut_off(error)
            raise
        self._heard_at = self._monotonic()
        if isinstance(answer, Tick):
            self._told(answer)
        return answer

    # Ends

    def cut_off(self, error: CkptdError) -> None:
        """Nothing of this process is accepted any more: every later call raises this."""
        self.fenced = self.fenced or error
        self._alerted()
        with self._wakeup:  # the thread has nothing to do any more
            self._wakeup.notify_all()

    def start(self) -> None:
        """Give signs of life from now on, also while the worker says nothing."""
        self._wake()

    def close(self) -> None:
        """End the thread; what is still queued stays unsent."""
        with self._wakeup:
            self._closed = True
            self._wakeup.notify_all()

    def forked(self) -> None:
        """In a forked child: the queue is the parent's, and so is the process."""
        self._sending, self._lock = threading.Lock(), threading.Lock()
        self._wakeup = threading.Condition(self._lock)
        self._thread, self._closed = None, True
        self.fenced = BadRequest(
            "this handle belongs to the process that was forked",
            hint="hand process.member_token() over and work with manager.member(token)",
        )
        self._drop(self.fenced)
        self._alerted()

    def _drop(self, error: CkptdError) -> None:
        if isinstance(self._current, Job) and not self._current.done:
            self._current.land(None, error)
        self._current = None
        while self.entries:
            entry = self.entries.popleft()
            if isinstance(entry, Job):
                entry.land(None, error)
        self.mark, self._jobs_count, self._result_bytes = 1, 0, 0

    def _failed(self, error: CkptdError) -> None:
        if self._patience == "spool" and isinstance(error, (Unreachable, TimedOut)):
            return
        self.failure = error
        self._alerted()

    def _make_room(self) -> None:
        if self._patience == "spool" and self.failure is None and self._retry_at > self._heard_at:
            raise Unreachable(
                f"the daemon is gone and {ENTRIES_MAX:,} records wait for it",
                hint="start it (ckptctl status); what waits is sent then",
            )
        self.flush()

    # The thread

    def _wake(self, urgent: bool = False) -> None:
        with self._wakeup:
            self._urgent = self._urgent or urgent
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="ckptclient-outbox", daemon=True)
                self._thread.start()
            self._wakeup.notify()

    def _run(self) -> None:
        try:
            while self._wait():
                with self._sending:
                    try:
                        self._send_due()
                    except CkptdError as error:
                        self._retry_at = self._monotonic() + RETRY_SECONDS
                        if not isinstance(error, Fenced):
                            self._failed(error)
        finally:
            self._thread = None  # after a bug of ours, too: the next word starts another

    def _wait(self) -> bool:
        with self._wakeup:
            while not self._closed and self.fenced is None and (left := self.due_in()) > 0:
                self._wakeup.wait(left)
            self._urgent = False
            return not self._closed and self.fenced is None

    def due_in(self) -> float:
        """Seconds until the thread has something to do."""
        now = self._monotonic()
        if self._retry_at > now:
            return self._retry_at - now
        if self._urgent or len(self.entries) >= BATCH_COUNT or self._current is not None:
            return 0.0
        due = self._heard_at + self._beat_seconds
        if self.entries:
            due = min(due, (self._oldest_at or now) + BATCH_SECONDS)
        if self._live.dirty and not self.entries:
            due = min(due, self._heard_at + REPORT_SECONDS)
        return due - now

    def _send_due(self) -> None:
        while self._send_next() and (self._jobs_count or len(self.entries) >= BATCH_COUNT):
            pass


class _Sending(Generic[T]):
    """One thing that left the queue and has no answer yet: what makes the call, and what takes the answer in."""

    __slots__ = ("_make", "_take", "optional")

    def __init__(self, make: Callable[[], T], take: Callable[[T], object], optional: bool = False) -> None:
        self._make = make
        self._take = take
        self.optional = optional
        """Whether it may be given up: progress, which the next report has too."""

    def send(self) -> None:
        self._take(self._make())
