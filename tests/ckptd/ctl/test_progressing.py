"""A bar on a terminal, lines elsewhere, and nothing for what is short."""

import pytest

from ckptd.ctl.progressing import Bar
from ckptd.ctl.session import Common, Session
from tests.ckptd.ctl.fakes import FakeDaemon, world
from tests.fakes import FakeClock


def counted(times: list[float], *, terminal: bool, json: bool = False) -> tuple[list[str], list[str]]:
    """What is drawn and said where a tenth is done at each of these times."""
    clock, drawn, said = FakeClock(), list[str](), list[str]()
    around = world(FakeDaemon(), clock=clock, say=said.append, draw=drawn.append if terminal else None)
    with Bar(Session(around, Common(json=json)), "copying", 1000) as bar:
        for at in times:
            clock.tick(at - clock.monotonic())
            assert list(bar.through([b"x" * 100])) == [b"x" * 100]
    return drawn, said


@pytest.mark.parametrize(("terminal", "times"), [(True, [0.1, 0.9]), (False, [1.0, 5.0, 9.9])])
def test_what_is_short_isnt_worth_a_word(terminal: bool, times: list[float]) -> None:
    assert counted(times, terminal=terminal) == ([], [])


def test_a_bar_on_a_terminal_is_drawn_at_its_pace_and_wiped() -> None:
    drawn, said = counted([1.0, 1.05, 2.0], terminal=True)
    assert drawn == [
        "copying ██░░░░░░░░░░░░░░░░░░ 10.0 %  100 B of 1.0 kB  100 B/s  9.0 s left",
        "copying ██████░░░░░░░░░░░░░░ 30.0 %  300 B of 1.0 kB  150 B/s  4.7 s left",
        "",
    ]
    assert said == []


def test_elsewhere_a_line_every_ten_seconds() -> None:
    drawn, said = counted([1.0, 10.0, 12.0, 20.0], terminal=False)
    assert drawn == []
    assert [line.partition("  ")[0] for line in said] == [
        "copying ████░░░░░░░░░░░░░░░░ 20.0 %",
        "copying ████████░░░░░░░░░░░░ 40.0 %",
    ]


def test_a_program_is_shown_nothing() -> None:
    assert counted([1.0, 20.0], terminal=True, json=True) == ([], [])
