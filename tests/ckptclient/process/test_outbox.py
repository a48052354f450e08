"""The outbox: order, one batch at a time, what happens to what can't be sent."""

import pytest

from ckptclient.errors import Busy, CkptdError, Fenced, NoSpace, TimedOut, Unreachable
from ckptclient.process.batch import BATCH_BYTES_MAX, BATCH_COUNT
from ckptclient.process.live import Live
from ckptclient.process.outbox import (
    BATCH_SECONDS,
    ENTRIES_MAX,
    REPORT_SECONDS,
    SIGN_OF_LIFE_SECONDS,
    OnUnavailable,
    Outbox,
)
from ckptclient.process.saving import Job
from ckptclient.wire import params
from tests.ckptclient.process.scripted import DUE, TOKEN, ScriptedDaemon, registered
from tests.waiting import wait_until


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """An outbox whose thread never starts: the test sends by hand."""

    def __init__(self, on_unavailable: OnUnavailable = "block") -> None:
        self.daemon = ScriptedDaemon()
        self.clock = Clock()
        self.ticks: list[bool] = []
        self.alerts = 0
        self.live = Live("p", "", registered().progress, 0, self.clock)
        self.outbox = Outbox(
            self.daemon,
            TOKEN,
            self.live,
            on_unavailable=on_unavailable,
            told=lambda tick: self.ticks.append(tick.due),
            alerted=self._alerted,
            monotonic=self.clock,
        )
        self.outbox.close()

    def _alerted(self) -> None:
        self.alerts += 1

    def record(self, count: int, result: bytes | None = None) -> None:
        for _ in range(count):
            self.outbox.record(0, b"\x01", result)

    def job(self) -> Job:
        job = Job(params.Save(request=0, token=TOKEN))
        self.outbox.put(job)
        return job


def test_what_was_recorded_before_a_save_goes_before_it_and_the_rest_behind() -> None:
    bench = Bench()
    bench.record(3)
    first = bench.job()
    bench.record(2)
    second = bench.job()
    bench.outbox.flush()
    assert bench.daemon.methods() == ["journal.append", "checkpoint.save", "journal.append", "checkpoint.save"]
    assert [len(one["records"]) for one in bench.daemon.of("journal.append")] == [3, 2]
    assert (first.answer().seq, second.answer().seq) == (1, 2)


