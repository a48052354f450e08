"""The committer: natural batches in order, one refusal harms one, a failed store answers nobody."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, cast

import pytest

from ckptclient.errors import Conflict, Internal, NoSpace
from ckptd.core.change import Change, ManifestPart, NotePlace
from ckptd.errors import StoreFailed
from ckptd.store.catalog.interface import Catalog, Outcome
from ckptd.store.committer import (
    BATCH_BYTES_MAX,
    BATCH_COUNT_MAX,
    HERE_COUNT_MAX,
    HERE_SECONDS_MAX,
    IDLE_SECONDS,
    QUIET_SECONDS,
    Committer,
    Job,
)
from tests.waiting import wait_until

CONFLICT = Conflict("another head")
REFUSED, BUG, FATAL = -1, -2, -3
"""Changes (by their time) that the fake catalog refuses, meets a bug with, and fails at."""


@dataclass
class FakeCatalog:
    """Notes what it is asked. It waits inside a transaction while `gate` is shut."""

    log: list[object] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    commit_error: Exception | None = None
    tidied: list[bool] = field(default_factory=list)
    shrunk: int = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.entered.set()
        self.gate.wait(10)
        yield
        if self.commit_error is not None:
            raise self.commit_error
        self.log.append("commit")

    def apply(self, batch: Sequence[Change]) -> Sequence[Outcome]:
        numbers = [change.at for change in batch]
        if BUG in numbers:
            raise ZeroDivisionError
        if FATAL in numbers:
            raise StoreFailed("the disk")
        self.log.append(numbers)
        return [CONFLICT if number == REFUSED else (number,) for number in numbers]

    def checkpoint_wal(self, idle: bool) -> None:
        self.tidied.append(idle)

    def shrink_log(self) -> None:
        self.shrunk += 1


@dataclass
class FakePayload:
    """Notes what is done with it, in the world's order."""

    log: list[object]
    number: int
    size_bytes: int = 10
    place_error: Exception | None = None
    noted: NotePlace | None = None

    def place(self) -> None:
        self.log.append(f"place {self.number}")
        if self.place_error is not None:
            raise self.place_error

    def record(self) -> Sequence[ManifestPart]:
        self.log.append(f"record {self.number}")
        return ()

    def release(self) -> None:
        self.log.append(f"release {self.number}")


class Bench:
    """A committer whose loop is the test's own thread: `turn` runs what was posted."""

    def __init__(self) -> None:
        self.catalog = FakeCatalog()
        self.posted: list[Callable[[], None]] = []
        self._now = 0.0
        self.failures: list[StoreFailed] = []
        self.bugs: list[BaseException] = []
        self.batches: list[int] = []
        self.answers: list[tuple[int, Outcome]] = []
        self.sync_error: Exception | None = None
        self.ending: list[Callable[[], None]] = []
        """What runs at the end of the loop's turn."""
        self.commit_seconds = 1.0
        self.committer = Committer(
            cast("Catalog", self.catalog),
            self.sync,
            soon=self.ending.append,
            post=self.posted.append,
            fatal=self.failures.append,
            report=self.bugs.append,
            monotonic=self.monotonic,
            committed=lambda count, _: self.batches.append(count),
        )

    def monotonic(self) -> float:
        self._now += self.commit_seconds
        return self._now

    def sync(self) -> None:
        self.catalog.log.append("sync")
        if self.sync_error is not None:
            raise self.sync_error

    def job(self, number: int, payload: FakePayload | None = None) -> Job:
        def done(outcome: Outcome) -> None:
            self.answers.append((number, outcome))

        return Job(Change(number, 0), done, payload, (lambda change, *_: change) if payload is not None else None)

    def submit(self, *numbers: int) -> None:
        """In one turn of the loop."""
        for number in numbers:
            self.committer.submit(self.job(number))
        self.end_turn()

    def end_turn(self) -> None:
        while self.ending:
            self.ending.pop(0)()

    def run(self) -> None:
        """Commit everything that is queued, and turn the loop."""
        self.catalog.gate.set()
        self.committer.start()
        self.committer.stop()
        self.turn()

    def turn(self) -> None:
        while self.posted:
            self.posted.pop(0)()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_queues_during_a_batch_is_the_next_one_and_order_is_kept(bench: Bench) -> None:
    bench.committer.start()
    bench.submit(1)
    assert bench.catalog.entered.wait(10)
    bench.submit(*range(2, 10))
    assert not bench.posted
    bench.catalog.gate.set()
    bench.committer.stop()
    assert bench.catalog.log == [[1], "commit", list(range(2, 10)), "commit"]
    assert (bench.batches, len(bench.posted)) == ([1, 8], 2)  # one call into the loop for each batch
    bench.turn()
    assert bench.answers == [(n, (n,)) for n in range(1, 10)]


def test_stop_commits_what_is_queued_and_ends(bench: Bench) -> None:
    bench.submit(1, 2, 3)
    bench.run()
    assert bench.answers == [(1, (1,)), (2, (2,)), (3, (3,))]
    assert "committer" not in [thread.name for thread in threading.enumerate()]


