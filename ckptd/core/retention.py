"""Which checkpoints must survive; owns the terms *retention*, *protected* and *abandoned*.

Theory. A checkpoint lives until its time is over, and longer while something needs it: a pin, a living checkpoint
that depends on it, or its process, which keeps the two that a recovery would ask for as long as it is unfinished
and somebody may still come back for it. Those are the newest restorable one and the newest restorable one with
application state (automatic ones may hold progress alone).
The catalog decides the same in SQL, in slices; what is here is what its suite compares that with, and what explains
a verdict to people. Not for: deleting.
"""

from collections.abc import Iterable, Mapping, Sequence

from ckptd.core.ids import CheckpointKey, Epoch, ProcessKey
from ckptd.core.process_table import State
from ckptd.core.values import value

_MICROS = 1_000_000

Needs = Mapping[CheckpointKey, Sequence[CheckpointKey]]
"""Checkpoint to those that it depends on; over processes too."""


@value
class Standing:
    """What counts for one live checkpoint. `protecting` is its process's answer to `protects`.

    `restorable`: undamaged as far as known, and in no rewind's shadow. Keys rise in commit order.
    """

    key: CheckpointKey
    process: ProcessKey
    protecting: bool
    restorable: bool = True
    has_state: bool = True
    pinned: bool = False
    expires_at: int | None = None


@value
class Lifetimes:
    """The settings, in seconds; 0 keeps for ever. `completed` is for the last checkpoint of a completed process."""

    default_seconds: float
    completed_seconds: float


def expires_at(created_at: int, asked_seconds: float | None, lifetimes: Lifetimes, completed: bool) -> int | None:
    """When a checkpoint's time is over; None is never. What a save asks for goes before the settings."""
    seconds = asked_seconds
    if seconds is None:
        seconds = lifetimes.completed_seconds if completed else lifetimes.default_seconds
        if seconds == 0:
            return None
    return created_at + round(seconds * _MICROS)


def abandoned(held: bool, left_at: int, now: int, abandon_after_seconds: float) -> bool:
    """Whether an unfinished process is given up: without a holder since `left_at`, for too long; 0 is never."""
    return not held and abandon_after_seconds > 0 and now - left_at >= abandon_after_seconds * _MICROS


def protects(state: State, epoch: Epoch, is_abandoned: bool) -> bool:
    """Whether a process keeps its newest checkpoints: unfinished, ever held (else nobody recovers it), not given up."""
    return state.unfinished and epoch > 0 and not is_abandoned


def protected(checkpoints: Iterable[Standing]) -> frozenset[CheckpointKey]:
    """Those that no clock ends: pinned ones, and what the recovery of a protecting process would ask for."""
    keys: set[CheckpointKey] = set()
    newest: dict[tuple[ProcessKey, bool], CheckpointKey] = {}
    for one in checkpoints:
        if one.pinned:
            keys.add(one.key)
        if one.protecting and one.restorable:
            for slot in {(one.process, False), (one.process, one.has_state)}:
                newest[slot] = max(one.key, newest.get(slot, one.key))
    return frozenset(keys.union(newest.values()))


def expired(checkpoints: Sequence[Standing], needs: Needs, now: int) -> tuple[CheckpointKey, ...]:
    """Those whose time is over and which nothing keeps, in the order given.

    What expired stays so at any later time, as long as nothing is pinned, saved or taken up.
    """
    lasting = (one.key for one in checkpoints if one.expires_at is None or one.expires_at > now)
    kept = with_needs(protected(checkpoints).union(lasting), needs)
    return tuple(one.key for one in checkpoints if one.key not in kept)


def with_needs(keys: Iterable[CheckpointKey], needs: Needs) -> frozenset[CheckpointKey]:
    """These checkpoints and all that they depend on, through any number of others; a circle is walked once."""
    reached: set[CheckpointKey] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in reached:
            reached.add(key)
            waiting.extend(needs.get(key, ()))
    return frozenset(reached)