def test_a_batch_has_at_most_a_thousand_records_and_fits_a_frame() -> None:
    bench = Bench()
    bench.record(BATCH_COUNT + 1)
    bench.outbox.flush()
    assert [len(one["records"]) for one in bench.daemon.of("journal.append")] == [BATCH_COUNT, 1]
    bench.record(3, bytes(BATCH_BYTES_MAX // 2))
    bench.outbox.flush()
    assert [len(one["records"]) for one in bench.daemon.of("journal.append")][2:] == [1, 1, 1]


def test_a_batch_carries_the_progress_that_its_records_mean() -> None:
    bench = Bench()
    bench.record(BATCH_COUNT + 5)
    bench.outbox.flush()
    assert [one["progress"]["completed"] for one in bench.daemon.of("journal.append")] == [BATCH_COUNT, BATCH_COUNT + 5]


@pytest.mark.parametrize("error", [Unreachable("gone"), TimedOut("late"), Busy("full")])
def test_what_could_not_be_sent_is_sent_again_under_its_number(error: CkptdError) -> None:
    bench = Bench()
    bench.daemon.fail("journal.append", error)
    bench.record(2)
    with pytest.raises(type(error)):
        bench.outbox.flush()
    bench.record(1)
    bench.outbox.flush()
    lost, again, behind = bench.daemon.of("journal.append")
    assert again == lost
    assert len(behind["records"]) == 1
    assert behind["request"] > lost["request"]


def test_records_that_the_daemon_refuses_are_kept() -> None:
    bench = Bench()
    bench.daemon.fail("journal.append", NoSpace("full"))
    bench.record(1)
    with pytest.raises(NoSpace):
        bench.outbox.flush()
    bench.outbox.flush()
    refused, again = bench.daemon.of("journal.append")
    assert refused["records"] == again["records"]


def test_progress_that_is_refused_holds_nothing_up() -> None:
    bench = Bench()
    bench.live.advance(1)
    bench.daemon.fail("process.progress", NoSpace("full"))
    with pytest.raises(NoSpace):
        bench.outbox.flush()
    bench.record(1)
    bench.outbox.flush()
    assert len(bench.daemon.rows()) == 1


def test_a_save_that_fails_is_done_with_its_error_and_those_behind_it_go_on() -> None:
    bench = Bench()
    bench.daemon.fail("checkpoint.save", NoSpace("full"))
    first, second = bench.job(), bench.job()
    bench.outbox.flush()
    with pytest.raises(NoSpace):
        first.answer()
    assert second.answer().seq == 1
    assert bench.alerts == 1


def test_fenced_ends_everything() -> None:
    bench = Bench()
    bench.daemon.fail("journal.append", Fenced("epoch 2"))
    bench.record(1)
    job = bench.job()
    for _ in range(2):
        with pytest.raises(Fenced):
            bench.outbox.flush()
    with pytest.raises(Fenced):
        job.answer()
    with pytest.raises(Fenced):
        bench.outbox.check()
    assert bench.daemon.methods() == ["journal.append"]
    assert not bench.outbox.entries


def test_the_mark_is_reached_by_the_first_record_then_by_a_full_batch() -> None:
    bench = Bench()
    marks = []
    for _ in range(BATCH_COUNT + 1):
        bench.outbox.record(0, b"\x01", None)
        marks.append(bench.outbox.mark)
    assert marks[0] == BATCH_COUNT
    assert marks[-3:] == [BATCH_COUNT, ENTRIES_MAX, ENTRIES_MAX]
    bench.outbox.flush()
    assert bench.outbox.mark == 1


def test_after_a_save_the_next_record_begins_a_batch() -> None:
    bench = Bench()
    bench.record(3)
    bench.job()
    bench.outbox.flush()
    assert bench.outbox.mark == 1


@pytest.mark.parametrize(
    ("records", "dirty", "passed", "due_in"),
    [
        (0, False, 0.0, SIGN_OF_LIFE_SECONDS),
        (0, False, 2.0, SIGN_OF_LIFE_SECONDS - 2.0),
        (0, True, 0.01, REPORT_SECONDS - 0.01),
        (1, False, 0.0, BATCH_SECONDS),
        (1, True, 0.02, BATCH_SECONDS - 0.02),
        (BATCH_COUNT, False, 0.0, 0.0),
    ],
)
def test_when_something_is_due(records: int, dirty: bool, passed: float, due_in: float) -> None:
    bench = Bench()
    bench.record(records)
    bench.live.dirty = dirty
    bench.clock.now += passed
    assert bench.outbox.due_in() == pytest.approx(due_in)


def test_a_worker_that_is_silent_gives_a_sign_of_life() -> None:
    bench = Bench()
    bench.outbox._send_due()
    assert bench.daemon.methods() == []
    bench.clock.now += SIGN_OF_LIFE_SECONDS
    bench.outbox._send_due()
    bench.outbox._send_due()
    assert bench.daemon.methods() == ["process.progress"]


def test_every_answer_tells_what_the_daemon_asks_for() -> None:
    bench = Bench()
    bench.daemon.ticks.extend([DUE, DUE, DUE])
    bench.record(1)
    bench.job()
    bench.outbox.flush()
    bench.outbox.tell()
    assert bench.ticks == [True, True, True]


def test_spool_keeps_records_up_to_its_bound_and_sends_them_on_return() -> None:
    bench = Bench("spool")
    bench.daemon.fail("journal.append", *[Unreachable("gone")] * 2)
    bench.record(ENTRIES_MAX - 1)
    with pytest.raises(Unreachable):
        bench.record(1)
    assert bench.daemon.methods() == ["journal.append"]
    with pytest.raises(Unreachable):
        bench.outbox.flush()
    bench.outbox.flush()
    assert len(bench.daemon.rows()) == ENTRIES_MAX + 2 * BATCH_COUNT  # the first batch was tried three times


def test_the_thread_sends_by_itself_and_ends_when_it_is_closed() -> None:
    daemon = ScriptedDaemon()
    live = Live("p", "", registered().progress, 0)
    outbox = Outbox(daemon, TOKEN, live, told=lambda _tick: None)
    outbox.record(0, b"\x01", None)
    wait_until(daemon.rows)
    live.advance(3)
    outbox.changed()
    wait_until(lambda: any(one["progress"].get("completed") == 4 for one in daemon.of("process.progress")))
    outbox.close()
    thread = outbox._thread
    assert thread is not None
    wait_until(lambda: not thread.is_alive())


def test_the_thread_tries_again_and_raises_nothing_twice() -> None:
    daemon = ScriptedDaemon()
    live = Live("p", "", registered().progress, 0)
    alerts: list[int] = []
    outbox = Outbox(daemon, TOKEN, live, told=lambda _tick: None, alerted=lambda: alerts.append(1))
    daemon.fail("journal.append", Unreachable("gone"))
    outbox.record(0, b"\x01", None)
    wait_until(lambda: alerts)
    with pytest.raises(Unreachable):
        outbox.check()
    outbox.check()
    wait_until(lambda: len(daemon.of("journal.append")) == 2)
    outbox.close()
