"""The state of a process's application, and the two ways to resume; owns the term *mode*.

What is recorded is done (mode "items"), or what is recorded after the state that was put back is done again, so that
state and results agree (mode "stateful"). A process goes one way for as long as it lives, and whatever would mix the
two is refused here, before anything is sent. Not for: going over the items (`handle`, `loop`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, Literal

from ckptclient import calls, clock
from ckptclient.config import CheckpointType
from ckptclient.errors import Conflict
from ckptclient.payload import encode
from ckptclient.results import Registered, SetAside, Skipped

from . import sequence
from .daemon import Daemon
from .hold import Hold, Terms, Told
from .restoring import Content, StateOf, fill
from .saving import Saved, check_level
from .sequence import Mark

if TYPE_CHECKING:
    from .loop import Loop


class Resumable(Hold):
    """A process that is held, with what it takes to go on with it."""

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
        self._again = again
        self._mode = registered.mode
        self._journal = registered.journal
        self._took_state = False
        self._loop: Loop[Any] | None = None
        self._items_count: int | None = None
        self._skipped_count = 0

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
        content = self._restored(allow_pickle, lend=parts is None and not lazy)
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

    def _restored(self, allow_pickle: bool, *, lend: bool) -> Content | None:
        if not self.resumed:
            return None
        answer = self._outbox.call(calls.restore(self.token, lend=lend))
        for one in answer.skipped:
            self._manager.warned(f"checkpoint {one.checkpoint_id} was passed over: {one.why}")
        self._live.take(answer.progress)
        self._journal = answer.journal
        if not answer.found or answer.checkpoint is None:
            return None
        return Content(self._daemon, answer.checkpoint, answer.parts, answer.descriptors, allow_pickle=allow_pickle)

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
        ready = self.ready(encode(state, serializer=serializer))
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
            driven=wait,
        )
        self._mode = "stateful"
        saved = Saved(job, self._outbox.drive)
        if wait:
            saved.wait(durability)
        return saved

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
        content = self._restored(allow_pickle=False, lend=True)
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
