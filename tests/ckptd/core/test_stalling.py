"""core.stalling: who does nothing is told from who is slow, by its own past."""

from collections.abc import Callable

import pytest

from ckptd.core.stalling import Pace, begin, look

MINUTE = 60.0
Life = Callable[[float], float]
"""Steps done by a moment, in seconds."""


def lived(life: Life, minutes: int, pace: Pace | None = None, begun: int = 0) -> Pace:
    """Looked at once a minute."""
    found = pace or begin(int(life(begun * MINUTE)), begun * MINUTE)
    for minute in range(begun + 1, begun + minutes + 1):
        found = look(found, int(life(minute * MINUTE)), minute * MINUTE)
    return found


def then(before: float, at_minute: int, after: float) -> Life:
    """One speed up to a moment, and another from there on."""
    at = at_minute * MINUTE
    return lambda t: before * min(t, at) + after * max(0.0, t - at)


HOURLY = 1 / 3600
PAUSES: Life = lambda t: 100 * (int(t // 3600) * 2400 + min(t % 3600, 2400))  # noqa: E731 - a table of lives
"""Twenty minutes of each hour it evaluates."""


@pytest.mark.parametrize(
    ("name", "life", "minutes", "stalled"),
    [
        ("steady", then(10, 10**6, 0), 120, False),
        ("stops", then(10, 60, 0), 66, True),
        ("stopped just now", then(10, 60, 0), 63, False),
        ("crawls", then(10, 60, 0.5), 70, True),
        ("half as fast", then(10, 60, 5), 300, False),
        ("a fifth as fast", then(10, 60, 2), 300, False),
        ("never began", lambda t: 0.0, 600, False),
        ("a step an hour", lambda t: t * HOURLY, 60 * 24, False),
        ("a step an hour, stops", then(HOURLY, 60 * 24, 0), 60 * 24 + 60 * 13, True),
        ("a step an hour, stopped a while ago", then(HOURLY, 60 * 24, 0), 60 * 24 + 60 * 5, False),
        ("pauses by itself", PAUSES, 60 * 12, False),
        ("pauses by itself, then stops", lambda t: PAUSES(min(t, 12 * 3600)), 60 * 14, True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_lives(name: str, life: Life, minutes: int, stalled: bool) -> None:
    seen = lived(life, 20) if name.startswith("pauses") else None
    # Whoever pauses in its first hour is known by its pauses only from the second on: look from there.
    pace = lived(life, minutes - 20, seen, 20) if seen else lived(life, minutes)
    assert pace.stalled is stalled


def test_what_is_remembered_of_its_speed_is_a_past_too() -> None:
    still = begin(500, 0.0, per_second=2.0)
    for minute in range(1, 7):
        still = look(still, 500, minute * MINUTE)
    assert still.stalled
    assert still.lag_seconds == 6 * MINUTE


def test_who_goes_on_is_no_longer_stalled_and_within_minutes() -> None:
    stopped = lived(then(10, 60, 0), 180)
    assert stopped.stalled
    went_on = look(stopped, stopped.count + 600, stopped.at + MINUTE)
    assert not went_on.stalled
    assert went_on.lag_seconds == 0.0


def test_who_crawls_on_for_long_is_slow() -> None:
    life = then(10, 60, 0.5)
    assert lived(life, 90).stalled
    assert not lived(life, 60 + 90).stalled


def test_a_rewind_begins_anew() -> None:
    pace = lived(then(10, 60, 0), 180)
    again = look(pace, 100, pace.at + MINUTE)
    assert not again.stalled
    assert again.usual == pace.usual


def test_a_long_stall_that_ended_does_not_excuse_the_next() -> None:
    stopped = lived(then(10, 60, 0), 60 + 48 * 60)
    went_on = look(stopped, stopped.count + 600, stopped.at + MINUTE)
    assert went_on.patience_seconds is not None
    assert went_on.patience_seconds <= 3600
