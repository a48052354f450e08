"""One save on its way: encoded when it is asked for, sent by the outbox in its turn; owns the term *job*.

Parts that fit a frame together travel inside it; larger ones are laid into shared memory while the worker waits, and
what the daemon has of them is persisted behind its answer (`Staged`). Where no shared memory can be had they go ahead as
an upload in pieces, which belongs to a connection and begins anew after each loss of it, under one request number.
Not for: their order (`outbox`).
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, ClassVar

import msgpack

from ckptclient import calls, clock
from ckptclient.errors import BadRequest, Busy, CkptdError, TimedOut, UnknownCheckpoint, Unreachable
from ckptclient.payload import Part
from ckptclient.results import SavedInfo
from ckptclient.staging import Laid, Staging
from ckptclient.wire import limits, params

from .daemon import Awaited, Daemon

INLINE_BYTES_MAX = limits.piece_bytes_max - (128 << 10)
"""Parts up to this sum cross inside the frame, beside up to 64 KiB of metadata for checkpoint and progress each."""
PIECES_IN_FLIGHT = 8
UPLOADS_MAX = 5
"""So often an upload begins anew because its connection was lost under it."""
FOLLOW_SECONDS = 60.0
"""A wait for the disk is asked for again after so long."""

GONE_MAX = 120
"""So often, a second apart at least, a daemon that is gone is asked for again before the save counts as failed."""

Stored = params.PartData
"""A part that no longer depends on the worker's memory, as it crosses where it is small enough."""


def stored(parts: Sequence[Part]) -> tuple[Stored, ...]:
    """Copies of the parts, made while the worker waits."""
    return tuple([Stored(name=part.name, form=msgpack.packb(dict(part.form)), data=bytes(part.data)) for part in parts])


class Job:
    """A save that was asked for."""

    optional: ClassVar[bool] = False

    def __init__(self, request: params.Save, parts: Sequence[Stored] = ()) -> None:
        self.request = request
        self.parts = tuple(parts)
        self.size_bytes = sum([len(part.data) for part in self.parts])
        self.done = False
        self.info: SavedInfo | None = None
        self.error: CkptdError | None = None
        self.raised = False
        """Whether the application has been told of the error."""
        self._number: int | None = None
        self._landing = threading.Lock()  # held until it has landed; an Event takes as long to make as the rest
        self._landing.acquire()

    def send(self, daemon: Daemon) -> SavedInfo:
        """Make the checkpoint; raises what the daemon says. Repeating it is safe: the request's number stays."""
        # Drawn as late as can be: of a session's numbers, the daemon keeps the answers to the last few only.
        number = self._number = self._number or daemon.next_request()
        if self.size_bytes <= INLINE_BYTES_MAX:
            return daemon.call(calls.save(self.request.having(parts=self.parts), number=number))
        for _ in range(UPLOADS_MAX - 1):
            try:
                return self._upload(daemon, number)
            except Unreachable as error:
                if "connection" not in error.details:
                    raise
        return self._upload(daemon, number)

    def land(self, info: SavedInfo | None, error: CkptdError | None) -> None:
        """It has its outcome; once."""
        self.info, self.error, self.parts, self.done = info or self.info, error, (), True
        self._landing.release()

    def reached(self, level: str) -> bool:
        """Whether it has a durability, or has failed. What crosses in frames is told of when it is on disk."""
        return self.done

    def wait(self, seconds: float, level: str = "disk") -> bool:
        """Come back once it has reached a level, or the time is over; whether it has."""
        if self._landing.acquire(timeout=seconds):
            self._landing.release()  # for whoever else waits
        return self.done

    def answer(self) -> SavedInfo:
        """What became of it: raises its error, which counts as told from then on."""
        if self.error is not None:
            self.raised = True
            raise self.error
        assert self.info is not None, "asked before it was done"
        return self.info

    def _upload(self, daemon: Daemon, number: int) -> SavedInfo:
        connection = daemon.connection
        plans = tuple(params.PartPlan(name=part.name, form=part.form, size_bytes=len(part.data)) for part in self.parts)
        upload = _in_pieces(daemon, connection, plans, [memoryview(part.data) for part in self.parts])
        return daemon.call(calls.save(self.request.having(upload=upload), connection, number))


def _in_pieces(daemon: Daemon, connection: int, plans: tuple[params.PartPlan, ...], views: Sequence[memoryview]) -> int:
    """Send parts ahead as an upload of a connection; its number. Raises UNREACHABLE where that one is lost."""
    upload = daemon.call(calls.open_upload(plans, connection))
    flying: deque[Awaited[None]] = deque()
    for index, view in enumerate(views):
        for offset in range(0, len(view), limits.piece_bytes_max):
            piece = bytes(view[offset : offset + limits.piece_bytes_max])
            flying.append(daemon.submit(calls.write_part(upload, index, offset, piece, connection)))
            if len(flying) == PIECES_IN_FLIGHT:
                flying.popleft().result()
    for one in flying:
        one.result()
    return upload


