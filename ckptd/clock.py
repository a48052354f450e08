"""The one place that reads clocks.

Everything else is given a `Clock`, or `now` as an argument, so that a test can put the time where it wants it. Wall
time is microseconds since the epoch in UTC, as the catalog stores it; it may jump, also backwards, and is never
subtracted to measure how long something took. That is what the monotonic seconds are for.
"""

import time
from functools import cache
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """What the daemon asks of time."""

    def now(self) -> int:
        """Wall time: microseconds since the epoch, UTC. Jumps when somebody sets the clock."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back, stands still while the machine sleeps."""
        ...

    def since_boot(self) -> tuple[str, float]:
        """(which boot, seconds since it, those that the machine slept included); "" where it names no boot."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Come back after so many monotonic seconds; at once, but after the other tasks, for 0."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    def since_boot(self) -> tuple[str, float]:
        return _boot(), time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        # Here, because asyncio takes 55 ms to import and the operator's offline tools, which import this, never sleep.
        import asyncio

        await asyncio.sleep(seconds)


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
