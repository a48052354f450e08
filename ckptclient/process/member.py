"""The handle in another OS process of the same work: a pool's worker; owns the term *member*.

A member records items and counts its own steps under the holder's epoch. It holds nothing: its death ends no process,
and what it has not recorded is simply not done. Not for: states, which members don't have.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

from ckptclient import calls, clock
from ckptclient.errors import BadRequest, CkptdError
from ckptclient.results import ProgressInfo, Tick

from .daemon import Daemon
from .journal import DONE, FAILED
from .live import Live
from .loop import packed_error, packed_result
from .outbox import OnUnavailable, Outbox
from .sequence import packed_key
from .stopping import terminated

NOWHERE = ProgressInfo(
    total=None, completed=0, step="", batch=None, metadata=b"", done=0, failed=0,
    percent=None, updated_at=0, eta=None, per_second=None,
)  # fmt: skip
"""A member's own part of the progress begins at nothing."""


class Member:
    """What `manager.member(token)` gives. Thread-safe."""

    def __init__(
        self,
        daemon: Daemon,
        token: str,
        *,
        on_unavailable: OnUnavailable = "block",
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        """Takes a token of its own by the one given, which may have been handed to a whole pool."""
        self.process_id, given = _read(token)
        self.token = daemon.call(calls.member(given))
        self._stop = False
        self._live = Live(self.process_id, "", NOWHERE, 0, monotonic)
        self._outbox = Outbox(
            daemon, self.token, self._live, on_unavailable=on_unavailable, told=self.hear, monotonic=monotonic
        )

    def record(self, item: object, result: object = None, flush: Literal["item", "batch"] = "item") -> None:
        """Record an item as done, by its value or key; returns once that is durable, or at once with "batch".

        A pool may end its workers at any moment: what its task has returned should be recorded by then.
        """
        self._put(DONE, item, packed_result(result), flush)

    def fail_item(self, item: object, error: object = "", flush: Literal["item", "batch"] = "item") -> None:
        """Record an item as failed; otherwise as `record`."""
        self._put(FAILED, item, packed_error(error), flush)

    def advance(self, n: int = 1) -> None:
        """Count steps that are no items."""
        self._live.advance(n)
        self._outbox.changed()
        self._outbox.check()

    @property
    def should_stop(self) -> bool:
        """Whether to take no further item."""
        return self._stop or terminated.asked

    def flush(self) -> None:
        """Return once everything recorded so far is durable."""
        self._outbox.flush()

    def close(self) -> None:
        """Send what is left and end; harmless when repeated."""
        self._outbox.flush()
        self._outbox.close()

    def hear(self, tick: Tick) -> None:
        """Take in what the daemon asks for."""
        self._stop = self._stop or tick.stop

    def cut_off(self, error: CkptdError) -> None:
        """Another worker has the process: every later call raises this."""
        self._outbox.cut_off(error)

    def forked(self) -> None:
        """In a forked child: this member is the parent's."""
        self._live.forked()
        self._outbox.forked()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, kind: int, item: object, result: bytes | None, flush: str) -> None:
        self._outbox.check()
        self._outbox.record(kind, packed_key(item), result)
        if flush == "item":
            self._outbox.flush()


def _read(token: str) -> tuple[str, bytes]:
    process_id, _, digits = token.rpartition(":")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raw = b""
    if not process_id or not raw:
        raise BadRequest("this is no member's token", hint="hand over what process.member_token() gave, unchanged")
    return process_id, raw
