"""What a store of chunks must do; owns the terms *pack* and *location*.

Obligations of every backend (one suite, `tests/ckptd/store/chunks/conformance.py`, is run by all):

* Records are only ever added. What `append` or a private pack's `add` took is never moved or changed, no name is used
  twice, and a pack that was there at the start is never appended to: after an unclean stop its end can't be trusted.
* `append`, `sync` and `seal` belong to one thread, the committer's. What was appended may be read at once, and is on disk when
  the next `sync` returns, the pack's own name included: only then may a catalog name the pack or a location in it.
* A private pack belongs to the thread that opened it and is on disk, under its name, when `close` returns. The
  committer never waits for it.
* A full disk is NoSpace, and what the refused call had written is gone: packs are as they were before it. Any other
  failure of the medium is StoreFailed, and the caller ends the daemon.
* `read` may be called by any thread at any time, and never needs a write. It gives what lies there and judges nothing:
  fewer bytes where the pack ends early, none where it can't be read or isn't there. The caller verifies.
* `unlink` is durable when it returns, and no error for a pack that is gone. A pack that is being appended to ends by it.

Nothing here knows which records are alive: that is the catalog's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ckptd.store.records import Record

PACK_BYTES_TARGET: Final = 128 << 20
"""A pack that has reached this is followed by a new one: it may be larger by one record."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a record begins: its pack's name and the offset of its header."""

    pack: str
    offset: int


class PrivatePacks(Protocol):
    """The packs of one large payload, as many as it takes."""

    def add(self, record: Record) -> Location:
        """Take one record. NoSpace takes back nothing by itself: the caller abandons what it began."""
        ...

    def close(self) -> None:
        """Return when all that was added is on disk."""
        ...

    def abandon(self) -> None:
        """Remove every pack of these; also after `close`, and twice."""
        ...


class ChunkStore(Protocol):
    """See the module for who may call what when."""

    def append(self, records: Sequence[Record], lifetime: int = 0) -> Sequence[Location]:
        """Put records into the shared pack of a lifetime class, in order; all of them or, at NoSpace, none."""
        ...

    def sync(self) -> None:
        """Return when all that was appended is on disk; at once when nothing was since the last time."""
        ...

    def seal(self, pack: str) -> None:
        """Append to this pack no more, if it is one that is appended to; between `sync` and the next `append`."""
        ...

    def private(self, expected_bytes: int, lifetime: int = 0) -> PrivatePacks:
        """Begin packs for one payload of a lifetime class, of which about so many bytes will be stored."""
        ...

    def read(self, location: Location, stored_bytes: int, *, fresh: bool = False) -> bytes:
        """Stored bytes of the record at a location; `fresh` asks the medium instead of the page cache."""
        ...

    def image(self, pack: str, offset: int, size_bytes: int) -> bytes:
        """A range of a pack as it lies on the medium, past the page cache; fewer bytes as `read` gives them."""
        ...

    def size_bytes(self, pack: str) -> int:
        """How long a pack is; 0 where it can't be said."""
        ...

    def names(self) -> Sequence[str]:
        """Every pack that is there, in no order; also those that no catalog knows."""
        ...

    def unlink(self, pack: str) -> None:
        """Remove a pack for good."""
        ...

    def close(self) -> None:
        """Give descriptors back. What wasn't synced may be lost."""
        ...
