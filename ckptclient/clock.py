"""The one place in the client that reads a clock or draws by chance; `flight` gets both as data."""

import os
import time


def monotonic() -> float:
    """Seconds since some moment; never goes back."""
    return time.monotonic()


def now() -> int:
    """Microseconds since 1970, UTC; may jump when somebody sets it."""
    return time.time_ns() // 1000


def sleep(seconds: float) -> None:
    """Come back after so many seconds."""
    time.sleep(seconds)


def jitter() -> float:
    """A number from 0 to 1, by chance."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
