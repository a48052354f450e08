"""The one writer; owns the terms *batch* and *group commit*.

All that queued while the last batch was syncing is the next batch: no artificial delay, and many savers share one
sync. The order of a batch: append what is small to the shared pack, sync it, then one transaction that records
chunks and bodies, judges every change and commits. Only then is anything answered, by one call into the loop.

The writer is a thread. Two switches between it and the loop are a third of what a lone saver waits for, so a change
that is the only one of its turn, while nothing else is being written, is committed by the loop itself: whoever comes
meanwhile is the next batch, the thread's. Where a commit takes longer than a loop may be held up, it is never done.

An I/O error leaves the outcome unknown: `fatal` ends the process without a reply, and clients ask again under the same
request id. Not for: deciding what a change does (the catalog's transaction), or when maintenance runs (`loops`).
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

from ckptclient.errors import CkptdError, Internal
from ckptd.core.change import Change, ManifestPart, NotePlace
from ckptd.core.values import value
from ckptd.errors import StoreFailed
from ckptd.store.catalog.interface import Catalog, Outcome

T = TypeVar("T")
Done = Callable[[Outcome], None]

BATCH_COUNT_MAX = 256
BATCH_BYTES_MAX = 8 << 20

HERE_SECONDS_MAX = 0.002
"""The loop commits by itself while commits take no longer: it serves nobody meanwhile."""

HERE_COUNT_MAX = 256
"""So many in a row, and then one by the thread, which also moves the log when it is time."""

IDLE_SECONDS = 0.05
"""Without a word for so long, nobody is about to ask: right after a batch everybody is, however empty the queue."""

QUIET_SECONDS = 1.0
"""And without one for so long after that, what the log takes on disk is worth more than what it spares the next."""


class Payload(Protocol):
    """What `ingest` prepared of a payload that is not inline, and what the committer does with it."""

    size_bytes: int
    noted: NotePlace | None
    """Where the record lies that says what checkpoint this is; known once it is placed."""

    def place(self) -> None:
        """Append what belongs into the shared pack. NoSpace refuses this save alone."""

    def record(self) -> Sequence[ManifestPart]:
        """Rows for chunks and bodies, once everything is synced; the parts with their bodies."""

    def release(self) -> None:
        """Let go of the holds: the save has its references, or never will."""


@value
class Job:
    """A change on its way. `change` is completed by `with_parts` once a payload's bodies are known."""

    change: Change
    done: Done
    payload: Payload | None = None
    with_parts: Callable[[Change, Sequence[ManifestPart], NotePlace | None], Change] | None = None


@value
class _Task:
    run: Callable[[], None]


