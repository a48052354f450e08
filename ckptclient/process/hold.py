"""A process that this program holds: where it stands, its saves, what the daemon asks of it, and letting go.

`Hold` is what the original's functions need of a process, and the ground that the handle stands on. What must happen
on the application's own thread (a failure to raise, a state to save) waits behind one flag, `alert`, which a turn or a
step looks at. Not for: items and application state (`handle`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from ckptclient import calls, clock
from ckptclient.config import CheckpointType, ProcessingState
from ckptclient.errors import CkptdError, Conflict, TimedOut, Unreachable
from ckptclient.payload import Part, encode
from ckptclient.results import Registered, SavedInfo, Tick
from ckptclient.staging import Laid
from ckptclient.wire import params

from .daemon import Daemon
from .journal import DONE, FAILED, JournalItems
from .live import Live, packed_metadata
from .loop import cut
from .outbox import OnUnavailable, Outbox
from .saving import INLINE_BYTES_MAX, Job, StagedJob, Stored, stored
from .stopping import terminated

SAVES_UNDER_WAY_MAX = 2
"""One on its way and one behind it: saves that outrun the disk wait, or memory would fill with copies."""

OnChange = Literal["refuse", "warn", "restart"]

Ready: TypeAlias = Sequence[Stored] | Laid
"""Parts that no longer depend on the worker's memory."""


class Terms(NamedTuple):
    """How a process is held: what the application asked for beside its name."""

    task_id: str = ""
    on_change: OnChange = "refuse"
    on_unavailable: OnUnavailable = "block"
    schema_version: int = 0
    ttl_hours: float | None = None
    """For its checkpoints that say nothing of their own; None: the node's."""


def _nothing(*_: object) -> None:
    """Nobody listens."""


class Told(NamedTuple):
    """Who hears what happens to a process: the manager, or nobody. None of them may block."""

    saved: Callable[["Hold", Job, SavedInfo], None] = _nothing
    ended: Callable[["Hold", str], None] = _nothing
    warned: Callable[[str], None] = _nothing


