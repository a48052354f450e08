"""Expiry's clock: never back, never carried away, and going on when it is told so."""

import pytest
from hypothesis import given, strategies as st

from ckptd.core.expiry import ExpiryClock, Reading

HOUR, DAY = 3600.0, 86_400.0
START = 1_750_000_000_000_000


def read(wall_seconds: float, since_boot: float, boot: str = "a") -> Reading:
    return Reading(START + round(wall_seconds * 1e6), since_boot, boot)


BEGUN = ExpiryClock.begin(read(0, 100.0))


@pytest.mark.parametrize(
    ("now", "at_seconds", "halts"),
    [
        pytest.param(read(HOUR, 100 + HOUR), HOUR, False, id="time passes"),
        pytest.param(read(90 * DAY, 100 + 90 * DAY), 90 * DAY, False, id="the daemon was off, the machine was not"),
        pytest.param(read(DAY + HOUR, 100 + HOUR), DAY + HOUR, False, id="ahead by a day at most"),
        pytest.param(read(DAY + HOUR + 1, 100 + HOUR), 0, True, id="ahead by more than a day"),
        pytest.param(read(400 * DAY, 101.0), 0, True, id="a year at once"),
        pytest.param(read(-HOUR, 200.0), 0, False, id="set back"),
        pytest.param(read(DAY, 10.0, "b"), DAY, False, id="a night without power"),
        pytest.param(read(3 * DAY, 10.0, "b"), 0, True, id="three days that nobody counted"),
        pytest.param(read(3 * DAY, 2.5 * DAY, "b"), 3 * DAY, False, id="off for half a day, and up since"),
        pytest.param(read(3 * DAY, 50.0, ""), 0, True, id="a machine that names no boot"),
        pytest.param(read(2 * DAY, 50.0), 0, True, id="the same boot, and its count went back"),
    ],
)
def test_a_look(now: Reading, at_seconds: float, halts: bool) -> None:
    after = BEGUN.look(now, DAY)
    assert (after.at, after.halted_at) == (START + round(at_seconds * 1e6), now.wall if halts else None)
    assert BEGUN.look(now, 0) == (BEGUN if now.wall < START else ExpiryClock.begin(now))


def test_a_halt_stands_until_it_is_confirmed() -> None:
    halted = BEGUN.look(read(30 * DAY, 101.0), DAY)
    assert halted.look(read(31 * DAY, 101 + DAY), DAY) == halted
    confirmed = halted.confirm(read(31 * DAY, 101 + DAY))
    assert (confirmed.at, confirmed.halted_at) == (START + round(31 * DAY * 1e6), None)
    assert confirmed.look(read(31 * DAY + HOUR, 101 + DAY + HOUR), DAY).at == START + round((31 * DAY + HOUR) * 1e6)


def test_a_halt_ends_when_the_clock_is_put_right() -> None:
    halted = BEGUN.look(read(30 * DAY, 101.0), DAY)
    assert halted.look(read(HOUR, 100 + HOUR), DAY) == ExpiryClock.begin(read(HOUR, 100 + HOUR))
    assert halted.look(read(-HOUR, 100 + HOUR), DAY) == BEGUN


def test_a_clock_that_goes_back_and_comes_again_is_no_jump() -> None:
    back = BEGUN.look(read(-300 * DAY, 101.0), DAY)
    assert back.look(read(60.0, 160.0), DAY).at == START + 60_000_000


READINGS = st.lists(
    st.builds(read, st.floats(-1e8, 1e8), st.floats(0, 1e8), st.sampled_from(["a", "b", ""])), max_size=8
)


@given(READINGS, st.sampled_from([0.0, HOUR, DAY]))
def test_it_never_goes_back_and_never_further_than_the_wall(readings: list[Reading], jump: float) -> None:
    clock = BEGUN
    for one in readings:
        after = clock.look(one, jump)
        assert clock.at <= after.at <= max(clock.at, one.wall)
        assert after.halted_at is None or jump
        assert ExpiryClock.unpack(after.pack()) == after
        assert after.confirm(one).at >= after.at
        clock = after
