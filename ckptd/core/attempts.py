"""What may have killed its worker; owns the terms *attempt* and *careful*.

Theory. An item is under suspicion only when it was in hand alone, announced, at the death: before that a whole batch
could be the culprit, so after a death the items are announced one by one (`careful`). Its count goes up only over
deaths in a row: work that got further in between shows that the item is not what stands in the way. What was done
before and is only done again, after a rewind, does not count as getting further; else a stateful loop, which redoes
the items before the poisoned one each time, would never be rid of it. A signal that others send (SIGKILL, SIGTERM)
says nothing about the item, where the kernel tells the signal; where it doesn't, the death counts.
Not for: noticing deaths, or failing the item that is set aside (the holder's next registration does).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ckptd.core.change import Suspicion

SIGKILL, SIGTERM = 9, 15
SENT_BY_OTHERS = frozenset({SIGKILL, SIGTERM})
"""An operator's or the kernel's decision: no evidence against what was in hand."""

_NAMES: Mapping[int, str] = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
    9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}  # fmt: skip


class Counted(Protocol):
    """Something with attempts: a suspect, a checkpoint."""

    @property
    def attempts(self) -> int:
        """Deaths that counted against it, in a row."""


C = TypeVar("C", bound=Counted)


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker or a member ended: by which signal and with which exit status, each None where nobody told."""

    pid: int
    signal: int | None = None
    status: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it may be held against what was in hand."""
        return self.signal not in SENT_BY_OTHERS

    @property
    def reason(self) -> str:
        """In words, for evidence and events."""
        if self.signal is not None:
            return f"by {_NAMES.get(self.signal, f'signal {self.signal}')}"
        return "for an unknown reason" if self.status is None else f"with exit status {self.status}"


@dataclass(frozen=True, slots=True)
class Announced:
    """The item in hand, named before it began and not recorded since; `ordinal` None where it has a key."""

    item: bytes
    ordinal: int | None


def suspicion(announced: Announced | None, death: Death, recorded_since: bool, attempts: int) -> Suspicion | None:
    """What a death says against the item in hand; None where it says nothing.

    `recorded_since`: since the last death that counted, an item was recorded that had not been recorded before it.
    `attempts` is what is counted against this item so far; it goes into the evidence.
    """
    if announced is None or not death.counts:
        return None
    number = 1 if recorded_since else attempts + 1
    evidence = f"worker {death.pid} died {death.reason} with this item in hand (death {number} in a row)"
    return Suspicion(announced.item, announced.ordinal, evidence, restarts=recorded_since)


def checkpoint_attempt(death: Death, confirmed: bool) -> bool:
    """Whether a death counts against the checkpoint that the worker came back from.

    `confirmed`: the worker showed that the restore went well, by a first turn, a first progress or a first save.
    """
    return death.counts and not confirmed


def set_aside(suspects: Iterable[C], attempts_max: int) -> tuple[C, ...]:
    """Those that had their attempts: items that are failed, checkpoints that `recover` walks past."""
    return tuple(suspect for suspect in suspects if suspect.attempts >= attempts_max)


def careful(deaths: int, suspects: int) -> bool:
    """Whether items are to be announced one by one: after a death without a record since, and while any is suspected.

    `deaths` are those in a row with nothing recorded in between, `suspects` how many items are under suspicion.
    """
    return deaths > 0 or suspects > 0