def test_a_batch_is_bounded_by_count(bench: Bench) -> None:
    bench.submit(*range(BATCH_COUNT_MAX + 1))
    bench.run()
    assert bench.batches == [BATCH_COUNT_MAX, 1]


def test_a_batch_is_bounded_by_bytes(bench: Bench) -> None:
    for number in range(5):
        bench.committer.submit(bench.job(number, FakePayload([], number, BATCH_BYTES_MAX // 2)))
    bench.run()
    assert bench.batches == [2, 2, 1]


def test_the_order_of_a_batch_with_payloads(bench: Bench) -> None:
    log = bench.catalog.log
    bench.committer.submit(bench.job(1, FakePayload(log, 1)))
    bench.committer.submit(bench.job(2))
    bench.committer.submit(bench.job(3, FakePayload(log, 3)))
    bench.run()
    assert log == [
        "place 1", "place 3", "sync", "record 1", "record 3", [1, 2, 3], "commit", "release 1", "release 3",
    ]  # fmt: skip


def test_without_payloads_nothing_is_synced_beside_the_catalog(bench: Bench) -> None:
    bench.submit(1)
    bench.run()
    assert bench.catalog.log == [[1], "commit"]


def test_a_payload_that_finds_no_room_is_refused_alone(bench: Bench) -> None:
    log, full = bench.catalog.log, NoSpace("full")
    bench.committer.submit(bench.job(1, FakePayload(log, 1, place_error=full)))
    bench.committer.submit(bench.job(2, FakePayload(log, 2)))
    bench.run()
    assert bench.answers == [(1, full), (2, (2,))]
    assert log == ["place 1", "place 2", "sync", "record 2", [2], "commit", "release 1", "release 2"]


def test_a_refusal_by_the_catalog_is_an_answer(bench: Bench) -> None:
    bench.submit(1, REFUSED, 2)
    bench.run()
    assert bench.answers == [(1, (1,)), (REFUSED, CONFLICT), (2, (2,))]


def test_a_full_disk_refuses_the_batch_and_the_next_one_is_tried(bench: Bench) -> None:
    full = NoSpace("full")
    bench.catalog.commit_error = full
    bench.submit(1, 2)
    bench.catalog.gate.set()
    bench.committer.start()
    wait_until(lambda: bench.posted)
    bench.catalog.commit_error = None
    bench.submit(3)
    bench.committer.stop()
    bench.turn()
    assert bench.answers == [(1, full), (2, full), (3, (3,))]
    assert not bench.failures


def test_a_bug_in_one_change_hurts_no_neighbour(bench: Bench) -> None:
    bench.submit(1, BUG, 2)
    bench.run()
    assert [(n, o) for n, o in bench.answers if n != BUG] == [(1, (1,)), (2, (2,))]
    assert isinstance(dict(bench.answers)[BUG], Internal)
    assert [type(bug) for bug in bench.bugs] == [ZeroDivisionError, ZeroDivisionError]


def test_a_bug_in_taking_an_answer_keeps_none_from_the_others(bench: Bench) -> None:
    def fail(_: Outcome) -> None:
        raise ZeroDivisionError

    bench.committer.submit(Job(Change(1, 0), fail))
    bench.submit(2)
    bench.run()
    assert (bench.answers, [type(bug) for bug in bench.bugs]) == ([(2, (2,))], [ZeroDivisionError])


@pytest.mark.parametrize("where", ["sync", "apply", "commit", "task", "tidy"])
def test_a_failed_store_is_fatal_and_nothing_more_is_answered_or_done(bench: Bench, where: str) -> None:
    failed = StoreFailed("the disk")
    bench.committer.submit(bench.job(FATAL if where == "apply" else 1, FakePayload([], 1)))
    bench.end_turn()
    if where == "sync":
        bench.sync_error = failed
    elif where == "commit":
        bench.catalog.commit_error = failed
    elif where == "tidy":
        bench.catalog.checkpoint_wal = _raising(failed)  # type: ignore[method-assign]
    elif where == "task":
        bench.committer.run(_raising(failed))
        bench.committer.run(lambda: bench.catalog.log.append("later"))
    bench.run()
    assert [str(one) for one in bench.failures] == ["the disk"]
    assert bench.answers == ([(1, (1,))] if where in ("task", "tidy") else [])
    bench.submit(2)
    assert "later" not in bench.catalog.log
    assert [2] not in bench.catalog.log
    assert "committer" not in [thread.name for thread in threading.enumerate()]


def _raising(error: Exception) -> Callable[..., None]:
    def act(*_: object, **__: object) -> None:
        raise error

    return act


def test_a_slice_runs_between_two_batches_on_the_committer_s_thread(bench: Bench) -> None:
    bench.submit(1, 2)

    def work() -> str:
        bench.catalog.log.append("slice")
        return threading.current_thread().name

    name = bench.committer.run(work)
    bench.submit(3)
    bench.run()
    assert bench.catalog.log == [[1, 2], "commit", "slice", [3], "commit"]
    assert name.result(0) == "committer"


def test_a_slice_s_error_belongs_to_who_waits_for_it(bench: Bench) -> None:
    refusal = NoSpace("full")
    future = bench.committer.run(_raising(refusal))
    bench.submit(1)
    bench.run()
    assert future.exception(0) is refusal
    assert bench.answers == [(1, (1,))]


def test_a_slice_that_nobody_waits_for_any_more_is_not_run(bench: Bench) -> None:
    future = bench.committer.run(lambda: bench.catalog.log.append("slice"))
    future.cancel()
    bench.run()
    assert bench.catalog.log == []


def test_the_catalog_is_told_of_a_moment_without_a_word(bench: Bench) -> None:
    bench.submit(1)
    bench.catalog.gate.set()
    bench.committer.start()
    wait_until(lambda: bench.catalog.tidied == [False, True])
    wait_until(lambda: bench.catalog.shrunk == 1)
    bench.committer.stop()


@pytest.fixture
def brief(bench: Bench) -> Iterator[Bench]:
    """One whose thread has made a commit that was brief, and waits."""
    bench.commit_seconds = HERE_SECONDS_MAX / 2
    bench.catalog.gate.set()
    bench.committer.start()
    bench.submit(1)
    wait_until(lambda: bool(bench.posted))
    bench.turn()
    yield bench
    bench.catalog.gate.set()
    bench.committer.stop()


def where(bench: Bench) -> str:
    """Whether what was submitted last was committed by the loop: its answer is there without another turn."""
    before = len(bench.answers)
    bench.submit(len(bench.answers) + 1)
    here = len(bench.answers) > before
    wait_until(lambda: here or bool(bench.posted))
    bench.turn()
    return "loop" if here else "thread"


def test_a_lone_change_is_committed_by_the_loop(brief: Bench) -> None:
    assert where(brief) == "loop"
    assert brief.answers == [(1, (1,)), (2, (2,))]


def test_the_first_commit_is_the_threads_for_nobody_knows_how_long_it_takes(bench: Bench) -> None:
    bench.submit(1)
    assert not bench.answers
    bench.run()
    assert bench.answers == [(1, (1,))]


def test_after_a_long_commit_the_thread_commits_until_one_is_brief(brief: Bench) -> None:
    brief.commit_seconds = HERE_SECONDS_MAX * 2
    assert where(brief) == "loop"
    assert where(brief) == "thread"
    brief.commit_seconds = HERE_SECONDS_MAX / 2
    assert [where(brief), where(brief)] == ["thread", "loop"]


def test_now_and_then_the_thread_commits_and_looks_after_the_log(brief: Bench) -> None:
    assert [where(brief) for _ in range(HERE_COUNT_MAX + 2)] == [*["loop"] * HERE_COUNT_MAX, "thread", "loop"]


def test_two_of_one_turn_share_a_sync_in_the_thread(brief: Bench) -> None:
    brief.submit(2, 3)
    wait_until(lambda: bool(brief.posted))
    assert brief.batches == [1, 2]


def test_what_has_a_payload_is_the_threads(brief: Bench) -> None:
    brief.committer.submit(brief.job(2, FakePayload([], 2)))
    brief.end_turn()
    wait_until(lambda: bool(brief.posted))


def test_while_the_thread_writes_a_lone_change_queues(brief: Bench) -> None:
    brief.catalog.gate.clear()
    brief.catalog.entered.clear()
    brief.submit(2, 3)
    assert brief.catalog.entered.wait(10)
    brief.submit(4)
    brief.catalog.gate.set()
    wait_until(lambda: len(brief.posted) == 2)
    brief.turn()
    assert [number for number, _ in brief.answers] == [1, 2, 3, 4]


def test_a_store_that_fails_under_the_loop_answers_nobody(brief: Bench) -> None:
    brief.submit(FATAL)
    brief.submit(2)
    assert [str(failure) for failure in brief.failures] == ["the disk"]
    assert brief.answers == [(1, (1,))]


class EmptyQueue:
    """One in which nothing comes; the loop commits by itself while the first two waits last."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.waits: list[tuple[float | None, int]] = []
        """How long each was to last, and how often the catalog had tidied before it."""

    def empty(self) -> bool:
        return True

    def get(self, timeout: float | None = None) -> None:
        self.waits.append((timeout, len(self._bench.catalog.tidied)))
        if len(self.waits) <= 2:
            self._bench.submit(len(self.waits))
        if timeout is not None:
            raise Empty


def test_while_the_loop_commits_nothing_is_tidied(bench: Bench) -> None:
    bench.commit_seconds = HERE_SECONDS_MAX / 2
    bench.catalog.gate.set()
    queue = EmptyQueue(bench)
    bench.committer._brief, bench.committer._queue = True, cast("SimpleQueue[Any]", queue)
    assert bench.committer._first() is None
    assert [number for number, _ in bench.answers] == [1, 2]
    assert queue.waits == [*[(IDLE_SECONDS, 0)] * 3, (QUIET_SECONDS, 1), (None, len(bench.catalog.tidied))]