class Hold:
    """The right to write for one process, for as long as it lasts."""

    def __init__(
        self,
        daemon: Daemon,
        registered: Registered,
        terms: Terms,
        told: Told,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self.process_id = registered.process_id
        self.alert = False
        self.automatic = True
        """Whether a checkpoint is made when the daemon says that one is due."""
        self.ended_as: str | None = None
        self._daemon, self._terms, self._manager = daemon, terms, told
        self._monotonic = monotonic
        self._registered = registered
        self._get_state: Callable[[], object] | None = None
        self._stop_reason: str | None = None
        self._due = False
        self._ending = False
        self._saves: list[Job] = []
        self._staging = daemon.staging
        started_at = registered.registered_at
        self._live = Live(registered.process_id, terms.task_id, registered.progress, started_at, monotonic)
        self._live.state.processed_items = JournalItems(daemon, self.process_id, DONE)
        self._live.state.failed_items = JournalItems(daemon, self.process_id, FAILED)
        self._outbox = self._new_outbox()
        self._outbox.start()
        for words in registered.warnings:
            told.warned(words)

    def _new_outbox(self) -> Outbox:
        return Outbox(
            self._daemon,
            self._registered.token,
            self._live,
            on_unavailable=self._terms.on_unavailable,
            lease_seconds=self._registered.lease_seconds,
            told=self.hear,
            saved=lambda job, info: self._manager.saved(self, job, info),
            alerted=self._alarm,
            monotonic=self._monotonic,
        )

    # Where it stands

    @property
    def state(self) -> ProcessingState:
        """The live state."""
        return self._live.state

    @property
    def token(self) -> bytes:
        """What every write is signed with."""
        return self._registered.token

    @property
    def should_stop(self) -> bool:
        """Whether to end after the item in hand: SIGTERM came, the node is drained, or somebody asked."""
        return terminated.asked or self._stop_reason is not None

    def advance(self, n: int = 1, step: str | None = None, **metadata: object) -> None:
        """Count `n` steps, name the step in hand, merge metadata. Cheap at every step of a tight loop: it coalesces.

        Raises what went wrong meanwhile: a failed save, `Fenced`, UNREACHABLE as `on_unavailable=` says.
        """
        live = self._live
        if step is not None or metadata:
            live.say(step=step, metadata=metadata)
            self._outbox.changed()
        with live.lock:
            live.state.completed_steps += n
        if not live.dirty:
            live.dirty = True
            self._outbox.changed()
        if self.alert:
            self._attend_between_steps()

    def update(
        self,
        *,
        total: int | None = None,
        completed: int | None = None,
        step: str | None = None,
        batch: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Set where the process stands, in absolute figures; metadata is merged. Coalesced as `advance` is."""
        self._open()
        self._live.say(total=total, completed=completed, step=step, batch=batch, metadata=metadata)
        self._outbox.changed()
        if self.alert:
            self._attend_between_steps()

    def report(self) -> Tick:
        """Report progress now, and hear whether a checkpoint is due and whether to stop."""
        self._open()
        return self._outbox.tell()

    def flush(self) -> None:
        """Return once everything recorded so far is durable."""
        self._outbox.flush()

    # Saves

    def put(
        self,
        *,
        type: str = CheckpointType.PROCESSING_STATE.value,  # noqa: A002  # the original's word
        task_id: str | None = None,
        parts: Ready = (),
        has_state: bool = False,
        description: str = "",
        tags: Sequence[str] = (),
        ttl_hours: float | None = None,
        depends: Sequence[str] = (),
        metadata: Mapping[str, object] | None = None,
        cost_seconds: float = 0.0,
        ends: str | None = None,
        error: str = "",
        driven: bool = False,
    ) -> Job:
        """Queue a checkpoint of parts that are ready, behind everything recorded so far; `driven` as in `Outbox.put`.

        The last one of a completed process is kept as long as the node says (168 h), whatever the process asked for.
        """
        hours = self._terms.ttl_hours if ttl_hours is None and ends != "completed" else ttl_hours
        request = params.Save(
            request=calls.UNNUMBERED,
            token=self._registered.token,
            task_id=task_id,
            type=type,
            has_state=has_state,
            description=description,
            tags=tuple(tags),
            ttl_seconds=None if hours is None else hours * 3600.0,
            depends=tuple(depends),
            metadata=None if metadata is None else packed_metadata(metadata),
            progress=self._live.report(),
            ends=ends,
            error=cut(error) if error else error,
            cost_seconds=cost_seconds,
        )
        job = StagedJob(request, parts, self._staging) if isinstance(parts, Laid) else Job(request, parts)
        self._saves.append(job)
        self._outbox.put(job, driven=driven)
        return job

    def ready(self, parts: Sequence[Part]) -> Ready:
        """Copy parts out of the worker's memory: into shared memory what is too large for a frame."""
        if sum(memoryview(part.data).nbytes for part in parts) > INLINE_BYTES_MAX:
            laid = self._staging.lay(parts)
            if laid is not None:
                return laid
        return stored(parts)

    def join(self, job: Job) -> SavedInfo:
        """Wait for a save; raises what it failed with."""
        self._outbox.drive(job, None)
        return job.answer()

    def checkpoint(self, description: str = "") -> Job:
        """Queue a checkpoint of what the process has: the provider's state, or progress and position alone."""
        if self._get_state is None:
            return self.put(description=description)
        self._wait_for_room()
        began = self._monotonic()
        parts = self.ready(encode(self._get_state()))
        return self.put(parts=parts, has_state=True, description=description, cost_seconds=self._monotonic() - began)

    def _wait_for_room(self) -> None:
        while len(under_way := [job for job in self._saves if not job.done]) >= SAVES_UNDER_WAY_MAX:
            self._outbox.drive(under_way[0], None)

    # What the daemon asks, and what went wrong

    def hear(self, tick: Tick) -> None:
        """Take in what the daemon asks for; on whatever thread got the answer, so nothing here may wait."""
        self._staging.tidy()
        if tick.stop:
            self._stop_reason = tick.stop_reason or "asked to stop"
            self._alarm()
        if tick.due and self.automatic and not self._ending and not self._saving():
            if self._get_state is None:
                self.put(description="automatic")
            else:
                self._due = True
                self._alarm()

    def cut_off(self, error: CkptdError) -> None:
        """Another worker has the process: every later call raises this."""
        self._outbox.cut_off(error)

    def forked(self) -> None:
        """In a forked child: the process is the parent's."""
        self.ended_as = "the parent's"
        self._live.forked()
        self._outbox.forked()

    def attend(self) -> None:
        """Raise what went wrong, and save where a checkpoint is due. Between two items or steps, on their thread."""
        self.alert = self._outbox.fenced is not None  # which every later call is to say as well
        self._raise_failure()
        if self._due:
            self._due = False
            self.checkpoint("automatic")

    def _attend_between_steps(self) -> None:
        self.attend()

    def _alarm(self) -> None:
        self.alert = True

    def _saving(self) -> bool:
        return any(not job.done for job in self._saves)

    def _raise_failure(self) -> None:
        self._outbox.check()
        if not self._saves:
            return
        done = [job for job in self._saves if job.done]
        for job in done:
            self._saves.remove(job)  # one by one: the sender may be adding another
        for job in done:
            if job.error is not None and not job.raised:
                job.answer()

    def _open(self) -> None:
        if self._outbox.fenced is not None:
            raise self._outbox.fenced
        if self.ended_as is not None:
            raise Conflict(
                f"this handle of process {self.process_id} has ended ({self.ended_as})",
                hint="register the process again",
            )

    # Letting go

    def stand_at(self, state: ProcessingState) -> None:
        """Go on from where a checkpoint says that the process stood, and not from where it was last seen."""
        self._live.stand_at(state)

    def close(self) -> None:
        """Send what is waiting and stop sending; the daemon sees the process interrupted when the program ends."""
        if self.ended_as is None and self._outbox.fenced is None:
            self._outbox.flush()
        self._outbox.close()

    def end(
        self,
        state: str,
        *,
        parts: Ready = (),
        has_state: bool = False,
        description: str = "",
        error: str = "",
    ) -> SavedInfo:
        """Let go of the process with a last checkpoint, after everything that is under way; raises what failed of it."""
        self._open()
        self._ending = True
        job = self.put(parts=parts, has_state=has_state, description=description, ends=state, error=error)
        try:
            info = self.join(job)
        except (Unreachable, TimedOut):
            self._over(state)  # without a daemon there is nobody to tell
            raise
        except CkptdError:
            self._let_go(state, error)
            raise
        for earlier in self._saves:
            self._outbox.drive(earlier, None)
        self._over(state)
        self._raise_failure()
        return info

    def fail(self, error: str, trace: str = "") -> SavedInfo:
        """Let go as failed, with an error checkpoint; the newest state before it stays protected."""
        data = self.ready(encode({"error": error, "traceback": trace}))
        return self.end("failed", parts=data, description=f"error: {error}"[:200], error=error)

    def abandon(self, state: str, error: str = "") -> None:
        """Let go without a checkpoint, where none can be made; raises nothing that the daemon says."""
        self._let_go(state, error)

    def _let_go(self, state: str, error: str) -> None:
        try:
            self._outbox.call(calls.end(self._registered.token, state, error=cut(error)))
        except CkptdError as refusal:
            # The error of the save is the one to tell; without an end the daemon sees this process die.
            self._manager.warned(f"process {self.process_id} could not be ended as {state}: {refusal}")
        self._over(state)

    def _over(self, state: str) -> None:
        self.ended_as = state
        self._outbox.close()
        self._manager.ended(self, state)
