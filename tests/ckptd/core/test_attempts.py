"""The rules by which a death is held against something."""

import signal
from dataclasses import dataclass

import pytest

from ckptd.core import attempts
from ckptd.core.attempts import Announced, Death
from ckptd.core.change import Suspicion

ITEM = Announced(b"item", 7)
SIGABRT, SIGSEGV = 6, 11


@dataclass
class Row:
    attempts: int


@pytest.mark.parametrize(
    ("death", "counts", "reason"),
    [
        (Death(1, signal=SIGABRT), True, "by SIGABRT"),
        (Death(1, signal=SIGSEGV), True, "by SIGSEGV"),
        (Death(1, signal=attempts.SIGKILL), False, "by SIGKILL"),
        (Death(1, signal=attempts.SIGTERM), False, "by SIGTERM"),
        (Death(1, signal=40), True, "by signal 40"),
        (Death(1, status=3), True, "with exit status 3"),
        (Death(1, status=0), True, "with exit status 0"),
        (Death(1), True, "for an unknown reason"),  # a kernel that doesn't tell
    ],
)
def test_what_counts(death: Death, counts: bool, reason: str) -> None:
    assert (death.counts, death.reason) == (counts, reason)
    assert (attempts.suspicion(ITEM, death, False, 0) is not None) is counts
    assert attempts.checkpoint_attempt(death, confirmed=False) is counts
    assert not attempts.checkpoint_attempt(death, confirmed=True)


@pytest.mark.parametrize("number", range(1, 32))
def test_signals_have_the_names_that_the_system_gives_them(number: int) -> None:
    reason = Death(1, signal=number).reason
    assert reason in (f"by {signal.Signals(number).name}", f"by signal {number}")


def test_nothing_in_hand_nothing_suspected() -> None:
    assert attempts.suspicion(None, Death(1, SIGABRT), False, 2) is None


def test_the_evidence_names_the_death() -> None:
    assert attempts.suspicion(ITEM, Death(812, SIGABRT), recorded_since=False, attempts=1) == Suspicion(
        b"item", 7, "worker 812 died by SIGABRT with this item in hand (death 2 in a row)", restarts=False
    )


def test_what_got_further_in_between_begins_anew() -> None:
    suspicion = attempts.suspicion(Announced(b"key", None), Death(5), recorded_since=True, attempts=2)
    assert suspicion == Suspicion(
        b"key", None, "worker 5 died for an unknown reason with this item in hand (death 1 in a row)", restarts=True
    )


@pytest.mark.parametrize(
    ("deaths", "aside"),
    [
        ([(SIGABRT, False)] * 3, True),
        ([(SIGABRT, False)] * 2, False),
        ([(None, False)] * 3, True),
        ([(attempts.SIGKILL, False)] * 50, False),
        ([(SIGABRT, False), (attempts.SIGTERM, False), (SIGABRT, False), (SIGABRT, False)], True),
        ([(SIGABRT, False), (SIGABRT, False), (SIGABRT, True)], False),
        ([(SIGABRT, False), (SIGABRT, True), (SIGABRT, False), (SIGABRT, False)], True),
        ([(SIGABRT, True)] * 50, False),
    ],
)
def test_a_row_of_deaths(deaths: list[tuple[int | None, bool]], aside: bool) -> None:
    """As the catalog counts: one more, or anew."""
    suspect = Row(0)
    for number, recorded_since in deaths:
        suspicion = attempts.suspicion(ITEM, Death(1, number), recorded_since, suspect.attempts)
        if suspicion is not None:
            suspect = Row(1 if suspicion.restarts else suspect.attempts + 1)
    assert bool(attempts.set_aside([suspect], 3)) is aside


def test_set_aside_keeps_the_order() -> None:
    rows = [Row(5), Row(2), Row(3), Row(0)]
    assert attempts.set_aside(rows, 3) == (rows[0], rows[2])


@pytest.mark.parametrize(("deaths", "suspects", "careful"), [(0, 0, False), (1, 0, True), (0, 1, True), (3, 2, True)])
def test_careful(deaths: int, suspects: int, careful: bool) -> None:
    assert attempts.careful(deaths, suspects) is careful
