"""What an error of SQLite means; owns the line between a refusal and a failed store.

SQLITE_FULL has rolled back and is a clean refusal, and so is a lock that somebody else holds. Whatever else the medium
says while something is written means that the outcome is unknown: a COMMIT that reported SQLITE_IOERR was found
committed after a restart. A read has no outcome: what can't be read is damaged. Errors that say that a statement of
ours is wrong are bugs, and stay what they are.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import apsw

from ckptclient.errors import Busy, Damaged, NoSpace
from ckptd.errors import StoreFailed

_MEDIUM = (
    apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError,
    apsw.ProtocolError, apsw.NoMemError, apsw.InternalError,
)  # fmt: skip
LOCK_WAIT_MS = 2000
"""Nobody else writes; but somebody who looks at the file with another tool may hold a lock for a moment."""

_LOCKED = (apsw.BusyError, apsw.LockedError)
_LOCKED_TEXT = "another program holds a lock on the catalog"
_LOCKED_HINT = "end it: only ckptd may write to its catalog"


class _Said:
    """Errors of a block in other words. One serves all blocks: it stands around each question and each batch."""

    __slots__ = ("_words",)

    def __init__(self, words: Callable[[BaseException], Exception | None]) -> None:
        self._words = words

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        if error is not None and (said := self._words(error)) is not None:
            raise said from error


def _of_write(error: BaseException) -> Exception | None:
    if isinstance(error, apsw.FullError):
        return NoSpace("the disk is full", hint="ckptctl status shows what holds the space")
    if isinstance(error, _LOCKED):
        return Busy(_LOCKED_TEXT, hint=_LOCKED_HINT)
    return StoreFailed(f"the catalog failed: {error}") if isinstance(error, _MEDIUM) else None


def _of_read(error: BaseException) -> Exception | None:
    if isinstance(error, _LOCKED):
        return Busy(_LOCKED_TEXT, hint=_LOCKED_HINT)
    if isinstance(error, (*_MEDIUM, apsw.FullError)):
        hint = "restart the daemon; it says at its start what is wrong"
        return Damaged(f"the catalog can't be read: {error}", hint=hint)
    return None


_WRITE, _READ = _Said(_of_write), _Said(_of_read)


def writing() -> AbstractContextManager[None]:
    """Errors of the block as those of a write."""
    return _WRITE


def reading() -> AbstractContextManager[None]:
    """Errors of the block as those of a read."""
    return _READ
