"""The handle: `with manager.process(...) as process:`; owns what items, states and leaving the block mean together.

Not for: sending (`outbox`), turns (`loop`), or keeping many processes (`manager`).
"""

import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from ckptclient import calls, clock
from ckptclient.errors import BadRequest, CkptdError, Conflict, Stopped
from ckptclient.payload import encode
from ckptclient.results import Registered, SavedInfo

from . import sequence
from .daemon import Daemon
from .hold import Terms, Told
from .journal import DONE, FAILED, Result, results
from .loop import Loop, packed_error, packed_result
from .restoring import StateOf
from .resuming import Resumable

T = TypeVar("T")


class Process(Resumable):
    """One process that this program holds. Thread-safe, but for `track`, which belongs to the thread that iterates."""

    def __init__(
        self,
        daemon: Daemon,
        registered: Registered,
        terms: Terms,
        told: Told,
        again: Callable[[], Registered],
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        """`again` registers the process anew, in a new incarnation."""
        super().__init__(daemon, registered, terms, told, again, monotonic)
        self.has_members = False
        self._turns: weakref.ref[Generator[Any, None, None]] | None = None

    # Items

    def track(
        self,
        items: Iterable[T],
        key: Callable[[T], object] | None = None,
        state: object = None,
        flush: Literal["batch", "item"] = "batch",
        retry_failed: bool = False,
    ) -> Iterator[T]:
        """Go over the items that are not recorded yet, and record each when the body comes back for the next.

        `state` (a mutable mapping, an object with `state_dict` and `load_state_dict`, or a pair (get, set)) is put
        back before the first item, and saved at turns where a checkpoint is due. `flush="item"` makes each turn wait
        until its record is durable. Failed items come again only with `retry_failed`. Each item counts as a step, but
        for those in whose turn the body calls `advance` itself.

        Raises `Conflict` for a second sequence, a changed one (`on_change=`), or a mixture of the two ways to resume.
        """
        if flush not in ("batch", "item"):
            raise BadRequest(f"flush is {flush!r}", hint='accepted: "batch", "item"')
        self._open()
        if self._loop is not None:
            raise Conflict(
                f"process {self.process_id} goes over one sequence of items", hint="use a process for each sequence"
            )
        given = StateOf(state) if state is not None else None
        self._check_mode(given)
        places = key is None and sequence.has_places(items)
        self._name_sequence(items if places else None, given)
        if given is not None:
            self._get_state = given.get
            self._put_back(given)
        done = self._recorded(items, places, retry_failed)
        self._loop = loop = self._new_loop(flush == "item")
        self.alert = self.alert or self.should_stop
        turns = loop.turns(sequence.by_place(items, done) if places else sequence.by_key(items, key, done))
        self._turns = weakref.ref(turns)  # weakly, so that the loop's `break` still ends it
        return turns

    def _new_loop(self, each: bool) -> Loop[Any]:
        careful = self._registered.careful
        return Loop(self, self._daemon, self.token, self._outbox, self._live, each=each, careful=careful)

    def record(self, item: object, result: object = None) -> None:
        """Attach a result to the item in hand; where no loop is under way, record the item by its value.

        Raises `Encoding` for a result that can't be stored, `BadRequest` for another item, `Conflict` for a second time.
        """
        if self._loop is None or self.has_members:
            self._record_by_key(item, DONE, packed_result(result))
        else:
            self._loop.record(item, result)

    def fail_item(self, item: object, error: object = "") -> None:
        """Say that the item in hand failed: it is not done again unless `track(..., retry_failed=True)`."""
        if self._loop is None or self.has_members:
            self._record_by_key(item, FAILED, packed_error(error))
        else:
            self._loop.fail(item, error)

    def results(self) -> Iterator[Result]:
        """All results so far in journal order, read in pages, without what was set aside."""
        self._outbox.flush()
        return results(self._daemon, self.process_id)

    def member_token(self) -> str:
        """A token for another OS process, which works with `manager.member(token)` under this one's epoch.

        From then on an item is done only by `record` or `fail_item`, in whichever process; a feeder's next turn means
        nothing. Raises `Conflict` in a stateful process.
        """
        self._open()
        if self._mode == "stateful" or self._get_state is not None:
            raise Conflict(
                "members do independent items only, and this process has a state", hint="leave the state away"
            )
        token = self._outbox.call(calls.member(self.token))
        self.has_members, self._mode = True, "items"
        return f"{self.process_id}:{token.hex()}"

    def _record_by_key(self, item: object, kind: int, result: bytes | None) -> None:
        self._open()
        self._outbox.record(kind, sequence.packed_key(item), result)

    # Turns

    def attend(self) -> None:
        """At a turn of the loop: raise what went wrong, save where a checkpoint is due, stop where that was asked."""
        super().attend()
        if self.should_stop and not self._all_fed():
            self.alert = True
            raise Stopped(self._stop_reason or "SIGTERM")

    def _attend_between_steps(self) -> None:
        if self._loop is None or self._loop.exhausted:
            super().attend()
        else:
            self._raise_failure()  # the rest waits for the loop's turn: an item is in hand

    def _all_fed(self) -> bool:
        loop = self._loop
        return (
            loop is not None and self._items_count is not None and loop.fed + self._skipped_count >= self._items_count
        )

    # Leaving

    def complete(self) -> SavedInfo:
        """Say that nothing is left, whatever the total says; joins what is under way and raises what failed."""
        if self._loop is not None:
            self._loop.leave()
        return self._end("completed")

    def _leave_loop(self) -> None:
        """What the body's own `break` does, for a loop that something still refers to: a traceback, or a name."""
        if self._loop is not None and self._turns is not None:
            self._loop.leave()
            turns = self._turns()
            if turns is not None:
                with suppress(ValueError):  # another thread is in it
                    turns.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool:
        self._leave_loop()
        if self.ended_as is not None:
            return isinstance(error, Stopped)
        if error is None:
            self._end("completed" if self._nothing_left() else "paused")
            return False
        try:
            self._end_by(error)
        except CkptdError as failure:
            if isinstance(error, Stopped):
                raise failure from None
            error.add_note(f"and the process could not be saved: {failure}")
        return isinstance(error, Stopped)

    def _end_by(self, error: BaseException) -> None:
        if self._outbox.fenced is not None:
            self._over("fenced")
        elif isinstance(error, Exception):
            self._fail(error)
        else:  # Stopped, KeyboardInterrupt, SystemExit, a cancelled task: the work is fine, its program ends
            self._end("interrupted")

    def _fail(self, error: Exception) -> None:
        """The newest state where there is a whole one, and beside it the checkpoint that says what went wrong."""
        if self._loop is not None and self._get_state is not None and self._is_consistent():
            self.checkpoint("before the failure")
        import traceback  # not for workers that don't fail

        self.fail("".join(traceback.format_exception_only(error)).strip(), "".join(traceback.format_exception(error)))

    def _end(self, state: str) -> SavedInfo:
        if self._get_state is None or not self._is_consistent():
            return self.end(state)
        try:
            parts = self.ready(encode(self._get_state()))
        except BaseException:
            self.abandon("interrupted")
            raise
        return self.end(state, parts=parts, has_state=True)

    def _is_consistent(self) -> bool:
        return self._loop is None or not self._loop.dropped

    def _nothing_left(self) -> bool:
        loop, state = self._loop, self.state
        if loop is None:
            return state.total_steps > 0 and state.completed_steps >= state.total_steps
        if not loop.exhausted or not self.has_members:
            return loop.exhausted
        self._outbox.flush()
        journal = self._daemon.call(calls.show(self.process_id)).journal
        return journal.done + journal.failed >= loop.fed + self._skipped_count
