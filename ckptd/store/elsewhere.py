"""What a failure means away from the store: the place is named, and nobody dies of it.

`durable` speaks for the store, where a failed sync ends the daemon. On a backup's medium the same failure ends the
backup: what was written there has no manifest, and counts for nothing.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ckptclient.errors import CkptdError, NoSpace, ReadOnly, Unavailable
from ckptd.errors import StoreFailed

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def elsewhere(path: Path) -> Iterator[None]:
    """Errors of the block as those of the place at `path`."""
    try:
        yield
    except NoSpace as error:
        raise _full(path) from error
    except ReadOnly as error:
        raise Unavailable(f"{path} lies on a read-only file system", hint="mount it for writing") from error
    except StoreFailed as failed:
        raise Unavailable(f"{path} can't be used: {failed}", hint="see the kernel's log for that disk") from failed
    except OSError as error:
        if isinstance(error, CkptdError):  # some of ours are both
            raise
        if error.errno in _FULL:
            raise _full(path) from error
        raise Unavailable(
            f"{path} can't be used: {error.strerror}{f' ({error.filename})' if error.filename else ''}",
            hint="see that it is mounted, and that this user may read and write there",
        ) from error


def _full(path: Path) -> NoSpace:
    return NoSpace(f"there is no room at {path}", hint="make room there, or keep fewer backups")
