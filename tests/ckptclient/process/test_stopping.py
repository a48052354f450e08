"""SIGTERM: what hears of it, and that nothing of it is left behind."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from ckptclient.errors import Stopped
from ckptclient.process.stopping import Watch, terminated
from tests.ckptclient.process.scripted import Heard, ScriptedDaemon, process_of
from tests.waiting import wait_until


@pytest.fixture
def daemon() -> ScriptedDaemon:
    return ScriptedDaemon()


@pytest.fixture(autouse=True)
def _not_terminated() -> Iterator[None]:
    yield
    terminated.asked = False


def test_sigterm_ends_the_loop_and_the_next_one_does_not_begin(daemon: ScriptedDaemon) -> None:
    heard = Heard()
    done = []
    for _ in range(2):
        with process_of(daemon, heard) as process:
            for item in process.track(range(9)):
                if item == 3:
                    os.kill(os.getpid(), signal.SIGTERM)
                    wait_until(lambda: terminated.asked)  # the kernel may give it to another thread first
                done.append(item)
            raise AssertionError("unreachable")
        assert process.should_stop
    assert done == [0, 1, 2, 3]
    assert heard.ended == ["interrupted", "interrupted"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_every_loop_that_is_open_hears_of_it(daemon: ScriptedDaemon) -> None:
    outer, inner = process_of(daemon), process_of(daemon)
    first, second = outer.track(range(9)), inner.track(range(9))
    assert (next(first), next(second)) == (0, 0)
    os.kill(os.getpid(), signal.SIGTERM)
    wait_until(lambda: terminated.asked)
    for turns in (first, second):
        with pytest.raises(Stopped):
            next(turns)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_programs_own_handler_is_left_alone(daemon: ScriptedDaemon) -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: came.append(number))
    try:
        for _ in process_of(daemon).track(range(1)):
            os.kill(os.getpid(), signal.SIGTERM)
            wait_until(lambda: came)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]


def test_only_the_main_thread_puts_a_handler_in() -> None:
    def elsewhere() -> None:
        with Watch(lambda: None):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()


def test_a_handler_that_the_body_put_in_stays() -> None:
    def own(_number: int, _frame: object) -> None:
        """The program's."""

    with Watch(lambda: None):
        signal.signal(signal.SIGTERM, own)
    try:
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
