"""Who may take a process: each row of the table is a sentence of the rules."""

from dataclasses import replace
from typing import Any

import pytest

from ckptclient.errors import Held
from ckptd.core.ids import Holder
from ckptd.core.lease import Grant, Holding, after_disconnect, claim, lapsed, outsider
from ckptd.core.process_table import Act, State
from tests.fakes import EPOCH

SECOND = 1_000_000
LEASE, GRACE = 60.0, 30.0
NOW = EPOCH + 1000 * SECOND
HOLDER = Holder(b"boot", 8812, 500, b"holder's session")
OTHER = Holder(b"boot", 901, 700, b"other's session")
RUNNING = Holding("train", State.RUNNING, HOLDER, alive=True, connected=True, since=EPOCH, heard_at=NOW)
SILENT = NOW - 61 * SECOND

NEW = Grant(Act.TAKE, new_incarnation=True, resumed=False)
RESUMED = Grant(Act.TAKE, new_incarnation=False, resumed=True)
DEAD = replace(RESUMED, died=True)
TAKEN = replace(RESUMED, displaced=HOLDER)


def _state(state: State) -> Holding:
    return Holding("train", state)


def _running(**facts: Any) -> Holding:
    return replace(RUNNING, **facts)


@pytest.mark.parametrize(
    ("holding", "asked", "grant"),
    [
        # nobody holds it
        (None, {}, NEW),
        (None, {"fresh": True, "takeover": True}, NEW),
        (_state(State.REGISTERED), {}, RESUMED),
        (_state(State.PAUSED), {}, RESUMED),
        (_state(State.INTERRUPTED), {}, RESUMED),
        (_state(State.FAILED), {}, RESUMED),
        (_state(State.COMPLETED), {}, NEW),
        (_state(State.RUNNING), {}, RESUMED),  # fenced: nobody holds it
        *((_state(state), {"fresh": True}, NEW) for state in State),
        # a holder that is remembered from before holds nothing
        (replace(RUNNING, state=State.INTERRUPTED), {}, RESUMED),
        (replace(RUNNING, state=State.COMPLETED), {}, NEW),
        # its OS process is dead, whatever the lease says
        (_running(alive=False), {}, DEAD),
        (_running(alive=False, connected=False), {}, DEAD),
        (_running(alive=False), {"fresh": True}, replace(NEW, died=True)),
        # taken over
        (RUNNING, {"takeover": True}, TAKEN),
        (_running(alive=None), {"takeover": True}, TAKEN),
        (RUNNING, {"takeover": True, "fresh": True}, replace(NEW, displaced=HOLDER)),
        (_running(alive=False), {"takeover": True}, DEAD),
        # nobody can tell, its connection is gone, its lease over
        (_running(alive=None, connected=False, heard_at=SILENT), {}, TAKEN),
    ],
)
def test_granted(holding: Holding | None, asked: dict[str, bool], grant: Grant) -> None:
    assert claim(holding, OTHER, now=NOW, lease_seconds=LEASE, **asked) == grant


@pytest.mark.parametrize("alive", [True, False, None])
@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("heard_at", [NOW, SILENT])
def test_the_same_worker_is_never_held(alive: bool | None, connected: bool, heard_at: int) -> None:
    again = replace(HOLDER, session=b"the notebook's second session")
    holding = _running(alive=alive, connected=connected, heard_at=heard_at)
    assert claim(holding, again, now=NOW, lease_seconds=LEASE) == TAKEN


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize(
    "holding",
    [
        RUNNING,
        _running(connected=False),  # in its grace
        _running(heard_at=SILENT),  # a long step: a lapsed lease permits a takeover and starts none
        _running(connected=False, heard_at=SILENT),
        _running(alive=None),
        _running(alive=None, heard_at=SILENT),
        _running(alive=None, connected=False),
    ],
)
def test_held(holding: Holding, fresh: bool) -> None:
    with pytest.raises(Held) as caught:
        claim(holding, OTHER, now=NOW, lease_seconds=LEASE, fresh=fresh)
    assert caught.value.message.startswith("process train is held by pid 8812 since 2025-06-15T15:06:40Z")
    assert "takeover=True" in str(caught.value)
    assert caught.value.details["pid"] == 8812
    assert caught.value.details["lapsed"] is (holding.heard_at == SILENT)
    assert ("silent for 61 s" in caught.value.message) is (holding.heard_at == SILENT)


def test_a_reused_pid_is_another_worker() -> None:
    with pytest.raises(Held):
        claim(RUNNING, replace(HOLDER, start=501), now=NOW, lease_seconds=LEASE)


@pytest.mark.parametrize(
    ("holding", "session", "refused"),
    [
        (None, b"x", False),
        *((_state(state), b"x", False) for state in State),
        (RUNNING, HOLDER.session, False),
        (RUNNING, b"x", True),
        (_running(heard_at=SILENT), b"x", True),
        (_running(alive=False), b"x", False),
        (_running(alive=None, connected=False, heard_at=SILENT), b"x", False),
        (_running(alive=None, connected=False), b"x", True),
        (replace(RUNNING, state=State.PAUSED), b"x", False),
    ],
)
def test_a_checkpoint_by_an_outsider(holding: Holding | None, session: bytes, refused: bool) -> None:
    if refused:
        with pytest.raises(Held):
            outsider(holding, session, now=NOW, lease_seconds=LEASE)
    else:
        outsider(holding, session, now=NOW, lease_seconds=LEASE)


@pytest.mark.parametrize(
    ("silent_micros", "over"),
    [(-5 * SECOND, False), (0, False), (60 * SECOND, False), (60 * SECOND + 1, True)],
)
def test_lapsed(silent_micros: int, over: bool) -> None:
    assert lapsed(NOW - silent_micros, NOW, LEASE) is over


@pytest.mark.parametrize(
    ("alive", "has_pidfd", "passed_seconds", "verdict"),
    [
        (False, True, 0, "interrupt"),
        (False, False, 0, "interrupt"),
        (True, True, 0, "keep"),
        (True, True, 100_000, "keep"),
        (True, False, 29.9, "keep"),
        (True, False, 30, "interrupt"),
        (None, False, 0, "keep"),
        (None, False, 29.9, "keep"),
        (None, False, 30, "interrupt"),
        (None, True, 30, "interrupt"),
        (None, False, -3600, "keep"),  # a clock that was set back
    ],
)
def test_after_disconnect(alive: bool | None, has_pidfd: bool, passed_seconds: float, verdict: str) -> None:
    now = NOW + round(passed_seconds * SECOND)
    assert after_disconnect(alive, has_pidfd, NOW, now, GRACE) == verdict
