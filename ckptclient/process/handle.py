"""The handle: `with manager.process(...) as process:`; owns what items, states and leaving the block mean together.

Not for: sending (`outbox`), turns (`loop`), or keeping many processes (`manager`).
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from ckptclient import calls, clock
from ckptclient.config import CheckpointType
from ckptclient.errors import BadRequest, CkptdError, Conflict, Stopped
from ckptclient.payload import encode
from ckptclient.results import Registered, SavedInfo, SetAside, Skipped

from . import sequence
from .daemon import Daemon
from .hold import Hold, Terms, Told
from .journal import DONE, FAILED, Result, results
from .loop import Loop, packed_error, packed_result
from .restoring import Content, StateOf, fill
from .saving import Saved, check_level, stored
from .sequence import Mark

T = TypeVar("T")


class Process(Hold):
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
        super().__init__(daemon, registered, terms, told, monotonic)
        self.has_members = False
        self._again = again
        self._mode = registered.mode
        self._journal = registered.journal
        self._loop: Loop[Any] | None = None
        self._turns: Generator[Any, None, None] | None = None
        self._skipped_count = 0
        self._items_count: int | None = None
        self._took_state = False

    @property
    def epoch(self) -> int:
        """The fencing token of this hold: higher than any before it in this life of the process."""
        return self._registered.epoch

    @property
    def resumed(self) -> bool:
        """Whether there was an unfinished process to go on with."""
        return self._registered.resumed

    @property
    def mode(self) -> str:
        """How it resumes: "items" (what is recorded is done), "stateful", or "unknown" yet. Fixed once it is known."""
        return self._mode

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Checkpoints that recovery walked back over, and why."""
        return self._registered.skipped

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Items that killed their worker too often, with the evidence: they are recorded as failed."""
        return self._registered.set_aside

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
        self._turns = loop.turns(sequence.by_place(items, done) if places else sequence.by_key(items, key, done))
        return self._turns

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

    # Before the first item

    def _check_mode(self, given: StateOf | None) -> None:
        stateful = self._is_stateful(given)
        if stateful and self._mode == "items":
            raise self._mixture()
        if self._mode == "stateful" and given is None and not self._took_state:
            raise Conflict(
                f"process {self.process_id} goes on by its state, which was not put back",
                hint="pass state= to track, or call restore() before it; fresh=True begins anew",
            )

    def _is_stateful(self, given: StateOf | None) -> bool:
        return given is not None or self._get_state is not None or self._took_state

    def _mixture(self) -> Conflict:
        return Conflict(
            f"process {self.process_id} goes on by its recorded items, and a state would not agree with them",
            hint="leave the state away, or begin anew with fresh=True",
        )

    def _name_sequence(self, items: Iterable[object] | None, given: StateOf | None) -> None:
        known = Mark.unpack(self._registered.sequence)
        named = sequence.sequenced(items, known) if items is not None else sequence.keyed()
        if named.against(known) == "changed":
            self._sequence_changed()
        prefix, stateful = named.prefix, self._is_stateful(given)
        self._outbox.call(
            calls.sequence(
                self.token,
                named.mark.digest,
                named.mark.length,
                prefix_digest=prefix.digest if prefix else None,
                prefix_length=prefix.length if prefix else 0,
                stateful=stateful,
            )
        )
        self._mode = "stateful" if stateful else "items"

    def _sequence_changed(self) -> None:
        words = f"the items of process {self.process_id} are not those that it began with"
        if self._terms.on_change == "refuse":
            raise Conflict(
                words, hint='give key=, so that items are known by it, or register with on_change="warn" or "restart"'
            )
        self._manager.warned(words)
        if self._terms.on_change == "restart":
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._outbox.close()
        self._registered = self._again()
        self._journal, self._mode = self._registered.journal, self._registered.mode
        self._live.take(self._registered.progress)
        self._outbox = self._new_outbox()

    def _put_back(self, given: StateOf) -> None:
        content = self._restored(allow_pickle=False)
        if content is not None:
            given.set(content.state())

    def _recorded(self, items: Iterable[object], places: bool, retry_failed: bool) -> sequence.Recorded:
        length = len(items) if isinstance(items, Sized) else None
        done = sequence.NOTHING
        if self.resumed:
            done = sequence.recorded(
                self._daemon.call, self.token, (length or 0) if places else 0, retry_failed=retry_failed
            )
        if retry_failed and self.state.completed_steps == self._journal.done + self._journal.failed:
            self._live.say(completed=self._journal.done)  # the steps are items, and the failed ones come again
        known = Mark.unpack(self._registered.sequence)
        if length is not None and self.state.total_steps in (0, known and known.length):  # where items were appended
            self._live.say(total=length)
        self._items_count, self._skipped_count = length, done.count
        return done

    # State

    def on_checkpoint(self, get_state: Callable[[], object]) -> Callable[[], object]:
        """Have checkpoints hold what this returns; it is called on the loop's own thread. Also a decorator."""
        if self._mode == "items":
            raise self._mixture()
        self._get_state = get_state
        return get_state

    def restore(
        self,
        default: Any = None,
        parts: Sequence[str] | None = None,
        into: Any = None,
        upgrade: Callable[[Any, int], Any] | None = None,
        lazy: bool = False,
        allow_pickle: bool = False,
    ) -> Any:
        """The newest state, or `default` where there is none. A loop that begins with it is a stateful one.

        What was recorded after that state is set aside by this, and done again. `parts` gives only those, by name;
        `lazy` all of them as a mapping that reads on access; `into` fills arrays and containers that are there;
        `upgrade(state, version)` gets a state of another schema version. Raises DAMAGED where no state is whole.
        """
        self._open()
        if self._loop is not None:
            raise Conflict("a state can't be put back inside a loop", hint="call restore before track")
        self._took_state = True
        content = self._restored(allow_pickle)
        if content is None:
            return default
        if parts is not None:
            return {name: content[name] for name in parts}
        if lazy:
            return content
        state = content.state()
        if upgrade is not None and content.schema_version != self._terms.schema_version:
            state = upgrade(state, content.schema_version)
        if into is None:
            return state
        fill(into, state)
        return into

    def _restored(self, allow_pickle: bool) -> Content | None:
        if not self.resumed:
            return None
        answer = self._outbox.call(calls.restore(self.token))
        for one in answer.skipped:
            self._manager.warned(f"checkpoint {one.checkpoint_id} was passed over: {one.why}")
        self._live.take(answer.progress)
        self._journal = answer.journal
        if not answer.found or answer.checkpoint is None:
            return None
        return Content(self._daemon, answer.checkpoint, answer.parts, allow_pickle=allow_pickle)

    def save(
        self,
        state: object,
        *,
        type: CheckpointType | str = CheckpointType.PROCESSING_STATE,  # noqa: A002  # the original's word
        description: str = "",
        tags: Sequence[str] = (),
        ttl_hours: float | None = None,
        dependencies: Sequence[str] = (),
        metadata: Mapping[str, object] | None = None,
        durability: Literal["memory", "disk"] = "disk",
        serializer: str = "msgpack",
        wait: bool = False,
    ) -> Saved:
        """Save the application's state: returns after the copy, without waiting for the disk unless `wait`.

        Inside a loop's body the item in hand must have been recorded. Raises `Encoding` with the path of what can't be
        saved, `Conflict` for an unrecorded item in hand or a process that goes on by its items, and what an earlier
        save failed with. The third save waits for the first: saves don't outrun the disk.
        """
        self._open()
        check_level(durability)
        self._raise_failure()
        if self._mode == "items":
            raise self._mixture()
        if self._loop is not None and not self._loop.recorded:
            raise Conflict(
                "the item in hand is not recorded, so the state may hold half of it",
                hint="call record before save, or save outside the body",
            )
        self._took_state = True
        self._wait_for_room()
        began = self._monotonic()
        ready = stored(encode(state, serializer=serializer))
        cost_seconds = self._monotonic() - began
        if self._loop is not None:
            self._loop.commit()
        job = self.put(
            type=CheckpointType(type).value,
            parts=ready,
            has_state=True,
            description=description,
            tags=tags,
            ttl_hours=ttl_hours,
            depends=dependencies,
            metadata=metadata,
            cost_seconds=cost_seconds,
        )
        self._mode = "stateful"
        saved = Saved(job, self._outbox.drive)
        if wait:
            saved.wait(durability)
        return saved

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
            with suppress(ValueError):  # another thread is in it
                self._turns.close()

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
            parts = stored(encode(self._get_state()))
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
