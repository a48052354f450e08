"""Going over a process's items: the turns of `track`; owns the terms *turn* and *item in hand*.

An item is done when the body comes back for the next one, or the loop ends; `record` and `fail_item` only say how.
Item and result go to the outbox together, at that moment and as one entry, so that no death can part them. A turn is
an append, a comparison and a count. Whatever else must happen on the loop's own thread (an automatic save, a stop, a
failure) waits for a turn, where no item is half done. Not for: which items (`sequence`), sending (`outbox`).
"""

from collections.abc import Generator, Iterable
from typing import Generic, Protocol, TypeVar

from ckptclient import calls
from ckptclient.config import ProcessingState
from ckptclient.errors import BadRequest, Conflict
from ckptclient.payload import encode_value
from ckptclient.wire import limits

from .daemon import Daemon
from .journal import DONE, FAILED
from .live import Live
from .outbox import Outbox
from .stopping import Watch

T = TypeVar("T")

CAREFUL_TURNS = 1000
"""After a death items are announced one by one for so many turns, so that the one which kills its worker is known."""

OPEN = -1
"""The item in hand has been neither recorded nor failed."""
EMPTY_HANDED = -2


class Around(Protocol):
    """What a loop asks of the handle around it."""

    alert: bool
    """Something waits for a turn."""
    has_members: bool
    """Members record; the feeder's own next turn means nothing."""

    def attend(self) -> None:
        """Deal with what waits; may raise, and may save."""


class Loop(Generic[T]):
    """One sequence being gone over."""

    def __init__(
        self,
        around: Around,
        daemon: Daemon,
        token: bytes,
        outbox: Outbox,
        live: Live,
        *,
        each: bool,
        careful: bool,
    ) -> None:
        """`each`: every turn waits until its record is durable. `careful`: every item is announced before."""
        self.exhausted = False
        self.dropped = False
        """An item was left unrecorded, by a break or an exception: the application's state may hold half of it."""
        self.kind = EMPTY_HANDED
        self.fed = 0
        """How many items were yielded."""
        self._around = around
        self._daemon = daemon
        self._token = token
        self._outbox = outbox
        self._live = live
        self._each = each
        self._careful_turns = CAREFUL_TURNS if careful else 0
        self._place = -1
        self._packed: object = None
        self._item: T | None = None
        self._before = 0
        self._result: bytes | None = None

    @property
    def recorded(self) -> bool:
        """Whether the item in hand may be counted as done: it was recorded, or there is none."""
        return self.kind != OPEN

    def turns(self, plan: Iterable[tuple[int, object, T]]) -> Generator[T, None, None]:
        """Yield what is to be done, and take in each as the body comes back."""
        around, outbox, state = self._around, self._outbox, self._live.state
        entries = outbox.entries
        with Watch(self._alarm):
            try:
                if around.alert:
                    around.attend()
                for self._place, self._packed, item in plan:
                    if self._careful_turns:
                        self._announce()
                    self._item, self._result, self.kind = item, None, OPEN
                    self._before = state.completed_steps
                    self.fed += 1
                    yield item
                    if self.kind == OPEN and not around.has_members:
                        self.kind = DONE
                    if self.kind >= DONE:
                        self._close(state)
                    self.kind = EMPTY_HANDED
                    if self._each or self._careful_turns:
                        outbox.flush()
                    elif len(entries) >= outbox.mark:
                        outbox.marked()
                    if around.alert:
                        around.attend()
                self.exhausted = True
            finally:
                self.leave()

    def _close(self, state: ProcessingState) -> None:
        """Queue the record of the item in hand, and count it as a step unless the body counts its own."""
        with self._live.lock:
            completed = state.completed_steps
            if completed == self._before:
                completed += 1
            # The record first, then its step: see Outbox._next.
            self._outbox.entries.append((self.kind, self._place, self._packed, self._result, completed))
            state.completed_steps = completed

    def record(self, item: object, result: object) -> None:
        """Attach a result to the item in hand."""
        self._say(item, DONE, packed_result(result))

    def fail(self, item: object, error: object) -> None:
        """Say that the item in hand failed, and why."""
        self._say(item, FAILED, packed_error(error))

    def commit(self) -> None:
        """Queue the item in hand now, because a state is saved that holds it."""
        if self.kind >= DONE:
            self._close(self._live.state)
            self.kind = EMPTY_HANDED

    def leave(self) -> None:
        """The loop is left: what was recorded is kept, what wasn't is not done."""
        if self.kind == OPEN and not self._around.has_members:
            self.dropped = True
        self.commit()
        self.kind = EMPTY_HANDED

    def is_in_hand(self, item: object) -> bool:
        """Whether this is the item in hand."""
        if self.kind == EMPTY_HANDED:
            return False
        if item is self._item:
            return True
        try:
            return bool(item == self._item)
        except (TypeError, ValueError):  # arrays don't compare to one truth
            return False

    def _say(self, item: object, kind: int, result: bytes | None) -> None:
        if not self.is_in_hand(item):
            raise BadRequest(
                "only the item in hand can be recorded here", hint="call record or fail_item with it, inside its turn"
            )
        if self.kind != OPEN:
            raise Conflict("the item in hand was recorded already", hint="record an item once")
        self._result, self.kind = result, kind
        if result is not None:
            self._outbox.weigh(result)

    def _announce(self) -> None:
        self._careful_turns -= 1
        packed = self._packed if isinstance(self._packed, bytes) else encode_value(self._packed, root="item")
        self._daemon.call(calls.announce(self._token, self._place, packed[: limits.item_bytes_max]))

    def _alarm(self) -> None:
        self._around.alert = True


def packed_result(result: object) -> bytes | None:
    """A result as it is recorded; raises `Encoding` for what can't be, and for more than 512 KiB."""
    if result is None:
        return None
    return encode_value(result, bytes_max=limits.result_bytes_max, root="result")


def packed_error(error: object) -> bytes:
    """An error as it is recorded: text, of an exception its class and message, cut to 16 KiB."""
    words = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
    return encode_value(cut(words), root="error")


def cut(words: str) -> str:
    """Text within the protocol's bound for errors."""
    return words.encode("utf-8", "replace")[: limits.error_bytes_max - 16].decode("utf-8", "ignore")
