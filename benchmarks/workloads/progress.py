"""What progress costs the worker: `advance`, a turn of `track`, and how far the daemon's table is behind."""

import statistics
import time
from collections.abc import Callable
from itertools import pairwise

from benchmarks.clients import in_client
from benchmarks.peers.ckptd import socket_of
from benchmarks.peers.interface import Peer
from benchmarks.timing import max_ms, now, p50_ms
from benchmarks.workloads.interface import Column, Figures, Workload, shortened
from ckptclient import calls
from ckptclient.manager import CheckpointManager
from ckptclient.process import Process

CALLS = 200_000
CHUNKS = 10
RATE = 20_000
STOPS = 20
BURST_SECONDS = 0.25
TICK_SECONDS = 0.005
POLL_SECONDS = 0.001
GIVE_UP_SECONDS = 5.0


def _cost(once: Callable[[], None], count: int) -> tuple[float, float]:
    """Microseconds a call, of the clock (median of ten stretches) and of the processor (all threads)."""
    each = max(1, count // CHUNKS)
    spent = []
    processor = time.process_time()
    for _ in range(CHUNKS):
        begin = now()
        for _ in range(each):
            once()
        spent.append((now() - begin) / each)
    return statistics.median(spent) * 1e6, (time.process_time() - processor) / (each * CHUNKS) * 1e6


def _advance(manager: CheckpointManager, count: int) -> Figures:
    with manager.process("advance", total_steps=1 << 40) as process:
        clock_us, cpu_us = _cost(process.advance, count)
    return {"advance_us": clock_us, "advance_cpu_us": cpu_us}


def _turns(manager: CheckpointManager, count: int) -> Figures:
    """The clock stops at the last turn: what is still to be sent then is nothing that a turn waits for."""
    each = max(1, count // CHUNKS)
    stamps = [0.0]
    with manager.process("turns") as process:
        processor = time.process_time()
        stamps[0] = now()
        for item in process.track(range(each * CHUNKS)):
            if item % each == each - 1:
                stamps += (now(),)
        processor = time.process_time() - processor
        done = process.state.completed_steps
    spent = [(end - begin) / each for begin, end in pairwise(stamps)]
    return {
        "turn_us": statistics.median(spent) * 1e6,
        "turn_cpu_us": processor / (each * CHUNKS) * 1e6,
        "turns_wrong": done != each * CHUNKS,
    }


def _behind(manager: CheckpointManager, stops: int) -> Figures:
    """After each burst at the rate asked for: how long until the table shows the sum."""
    lags, rates = [], []
    with manager.process("behind", total_steps=1 << 40) as process:
        total = 0
        for stop in range(stops):
            # Ends at ever another moment between two reports of the library.
            calls_made, seconds = _burst(process, BURST_SECONDS + stop * 0.0073)
            total += calls_made
            rates.append(calls_made / seconds)
            lags.append(_until_shown(manager, "behind", total))
    return {
        "advances_s": statistics.median(rates),
        "table_lag_p50_ms": p50_ms(lags),
        "table_lag_max_ms": max_ms(lags),
        "sum_wrong": max(lags) >= GIVE_UP_SECONDS,
    }


def _burst(process: Process, seconds: float) -> tuple[int, float]:
    """How many advances were made, in how many seconds; the last one at the end of them."""
    begin, count = now(), 0
    while now() - begin < seconds:
        time.sleep(TICK_SECONDS)
        for _ in range(int((now() - begin) * RATE) - count):
            process.advance()
            count += 1
    return count, now() - begin


def _until_shown(manager: CheckpointManager, process_id: str, total: int) -> float:
    begin = now()
    while True:
        shown = manager.client.call(calls.show(process_id)).progress.completed
        passed = now() - begin
        if shown == total or passed >= GIVE_UP_SECONDS:
            return passed
        time.sleep(POLL_SECONDS)


def measure(peer: Peer, scale: float) -> Figures:
    """One worker."""

    def drive() -> Figures:
        with CheckpointManager(socket_path=socket_of(peer.place)) as manager:
            count = shortened(CALLS, scale, least=1000)
            return (
                _advance(manager, count) | _turns(manager, count) | _behind(manager, shortened(STOPS, scale, least=2))
            )

    return in_client(drive)


PROGRESS = Workload(
    name="progress",
    title="Progress in the worker",
    definition=(
        f"{CALLS:,} calls of `process.advance()` and {CALLS:,} turns of an empty `process.track()` loop, in microseconds each: of "
        "the clock (median of ten stretches) and of the processor, with everything that the library's own thread does for them. "
        f"Then {RATE:,} advances a second in bursts, and after each the time until `process.show` gives their sum."
    ),
    measure=measure,
    columns=(
        Column("advance_us", "advance, us"),
        Column("advance_cpu_us", "its processor, us"),
        Column("turn_us", "turn of track, us"),
        Column("turn_cpu_us", "its processor, us"),
        Column("advances_s", "advances/s asked"),
        Column("table_lag_p50_ms", "table behind, p50 ms"),
        Column("table_lag_max_ms", "max ms"),
    ),
    subject_only=True,
    zero=("turns_wrong", "sum_wrong"),
)
