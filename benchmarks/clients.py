"""Client processes: forked from the harness before it holds any connection, each with a session of its own."""

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

START_SECONDS = 120.0
FORK = multiprocessing.get_context("fork")

T = TypeVar("T")
Work = Callable[[int, "threading.Barrier"], T]
_inherited: tuple[Any, ...] = ()


def _inherit(*things: Any) -> None:
    global _inherited
    _inherited = things


def _run(index: int) -> Any:
    work, barrier = _inherited
    try:
        return work(index, barrier)
    except BaseException:
        barrier.abort()  # the others would wait for this one
        raise


def in_clients(count: int, work: "Work[T]") -> list[T]:
    """Run `work(index, barrier)` in `count` processes at once and give what they return.

    Each must pass the barrier exactly once, when it is ready to begin: it holds every process to one piece of work.
    `work` crosses by the fork, so it may be any closure; what it returns is pickled. The first failure is raised.
    """
    barrier = FORK.Barrier(count, timeout=START_SECONDS)
    with ProcessPoolExecutor(count, mp_context=FORK, initializer=_inherit, initargs=(work, barrier)) as pool:
        futures = [pool.submit(_run, index) for index in range(count)]
        failures = [error for future in futures if (error := future.exception()) is not None]
        # A broken barrier is the echo of another client's failure: show the cause.
        for failure in sorted(failures, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
            raise failure
        return [future.result() for future in futures]


def in_client(work: Callable[[], T]) -> T:
    """Run `work()` in one client process."""

    def alone(_: int, barrier: "threading.Barrier") -> T:
        barrier.wait()
        return work()

    return in_clients(1, alone)[0]
