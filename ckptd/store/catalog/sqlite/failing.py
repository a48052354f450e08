"""What an error of SQLite means; owns the line between a refusal and a failed store.

SQLITE_FULL has rolled back and is a clean refusal, and so is a lock that somebody else holds. Whatever else the medium
says while something is written means that the outcome is unknown: a COMMIT that reported SQLITE_IOERR was found
committed after a restart. A read has no outcome: what can't be read is damaged. Errors that say that a statement of
ours is wrong are bugs, and stay what they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def writing() -> Iterator[None]:
    """Errors of the block as those of a write."""
    try:
        yield
    except apsw.FullError as error:
        raise NoSpace("the disk is full", hint="ckptctl status shows what holds the space") from error
    except _LOCKED as error:
        raise Busy(_LOCKED_TEXT, hint=_LOCKED_HINT) from error
    except _MEDIUM as error:
        raise StoreFailed(f"the catalog failed: {error}") from error


@contextmanager
def reading() -> Iterator[None]:
    """Errors of the block as those of a read."""
    try:
        yield
    except _LOCKED as error:
        raise Busy(_LOCKED_TEXT, hint=_LOCKED_HINT) from error
    except (*_MEDIUM, apsw.FullError) as error:
        raise Damaged(
            f"the catalog can't be read: {error}", hint="restart the daemon; it says at its start what is wrong"
        ) from error
