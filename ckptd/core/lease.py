"""Who may take a process, and when a silent holder has lost it; owns the terms *claim* and *grace*.

Theory. A holder is an OS process, and what counts is whether it lives. A dead one bars nobody. A living one bars
everybody else until `takeover` is asked for, however long it has been silent: a lapsed lease is told to the claimant
and starts nothing by itself, since a worker in a long step is silent too. Where nobody can tell whether it lives, its
connection and its lease stand for that. None of this is what makes two writers impossible: that is the epoch, which
every grant raises and which the catalog compares in the transaction of each write. A wrong verdict here costs work,
never correctness. Not for: reattaching under the same epoch, which needs a token and no verdict.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from ckptclient.errors import Held
from ckptd.core.ids import Holder
from ckptd.core.process_table import Act, State

_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Holding:
    """What is known of a process that somebody claims. `alive` None: nobody can tell.

    `since` is when the holder took it, `heard_at` its last word, both in microseconds.
    """

    process_id: str
    state: State
    holder: Holder | None = None
    alive: bool | None = None
    connected: bool = False
    since: int = 0
    heard_at: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """The claim stands, and the epoch is to be raised.

    `new_incarnation`: a row of its own that sees nothing of the old life; `resumed`: the old life goes on.
    `displaced` is a holder that is fenced by this, alive or not known to be dead; it is to be told.
    `died`: the last holder is dead and nothing has said so yet, so that its death is still to be counted.
    """

    act: Act
    new_incarnation: bool
    resumed: bool
    displaced: Holder | None = None
    died: bool = False


def claim(
    holding: Holding | None,
    claimant: Holder,
    *,
    now: int,
    lease_seconds: float,
    takeover: bool = False,
    fresh: bool = False,
) -> Grant:
    """Judge a registration or a recovery; `holding` None: there is no such process. Held where a holder bars it.

    `fresh` asks for a new incarnation of an unfinished process; a completed one gets it without being asked.
    """
    if holding is None:
        return Grant(Act.TAKE, new_incarnation=True, resumed=False)
    renewed = fresh or holding.state is State.COMPLETED
    holder = holding.holder if holding.state is State.RUNNING else None
    if holder is None:
        return _granted(renewed)
    if holder.same_worker(claimant):
        # A notebook's cell run again: the OS process has forgotten its handle, and can't be asked to wait for itself.
        return _granted(renewed, displaced=holder)
    if holding.alive is False:
        return _granted(renewed, died=True)
    if takeover or not _barred(holding, now, lease_seconds):
        return _granted(renewed, displaced=holder)
    raise _held(holding, holder, now, lease_seconds)


def outsider(holding: Holding | None, session: bytes, *, now: int, lease_seconds: float) -> None:
    """Judge a checkpoint without a token: Held while a living holder that is not this session has the process."""
    if holding is None or holding.state is not State.RUNNING or holding.holder is None:
        return
    if holding.holder.session != session and _barred(holding, now, lease_seconds):
        raise _held(holding, holding.holder, now, lease_seconds)


def lapsed(heard_at: int, now: int, lease_seconds: float) -> bool:
    """Whether a holder has been silent for longer than its lease; shown, and told to whoever is refused."""
    return now - heard_at > lease_seconds * _MICROS


def after_disconnect(
    alive: bool | None, has_pidfd: bool, since: int, now: int, grace_seconds: float
) -> Literal["keep", "interrupt"]:
    """What becomes of a running process without a connection since `since`, asked again until it has one.

    A restart of the daemon is the same question, `since` its start. A worker that a pidfd shows alive keeps its
    process past the grace, with a lapsed lease; one that only `/proc` or nothing speaks for has the grace.
    """
    if alive is False:
        return "interrupt"
    if alive and has_pidfd:
        return "keep"
    return "keep" if now - since < grace_seconds * _MICROS else "interrupt"


def _granted(renewed: bool, *, displaced: Holder | None = None, died: bool = False) -> Grant:
    return Grant(Act.TAKE, new_incarnation=renewed, resumed=not renewed, displaced=displaced, died=died)


def _barred(holding: Holding, now: int, lease_seconds: float) -> bool:
    """Whether the holder lives; where that can't be known, a connection or an unlapsed lease speaks for it."""
    if holding.alive is not None:
        return holding.alive
    return holding.connected or not lapsed(holding.heard_at, now, lease_seconds)


def _held(holding: Holding, holder: Holder, now: int, lease_seconds: float) -> Held:
    silent_seconds = (now - holding.heard_at) // _MICROS
    is_lapsed = lapsed(holding.heard_at, now, lease_seconds)
    silence = f", silent for {silent_seconds} s" if is_lapsed else ""
    return Held(
        f"process {holding.process_id} is held by pid {holder.pid} since {_stamp(holding.since)}{silence}",
        hint="end that worker, or register with takeover=True to fence it",
        details={
            "what": "process",
            "process_id": holding.process_id,
            "pid": holder.pid,
            "since": holding.since,
            "alive": holding.alive,
            "lapsed": is_lapsed,
        },
    )


def _stamp(micros: int) -> str:
    """RFC 3339 in UTC, to the second."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
