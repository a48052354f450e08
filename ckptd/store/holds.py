"""Claims in memory that keep chunks from being condemned while saves use them; owns the term *hold*.

A save holds a chunk *before* it looks whether the chunk is there, and lets go once its references are committed or
never will be. Condemning runs inside `settled`, in which no new hold begins: whoever takes one sees the catalog as
it was before or as it is after, never a chunk that dies in between. Holds end with the daemon, and so do the saves.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Holds:
    """All holds of one store. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[int, bytes], int] = {}

    def hold(self, namespace: int, chunk_id: bytes) -> None:
        """Claim a chunk, there or not; as often as it is released. Waits while `settled` is in use."""
        key = (namespace, chunk_id)
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1

    def release(self, namespace: int, chunk_ids: Iterable[bytes]) -> None:
        """End one claim on each."""
        with self._lock:
            for chunk_id in chunk_ids:
                key = (namespace, chunk_id)
                left = self._counts[key] - 1
                if left:
                    self._counts[key] = left
                else:
                    del self._counts[key]

    @contextmanager
    def settled(self) -> Iterator[frozenset[bytes]]:
        """The ids that are held, of any namespace, and stay all that are until the block ends.

        For one slice of a sweep: savers wait meanwhile, the loop doesn't. Nothing is released inside.
        """
        with self._lock:
            yield frozenset(chunk_id for _, chunk_id in self._counts)