class Committer:
    """Owns the thread and the catalog's writing side from `start` to `stop`.

    `soon` runs a callable at the end of the event loop's turn and is called on its thread; `post` brings one there
    from any thread; `fatal` ends the process and is called in this thread, its
    last act; `report` gets an unexpected exception, a bug of ours, for the log, from this thread or the loop's. `committed` hears of each batch: how many
    changes, how many seconds.
    """

    def __init__(
        self,
        catalog: Catalog,
        sync_chunks: Callable[[], None],
        *,
        soon: Callable[[Callable[[], None]], object],
        post: Callable[[Callable[[], None]], object],
        fatal: Callable[[StoreFailed], None],
        report: Callable[[BaseException], None],
        monotonic: Callable[[], float],
        committed: Callable[[int, float], None],
    ) -> None:
        self._catalog = catalog
        self._sync_chunks = sync_chunks
        self._soon = soon
        self._post = post
        self._fatal = fatal
        self._report = report
        self._monotonic = monotonic
        self._committed = committed
        self._queue: SimpleQueue[Job | _Task | None] = SimpleQueue()
        self._turn: list[Job] = []
        """What was submitted in this turn of the loop."""
        self._writing = threading.Lock()
        self._brief = False
        """Whether the last commit took no longer than the loop may be held up."""
        self._here_count = 0
        self._thread = threading.Thread(target=self._run, name="committer")

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what is queued and end the thread; blocks until it has."""
        self._here_count = HERE_COUNT_MAX
        self._hand_over()
        self._queue.put(None)
        self._thread.join()

    def submit(self, job: Job) -> None:
        """Queue a change; `job.done` is called on the loop with its outcome. From the loop's thread."""
        if not self._turn:
            self._soon(self._hand_over)
        self._turn.append(job)

    def _hand_over(self) -> None:
        """The loop's turn is over: what it brought goes to the thread, or is committed here."""
        jobs, self._turn = self._turn, []
        if len(jobs) == 1 and jobs[0].payload is None and self._commit_here(jobs):
            return
        self._here_count = 0
        for job in jobs:
            self._queue.put(job)

    def _commit_here(self, jobs: Sequence[Job]) -> bool:
        """Commit in the loop's thread; False where that would make anybody wait."""
        if not self._brief or self._here_count >= HERE_COUNT_MAX or not self._queue.empty():
            return False
        if not self._writing.acquire(blocking=False):
            return False
        self._here_count += 1
        try:
            deliver = self._commit(jobs)
        except StoreFailed as failed:
            # Neither thread touches the store any more, however long the process takes to end.
            self._brief = False
            self._queue.put(None)
            self._fatal(failed)
            return True
        finally:
            self._writing.release()
        deliver()
        return True

    def run(self, work: Callable[[], T]) -> "Future[T]":
        """Run `work` on the committer's thread between two batches: one slice of maintenance."""
        future: Future[T] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work()
            except StoreFailed:
                raise
            except BaseException as caught:  # noqa: BLE001 - it belongs to whoever waits for the future
                error = caught  # the name in the clause is gone when the loop calls
                self._post(lambda: future.set_exception(error))
            else:
                self._post(lambda: future.set_result(result))

        self._queue.put(_Task(task))
        return future

    def _run(self) -> None:
        try:
            ends = False
            while not ends:
                jobs, task, ends = self._collect()
                with self._writing:
                    if jobs:
                        self._post(self._commit(jobs))
                    if task is not None:
                        task.run()
                    self._catalog.checkpoint_wal(idle=False)
        except StoreFailed as failed:
            # This thread touches the store no more, however long the process takes to end.
            self._fatal(failed)

    def _collect(self) -> tuple[list[Job], _Task | None, bool]:
        """A batch; a task ends it, and runs after it."""
        jobs: list[Job] = []
        size = 0
        item = self._first()
        while True:
            if item is None:
                return jobs, None, True
            if isinstance(item, _Task):
                return jobs, item, False
            jobs.append(item)
            size += item.payload.size_bytes if item.payload is not None else 0
            if len(jobs) >= BATCH_COUNT_MAX or size >= BATCH_BYTES_MAX:
                return jobs, None, False
            try:
                item = self._queue.get_nowait()
            except Empty:
                return jobs, None, False

    def _first(self) -> Job | _Task | None:
        """The next item; where none comes for a moment, the catalog may tidy, which delays whoever comes then.

        What the loop commits passes this queue by, and counts all the same: with a lone saver at work it isn't idle.
        """
        for seconds, tidy in ((IDLE_SECONDS, self._move_log), (QUIET_SECONDS, self._catalog.shrink_log)):
            here_count = -1
            while here_count != self._here_count:
                here_count = self._here_count
                with suppress(Empty):
                    return self._queue.get(timeout=seconds)
            with self._writing:
                tidy()
        return self._queue.get()

    def _move_log(self) -> None:
        self._catalog.checkpoint_wal(idle=True)

    def _commit(self, jobs: Sequence[Job]) -> Callable[[], None]:
        """Commit a batch; what it returns gives the outcomes, on the loop."""
        begun = self._monotonic()
        outcomes = self._outcomes(jobs)
        for job in jobs:
            if job.payload is not None:
                job.payload.release()
        seconds = self._monotonic() - begun
        self._brief = seconds <= HERE_SECONDS_MAX
        self._committed(len(jobs), seconds)
        answers = list(zip(jobs, outcomes, strict=True))

        def deliver() -> None:
            for job, outcome in answers:
                try:
                    job.done(outcome)
                except Exception as bug:  # noqa: BLE001 - the others have their answers coming
                    self._report(bug)

        return deliver

    def _outcomes(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """The outcome of each; where a batch meets a bug of ours, its jobs go one by one, so that one suffers alone."""
        try:
            return self._batch(jobs)
        except StoreFailed:
            raise
        except CkptdError as refusal:
            return [refusal] * len(jobs)
        except Exception as bug:  # noqa: BLE001 - rolled back; reported, and the others go on
            self._report(bug)
            if len(jobs) == 1:
                return [Internal("the daemon met a bug of its own", hint="its log has the details")]
            return [self._outcomes([job])[0] for job in jobs]

    def _batch(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        refused: dict[int, CkptdError] = {}
        placed = False
        for index, job in enumerate(jobs):
            if job.payload is not None:
                try:
                    job.payload.place()
                    placed = True
                except CkptdError as refusal:
                    refused[index] = refusal
        if placed:
            self._sync_chunks()
        with self._catalog.transaction():
            changes = [_completed(job) for index, job in enumerate(jobs) if index not in refused]
            outcomes = iter(self._catalog.apply(changes))
        return [refused[index] if index in refused else next(outcomes) for index in range(len(jobs))]


def _completed(job: Job) -> Change:
    if job.payload is None or job.with_parts is None:
        return job.change
    return job.with_parts(job.change, job.payload.record(), job.payload.noted)
