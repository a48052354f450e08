"""The error tree, shared by the client, the daemon and `ckptctl`; owns the term *code*.

An error says whose fault it is (its class), whether a retry can help (`retryable`), and what to do next (`hint`).
The code is stable: it crosses the wire, scripts read it, `docs/PROTOCOL.md` and `ckptctl explain` list it. A message
is one lower-case sentence; the hint is a sentence of its own. Not for: bugs of ours, which stay plain exceptions and
cross the wire as INTERNAL without their text.
"""

from collections.abc import Mapping
from typing import ClassVar


class CkptdError(Exception):
    """Root of everything that ckptd raises on purpose.

    `exit_code` is what `ckptctl` ends with; the same number means the same for every verb.
    """

    code: ClassVar[str] = "INTERNAL"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: Mapping[str, object] = details or {}

    def __str__(self) -> str:
        text = f"{self.message} [{self.code}]"
        return f"{text}; {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.hint, dict(self.details))


def _rebuild(kind: type[CkptdError], message: str, hint: str | None, details: Mapping[str, object]) -> CkptdError:
    return kind(message, hint=hint, details=details)


class Internal(CkptdError):
    """A bug of ours; the daemon's log has the traceback under the request's id."""

    code = "INTERNAL"


class BadRequest(CkptdError, ValueError):
    """The caller's mistake: a parameter is missing, unknown, of the wrong type or out of range."""

    code = "USAGE"
    exit_code = 2


class ConfigError(CkptdError, ValueError):
    """A setting that can't be used; `details["problems"]` has all of them."""

    code = "CONFIG"
    exit_code = 2


class Encoding(CkptdError, ValueError):
    """A state that can't be encoded, with the path to the culprit, or stored bytes that aren't a state."""

    code = "ENCODING"
    exit_code = 2


class Partial(CkptdError):
    """Done in part; the details say what was not."""

    code = "PARTIAL"
    exit_code = 3


class NotFound(CkptdError, LookupError):
    """No such process, checkpoint, part or item."""

    code = "NOT_FOUND"
    exit_code = 4


class UnknownProcess(NotFound, ValueError):
    """No such process; a ValueError too, as the original system raised."""


class UnknownCheckpoint(NotFound, FileNotFoundError):
    """No such checkpoint; a FileNotFoundError too, as the original system raised."""


class Denied(CkptdError, PermissionError):
    """The peer's user or role may not do this."""

    code = "DENIED"
    exit_code = 5


class Fenced(CkptdError):
    """A newer epoch exists: this worker no longer owns the process, and nothing of it was applied."""

    code = "FENCED"
    exit_code = 6


class Conflict(CkptdError):
    """The state of things is not what the request expects: another head, a forbidden transition, a changed sequence."""

    code = "CONFLICT"
    exit_code = 6


class Held(CkptdError):
    """The process has a live holder; `takeover` would fence it."""

    code = "HELD"
    exit_code = 6


class Unreachable(CkptdError, ConnectionError):
    """No daemon answers; the message says where it was looked for."""

    code = "UNREACHABLE"
    exit_code = 7
    retryable = True


class Unavailable(CkptdError):
    """A place outside of the store, for backups or the archive, can't be reached or used now; the message names it."""

    code = "UNAVAILABLE"
    exit_code = 7
    retryable = True


class TimedOut(CkptdError, TimeoutError):
    """The time limit passed; the act may still happen, and repeating it is safe."""

    code = "TIMEOUT"
    exit_code = 8
    retryable = True


class UnknownOutcome(CkptdError):
    """The answer to this request id is no longer kept: whether it was applied can't be said."""

    code = "UNKNOWN_OUTCOME"
    exit_code = 8


class Damaged(CkptdError, ValueError):
    """Stored bytes that don't verify, and no good copy; never served."""

    code = "DAMAGED"
    exit_code = 9


class NoStore(CkptdError):
    """There is no store at this path."""

    code = "NO_STORE"
    exit_code = 10


class Busy(CkptdError):
    """Too much at once; wait a moment."""

    code = "BUSY"
    exit_code = 11
    retryable = True


class Draining(Busy):
    """The node is being emptied, or the daemon is stopping: nothing new begins."""

    code = "DRAINING"


class NoSpace(CkptdError):
    """The store's limit or the file system is full; says how much is missing."""

    code = "NO_SPACE"
    exit_code = 13


class Quota(NoSpace):
    """A user's own bound is reached."""

    code = "QUOTA"


class ReadOnly(CkptdError):
    """The store can't be written; reads go on."""

    code = "READ_ONLY"
    exit_code = 13


class Unhealthy(CkptdError):
    """Health is below what was asked for."""

    code = "UNHEALTHY"
    exit_code = 14


class VersionMismatch(CkptdError):
    """A protocol or format that is too new or too old; says which is needed."""

    code = "VERSION"
    exit_code = 15


class ProtocolError(CkptdError):
    """Bytes that aren't the protocol; the connection ends."""

    code = "PROTOCOL"
    exit_code = 15


def _tree(root: type[CkptdError]) -> dict[str, type[CkptdError]]:
    table = {root.code: root}
    for child in root.__subclasses__():
        # A parent names its code first: UnknownProcess shares NOT_FOUND with its parent, which is the one on the wire.
        table = _tree(child) | table
    return table


CODES: Mapping[str, type[CkptdError]] = {**_tree(CkptdError), "INTERNAL": Internal}
"""Code to class, for who rebuilds an error that came over the wire."""


def from_wire(code: str, message: str, hint: str | None, details: Mapping[str, object]) -> CkptdError:
    """Rebuild an error; a code that this release doesn't know becomes a plain `CkptdError` that still names it."""
    what = details.get("what")
    if code == NotFound.code and what == "process":
        return UnknownProcess(message, hint=hint, details=details)
    if code == NotFound.code and what == "checkpoint":
        return UnknownCheckpoint(message, hint=hint, details=details)
    kind = CODES.get(code)
    if kind is None:
        return CkptdError(f"{message} ({code})", hint=hint, details=details)
    return kind(message, hint=hint, details=details)


class Stopped(BaseException):
    """Raised by `track` after the item in hand when the worker was asked to stop (SIGTERM, drain).

    A BaseException, so that `except Exception` in a loop's body can't swallow it; `with process:` catches it.
    """
