"""Where a process stands, in its worker; owns the term *live state*.

Steps are counted by plain arithmetic under a lock that is never held for long: a tight loop pays well under 2 us for
each, and what reaches the daemon is whatever stands here when the outbox reports next. Not for: sending (`outbox`).
"""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta

from ckptclient import clock
from ckptclient.config import ProcessingState, moment, now
from ckptclient.errors import BadRequest
from ckptclient.payload import decode_value, encode_value
from ckptclient.results import ProgressInfo
from ckptclient.wire import limits, params

HALF_LIFE_SECONDS = 120.0
"""After so long a speed that was seen counts half."""
SAMPLE_SECONDS_MIN = 0.1


class Speed:
    """Recent steps a second: a mean over time whose weights halve every `HALF_LIFE_SECONDS`."""

    def __init__(self, per_second: float | None, completed: int, at: float) -> None:
        self.per_second = per_second
        self._completed = completed
        self._at = at

    def update(self, completed: int, at: float) -> None:
        """Take in where the process stands; a step back begins anew."""
        passed = at - self._at
        if passed < SAMPLE_SECONDS_MIN and completed >= self._completed:
            return
        if completed >= self._completed:
            rate = (completed - self._completed) / passed
            share = min(0.5, 1.0 - 2.0 ** (-passed / HALF_LIFE_SECONDS))
            self.per_second = rate if self.per_second is None else self.per_second + share * (rate - self.per_second)
        self._completed, self._at = completed, at


class Live:
    """The live `ProcessingState` with what has not been reported of it."""

    def __init__(
        self,
        process_id: str,
        task_id: str,
        progress: ProgressInfo,
        started_at: int,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self.state = ProcessingState(
            process_id, task_id, progress.step, progress.total or 0, progress.completed, start_time=moment(started_at)
        )
        self.dirty = False
        """Something is to be reported. Written without the lock: it is a hint, and the report looks for itself."""
        self.lock = threading.Lock()
        self._monotonic = monotonic
        self._metadata: bytes | None = None
        """The metadata as it crosses, from when it was changed until it was reported."""
        self._speed = Speed(progress.per_second, progress.completed, monotonic())
        self.take(progress)

    def take(self, progress: ProgressInfo) -> None:
        """Stand where the daemon says: at a registration, and after a state was put back."""
        state = self.state
        with self.lock:
            state.total_steps = progress.total or state.total_steps
            state.completed_steps = progress.completed
            state.current_step, state.current_batch = progress.step, progress.batch
            state.metadata = metadata_of(progress.metadata)
            state.last_update = moment(progress.updated_at)
            state.estimated_completion = moment(progress.eta) if progress.eta is not None else None
            self._metadata = None
            self._speed = Speed(progress.per_second, progress.completed, self._monotonic())

    def stand_at(self, then: ProcessingState) -> None:
        """Stand where a checkpoint says."""
        state = self.state
        with self.lock:
            state.total_steps, state.completed_steps = then.total_steps, then.completed_steps
            state.current_step, state.current_batch = then.current_step, then.current_batch
            state.metadata, state.last_update = then.metadata, then.last_update
            self._metadata = packed_metadata(then.metadata)
            self._speed = Speed(self._speed.per_second, then.completed_steps, self._monotonic())
        self.dirty = True

    def forked(self) -> None:
        """In a forked child: nobody there holds the lock, whoever held it at the fork."""
        self.lock = threading.Lock()

    def advance(self, steps: int) -> None:
        """Count steps."""
        with self.lock:
            self.state.completed_steps += steps
        self.dirty = True

    def say(
        self,
        *,
        total: int | None = None,
        completed: int | None = None,
        step: str | None = None,
        batch: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Set what is given; metadata is merged. Raises `BadRequest` for what the daemon would refuse."""
        for name, number in (("total_steps", total), ("completed_steps", completed)):
            if number is not None and (type(number) is not int or number < 0):
                raise BadRequest(f"{name} is {number!r}", hint="accepted: an integer from 0 on")
        state = self.state
        with self.lock:
            state.total_steps = state.total_steps if total is None else total
            state.completed_steps = state.completed_steps if completed is None else completed
            state.current_step = state.current_step if step is None else text(step)
            state.current_batch = state.current_batch if batch is None else text(batch)
            if metadata:
                # Packed here, where whoever gave what can't be stored hears of it, and not behind its back.
                self._metadata = packed_metadata({**state.metadata, **metadata})
                state.metadata.update(metadata)
        self.dirty = True

    def report(self, completed: int | None = None) -> params.Progress:
        """What the daemon is told; `completed` where the records that go with it mean another figure than now."""
        self.dirty = False
        state = self.state
        with self.lock:
            figure = state.completed_steps if completed is None else completed
            metadata, self._metadata = self._metadata, None
            self._estimate(figure)
        # The state is the application's to write to as well: what it has is made to fit, so that no report is refused.
        batch = state.current_batch
        return params.Progress(
            total=max(0, int(state.total_steps)) or None,
            completed=max(0, int(figure)),
            step=text(str(state.current_step)),
            batch=batch if batch is None else text(str(batch)),
            metadata=metadata,
        )

    def _estimate(self, completed: int) -> None:
        state, at = self.state, now()
        self._speed.update(completed, self._monotonic())
        state.last_update = at
        left, speed = state.total_steps - completed, self._speed.per_second
        known = state.total_steps > 0 and speed is not None and speed > 0
        state.estimated_completion = at + timedelta(seconds=min(1e9, max(0, left) / speed)) if known and speed else None


def text(value: str) -> str:
    """A step's or batch's name, cut to what the protocol carries."""
    if not isinstance(value, str):
        raise BadRequest(f"the name of a step or batch is {value!r}", hint="accepted: text")
    if len(value) * 4 <= limits.description_bytes_max:
        return value
    return value.encode("utf-8", "replace")[: limits.description_bytes_max].decode("utf-8", "ignore")


def packed_metadata(metadata: Mapping[str, object]) -> bytes:
    """Metadata as it crosses; raises `Encoding` with the path of what can't, and for too much of it."""
    return encode_value(dict(metadata), bytes_max=limits.metadata_bytes_max, root="metadata")


def metadata_of(packed: bytes) -> dict[str, object]:
    """The other way; what another client wrote and isn't a map of ours comes as it is under "metadata"."""
    if not packed:
        return {}
    value = decode_value(packed)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return value
    return {"metadata": value}
