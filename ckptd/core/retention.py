"""Which checkpoints must survive; owns the terms *retention*, *rule*, *superseded*, *protected* and *abandoned*.

Theory. A checkpoint lives until its time is over, and longer while something needs it: a pin, a living checkpoint
that depends on it, or its process, which keeps the two that a recovery would ask for as long as it is unfinished
and somebody may still come back for it. Those are the newest restorable one and the newest restorable one with
application state (automatic ones may hold progress alone).

A process may have *rules* besides: the last so many, each so many-th, the best by a metric. What none of them keeps is
*superseded*, and goes whatever its time says; what one of them keeps outlives its time while the rules *hold*: until
the process is given up, or has been completed for as long as a completed process's last checkpoint is kept. Then each
has its own time again. So what has gone at one moment would have gone at any later one.

The catalog decides the same in SQL, in slices; what is here is what its suite compares that with, and what explains
a verdict to people. Not for: deleting.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan

from ckptd.core.ids import CheckpointKey, Epoch, ProcessKey
from ckptd.core.process_table import State
from ckptd.core.values import value

_MICROS = 1_000_000

Needs = Mapping[CheckpointKey, Sequence[CheckpointKey]]
"""Checkpoint to those that it depends on; over processes too."""


@value
class Best:
    """Keep so many of the best by a metric of their metadata; of equal ones the newer."""

    metric: str
    highest: bool = False
    count: int = 1


@value
class Rules:
    """What a policy keeps; 0 and None: there is no such rule. Each so many-th is by its number in the process."""

    last: int = 0
    every: int = 0
    best: Best | None = None

    @property
    def any(self) -> bool:
        """Whether there is a rule at all; without one nothing is superseded."""
        return bool(self.last or self.every or self.best)


NO_RULES = Rules()


@value
class Policy:
    """The rules of one process, and whether they hold: see the module."""

    rules: Rules
    holds: bool


@value
class Standing:
    """What counts for one live checkpoint. `protecting` is its process's answer to `protects`.

    `restorable`: undamaged as far as known, and in no rewind's shadow. Keys rise in commit order, and within a process
    numbers do. `metric` is the figure that the process's rules go by; None where its metadata has none.
    """

    key: CheckpointKey
    process: ProcessKey
    protecting: bool
    restorable: bool = True
    has_state: bool = True
    pinned: bool = False
    expires_at: int | None = None
    seq: int = 0
    metric: float | None = None


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


@dataclass(slots=True)
class Survey:
    """What the rules of one process keep, found by seeing its checkpoints newest first, a slice at a time."""

    rules: Rules
    kept: dict[CheckpointKey, str] = field(default_factory=dict)
    """With the rule that keeps it, as people say it."""
    _seen: int = 0
    _seen_with_state: int = 0
    _best: list[tuple[float, int, CheckpointKey]] = field(default_factory=list)

    def see(self, one: Standing) -> None:
        """The next older one; what can't be restored is kept by no rule."""
        if not one.restorable:
            return
        self._seen += 1
        self._seen_with_state += one.has_state
        rules = self.rules
        if self._seen <= rules.last or (one.has_state and self._seen_with_state <= rules.last):
            self.kept[one.key] = f"one of the last {rules.last}"
        elif rules.every and one.seq % rules.every == 0:
            self.kept[one.key] = f"each {rules.every}th"
        if rules.best is not None and one.metric is not None and not isnan(one.metric):
            entry = (one.metric if rules.best.highest else -one.metric, one.seq, one.key)
            add = heapq.heappush if len(self._best) < rules.best.count else heapq.heappushpop
            add(self._best, entry)

    def end(self) -> Mapping[CheckpointKey, str]:
        """All were seen: each that is kept, with the rule."""
        best = self.rules.best
        for _, _, key in self._best:
            assert best is not None
            word = "highest" if best.highest else "lowest"
            self.kept.setdefault(
                key, f"the {word} {best.metric}" if best.count == 1 else f"among the {best.count} {word} {best.metric}"
            )
        return self.kept


def kept_by_rules(
    checkpoints: Iterable[Standing], policies: Mapping[ProcessKey, Policy]
) -> Mapping[CheckpointKey, str]:
    """Those that a rule of their process keeps, with the rule."""
    surveys = {process: Survey(policy.rules) for process, policy in policies.items() if policy.rules.any}
    for one in sorted(checkpoints, key=lambda one: one.key, reverse=True):
        if one.process in surveys:
            surveys[one.process].see(one)
    return {key: rule for survey in surveys.values() for key, rule in survey.end().items()}


def expired(
    checkpoints: Sequence[Standing], needs: Needs, now: int, policies: Mapping[ProcessKey, Policy] = {}
) -> tuple[CheckpointKey, ...]:
    """Those whose time is over, or which are superseded, and which nothing keeps, in the order given.

    What expired stays so at any later time, as long as nothing is pinned, saved or taken up.
    """
    ruled = kept_by_rules(checkpoints, policies)

    def lasts(one: Standing) -> bool:
        policy = policies.get(one.process)
        in_time = one.expires_at is None or one.expires_at > now
        if policy is None or not policy.rules.any:
            return in_time
        return one.key in ruled and (in_time or policy.holds)

    kept = with_needs(protected(checkpoints).union(one.key for one in checkpoints if lasts(one)), needs)
    return tuple(one.key for one in checkpoints if one.key not in kept)


def rules_hold(
    is_current: bool, is_abandoned: bool, completed_at: int | None, now: int, completed_seconds: float
) -> bool:
    """Whether rules keep what is over its time; `completed_at` None is a process that isn't completed, 0 s is for ever."""
    if not is_current or is_abandoned:
        return False
    return completed_at is None or not completed_seconds or now - completed_at < completed_seconds * _MICROS


TRASH_SHARE_FULL = 0.1
"""Of the room: with so much left the trash is kept for its whole time, with less for a part of it."""


def trash_seconds(setting_seconds: float, left_bytes: int, capacity_bytes: int) -> float:
    """How long what has ended stays in the trash: less when space is short, nothing when there is none left."""
    share = left_bytes / capacity_bytes if capacity_bytes else 1.0
    return setting_seconds * min(1.0, share / TRASH_SHARE_FULL)


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
