"""The one place in the client that reads a clock; `calls` and `flight` get deadlines as data."""

import time


def monotonic() -> float:
    """Seconds since some moment; never goes back."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Come back after so many seconds."""
    time.sleep(seconds)
