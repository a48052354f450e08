"""The daemon's errors: the shared tree, and the few that end the daemon.

Not for: deciding what a caller sees; the codes and texts are those of `ckptclient.errors`.
"""

from typing import ClassVar

from ckptclient.errors import CkptdError, ReadOnly


class StartRefused(CkptdError):
    """The daemon can't start; the message says why and the hint what to do. Never crosses the wire."""

    sysexit: ClassVar[int] = 78

    def __init__(self, message: str, *, hint: str | None = None, sysexit: int = 78) -> None:
        super().__init__(message, hint=hint)
        self.exit_status = sysexit


class StoreUnusable(StartRefused):
    """The store's medium or catalog keeps the daemon from starting; counted as a failed store (`observe.failures`)."""


class StoreFailed(Exception):
    """A failed sync, or a COMMIT that failed by an I/O error: the outcome of what was in flight is unknown.

    Nobody catches it to go on: the daemon ends without a reply and is started again, and clients ask again under
    the same request id. A second fsync would say that all is well while the page is lost.
    """


def read_only(why: str) -> ReadOnly:
    """What who wants to write is told by a daemon that only reads. A new one each time: a traceback grows with each raise."""
    return ReadOnly(
        f"the store is read-only: {why}",
        hint="see to the cause and restart the daemon; reading and restoring work meanwhile",
    )