class StagedJob(Job):
    """A save whose parts are laid: the daemon admits it at once and persists it behind its answer."""

    def __init__(self, request: params.Save, laid: Laid, staging: Staging) -> None:
        super().__init__(request)
        self.size_bytes = laid.size_bytes
        self._laid: Laid | None = laid
        self._staging = staging
        self._position: int | None = None
        self._admitted = threading.Event()

    def admit(self, info: SavedInfo) -> None:
        """The daemon has it; it is on its way to disk."""
        self.info = info
        self._admitted.set()

    def reached(self, level: str) -> bool:
        """Whether it has a durability, or has failed."""
        return self.done or (level == "memory" and self._admitted.is_set())

    def wait(self, seconds: float, level: str = "disk") -> bool:
        """Come back once it has reached a level, or the time is over; whether it has."""
        return self._admitted.wait(seconds) if level == "memory" else super().wait(seconds)

    def send(self, daemon: Daemon) -> SavedInfo:
        """Have it admitted; raises what the daemon says."""
        for _ in range(UPLOADS_MAX - 1):
            try:
                return self._admission(daemon)
            except Unreachable as error:
                if "connection" not in error.details:
                    raise
        return self._admission(daemon)

    def _admission(self, daemon: Daemon) -> SavedInfo:
        laid, connection = self._laid, daemon.connection
        assert laid is not None, "it has no outcome yet"
        if laid.connection != connection:
            self._laid = self._staging.again(laid) or laid
            laid = self._laid
        if laid.connection == connection:
            upload = laid.upload
        else:  # the daemon that is there now has no shared memory left
            upload = _in_pieces(daemon, connection, laid.plans, laid.views())
        number = self._number = self._number or daemon.next_request()
        request = params.Stage(**{**vars(self.request), "upload": upload, "position": self._position})
        admitted = daemon.call(calls.stage_save(request, connection, number))
        self._position = admitted.position
        return admitted

    def follow(self, daemon: Daemon) -> SavedInfo:
        """Come back once it is on disk, repeating it to a daemon that lost it; raises what it failed with."""
        info, tries = self.info, 0
        assert info is not None, "it was admitted"
        while info.level != "disk":
            try:
                made = daemon.call(calls.wait(info.checkpoint_id, timeout_seconds=FOLLOW_SECONDS))
            except UnknownCheckpoint:
                info = self.send(daemon)
            except (TimedOut, Busy):
                continue
            except Unreachable:
                tries += 1
                if tries == GONE_MAX:
                    raise
                clock.sleep(1.0)
            else:
                return _on_disk(info, made)
        return info

    def land(self, info: SavedInfo | None, error: CkptdError | None) -> None:
        """It has its outcome: the buffer is the next save's. What was given up may still be told of."""
        if not self.done:
            self._laid = None
            super().land(info, error)
            self._admitted.set()


def _on_disk(info: SavedInfo, checkpoint_id: str) -> SavedInfo:
    return SavedInfo(
        checkpoint_id=checkpoint_id,
        seq=info.seq,
        created_at=info.created_at,
        expires_at=info.expires_at,
        level="disk",
        due=None,
    )


class Saved:
    """A save that `process.save` returned: joinable, and awaitable in asyncio."""

    def __init__(self, job: Job, drive: Callable[[Job, float | None, str], None]) -> None:
        self._job = job
        self._drive = drive

    def wait(self, level: str = "disk", timeout: float | None = None) -> str:
        """Return the checkpoint's id once it is durable at a level: "disk", or "memory".

        Raises what the save failed with, TIMEOUT after `timeout` seconds, `BadRequest` for a level that can't be had.
        """
        check_level(level)
        if not self._job.reached(level):
            self._drive(self._job, timeout, level)
        return self._job.answer().checkpoint_id

    @property
    def checkpoint_id(self) -> str:
        """The checkpoint's id; waits for it."""
        return self.wait()

    @property
    def level(self) -> str | None:
        """The durability that it has by now; None while it is on its way."""
        return self._job.info.level if self._job.info is not None else None

    def done(self) -> bool:
        """Whether `wait` would return or raise at once."""
        return self._job.done

    def __await__(self) -> Generator[Any, None, str]:
        import asyncio  # whoever awaits has it; loading it would cost every other worker 20 ms

        return asyncio.get_running_loop().run_in_executor(None, self.wait).__await__()

    def __repr__(self) -> str:
        info = self._job.info
        return f"<Saved {info.checkpoint_id} at {info.level}>" if info else "<Saved, on its way>"


def check_level(level: str) -> None:
    """Refuse a durability that this release can't give, by name."""
    if level not in params.LEVELS:
        raise BadRequest(f"durability {level!r} can't be had here", hint=f"accepted: {', '.join(params.LEVELS)}")


def late(seconds: float) -> TimedOut:
    """The error for a save that took longer than somebody wanted to wait."""
    return TimedOut(f"the save was not done within {seconds:g} s", hint="it goes on; wait for it again")
