"""The states of a process and what may follow what; owns the terms *state* and *mode*.

Theory. A process begins `registered` (a checkpoint was made for an id that nobody holds) or `running` (somebody
registered it and holds it). A holder lets go in four ways: `completed` (nothing is left), `paused` (it left on
purpose), `interrupted` (it died, was stopped or fenced) and `failed` (it gave up by an exception). Everything but
`completed` is *unfinished*: it can be taken up again under a higher epoch, and its newest restorable checkpoint is
protected. A completed id that is registered again is a new incarnation, a row of its own, so `completed` has no way out.
"""

from collections.abc import Mapping
from enum import IntEnum

from ckptclient.errors import Conflict


class State(IntEnum):
    """Stored in the catalog as its number; shown everywhere as its lower-case name."""

    REGISTERED = 0
    RUNNING = 1
    PAUSED = 2
    INTERRUPTED = 3
    COMPLETED = 4
    FAILED = 5

    @property
    def word(self) -> str:
        """The name that users see."""
        return self.name.lower()

    @property
    def unfinished(self) -> bool:
        """Whether the process may be taken up again, and its newest state is protected."""
        return self is not State.COMPLETED


STALLED = "stalled"
"""What a running process is called while its worker lives and does nothing; see `stalling`."""


class Mode(IntEnum):
    """How a process resumes; fixed for an incarnation once it is known."""

    UNKNOWN = 0
    ITEMS = 1
    STATEFUL = 2


class Act(IntEnum):
    """What can happen to a process."""

    SAVE = 0
    TAKE = 1
    COMPLETE = 2
    PAUSE = 3
    INTERRUPT = 4
    FAIL = 5


_S = State
TRANSITIONS: Mapping[tuple[State, Act], State] = {
    (_S.REGISTERED, Act.SAVE): _S.REGISTERED,
    (_S.REGISTERED, Act.TAKE): _S.RUNNING,
    (_S.RUNNING, Act.SAVE): _S.RUNNING,
    (_S.RUNNING, Act.TAKE): _S.RUNNING,
    (_S.RUNNING, Act.COMPLETE): _S.COMPLETED,
    (_S.RUNNING, Act.PAUSE): _S.PAUSED,
    (_S.RUNNING, Act.INTERRUPT): _S.INTERRUPTED,
    (_S.RUNNING, Act.FAIL): _S.FAILED,
    (_S.PAUSED, Act.TAKE): _S.RUNNING,
    (_S.PAUSED, Act.SAVE): _S.PAUSED,
    (_S.INTERRUPTED, Act.TAKE): _S.RUNNING,
    (_S.INTERRUPTED, Act.SAVE): _S.INTERRUPTED,
    (_S.FAILED, Act.TAKE): _S.RUNNING,
    (_S.FAILED, Act.SAVE): _S.FAILED,
    (_S.COMPLETED, Act.SAVE): _S.COMPLETED,
}
"""What follows; a pair that is missing is refused. SAVE outside RUNNING is a checkpoint by somebody who holds nothing."""

ENDS: Mapping[str, Act] = {
    "completed": Act.COMPLETE,
    "paused": Act.PAUSE,
    "interrupted": Act.INTERRUPT,
    "failed": Act.FAIL,
}
"""The words with which a holder lets go."""


def after(state: State, act: Act) -> State:
    """The state that follows, or `Conflict`."""
    following = TRANSITIONS.get((state, act))
    if following is None:
        raise Conflict(
            f"a {state.word} process can't {act.name.lower()}",
            hint="register it again: a completed process begins a new life, any other is resumed",
            details={"state": state.word},
        )
    return following
