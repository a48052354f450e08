"""Latencies: taking them and summing them up. Seconds in, milliseconds out."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

now = time.perf_counter  # one clock for all the processes of a machine, so that starts and ends compare


def timed(call: Callable[[], Any]) -> float:
    """How long one call takes, in seconds."""
    begin = now()
    call()
    return now() - begin


def repeated(call: Callable[[], Any], times: int, within_seconds: float = 5.0) -> list[float]:
    """Latencies of `call`: `times` of them, or as many as fit in the time given, but three at least."""
    latencies: list[float] = []
    end = now() + within_seconds
    while len(latencies) < times and (len(latencies) < 3 or now() < end):
        latencies.append(timed(call))
    return latencies


def p50_ms(latencies: Sequence[float]) -> float:
    """The median."""
    return statistics.median(latencies) * 1e3


def p99_ms(latencies: Sequence[float]) -> float:
    """The latency that 99 % of the calls keep below."""
    return sorted(latencies)[int(len(latencies) * 0.99)] * 1e3


def max_ms(latencies: Sequence[float]) -> float:
    """The worst."""
    return max(latencies) * 1e3
