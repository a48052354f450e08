"""The loop's way into the store and back; owns the bridge between coroutines and the store's threads.

`commit` is the only way by which anything is written. A change that was refused raises the refusal; one whose outcome
is unknown never comes back: the process ends. Reads run in a few threads with a connection each, so that a slow one
delays nobody on the loop.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future as ThreadFuture, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from ckptclient.errors import CkptdError
from ckptd.core.change import Answer, Change, ManifestPart, NotePlace
from ckptd.store.catalog.interface import Catalog, CatalogReader, Outcome
from ckptd.store.committer import Committer, Job, Payload

T = TypeVar("T")

READERS = 3
"""Threads that read: one may be busy with a large part, and two are left for the others."""


class Backend:
    """Commits and reads for the services. Made on the loop's thread, used there."""

    def __init__(self, catalog: Catalog, committer: Committer, loop: asyncio.AbstractEventLoop) -> None:
        self.lineage = catalog.lineage
        self._catalog = catalog
        self._committer = committer
        self._loop = loop
        self._local = threading.local()
        self._readers: list[CatalogReader] = []
        self._peeker: CatalogReader | None = None
        self._pool = ThreadPoolExecutor(READERS, "reader", initializer=self._open_reader)

    def _open_reader(self) -> None:
        self._local.reader = self._catalog.reader()
        self._readers.append(self._local.reader)

    def read(self, question: Callable[[CatalogReader], T]) -> "asyncio.Future[T]":
        """Ask the catalog in a reader's thread."""
        return self._loop.run_in_executor(self._pool, lambda: question(self._local.reader))

    def peek(self, question: Callable[[CatalogReader], T]) -> T:
        """Ask at once, on the loop: for what touches a few rows by an index, where a thread's turn costs more."""
        if self._peeker is None:
            self._peeker = self._catalog.reader()
            self._readers.append(self._peeker)
        return question(self._peeker)

    def submit(
        self,
        change: Change,
        then: Callable[[Answer], T],
        payload: Payload | None = None,
        landed: Callable[[], None] | None = None,
    ) -> "asyncio.Future[T]":
        """Queue a change; the future gets what `then` makes of its answer, or the refusal. Order of calls is kept.

        `landed` is called with any outcome, also when nobody waits for the future any more.
        """
        future: asyncio.Future[T] = self._loop.create_future()

        def done(outcome: Outcome) -> None:
            if landed is not None:
                landed()
            if isinstance(outcome, CkptdError):
                if not future.done():
                    future.set_exception(outcome)
                return
            result = then(outcome)
            if not future.done():  # its connection may be gone; what was committed counts all the same
                future.set_result(result)

        self._committer.submit(Job(change, done, payload, with_bodies if payload is not None else None))
        return future

    async def commit(self, change: Change) -> Answer:
        """Queue a change and wait for its answer."""
        return await self.submit(change, lambda answer: answer)

    async def tend(self, work: Callable[[Catalog], T]) -> T:
        """Run one slice of maintenance on the committer's thread."""
        return await asyncio.wrap_future(self.slice(work))

    def slice(self, work: Callable[[Catalog], T]) -> "ThreadFuture[T]":
        """As `tend`, for who has no coroutine to wait in."""
        return self._committer.run(lambda: work(self._catalog))

    def close(self) -> None:
        """Give the readers back."""
        self._pool.shutdown()
        for reader in self._readers:
            reader.close()


def with_bodies(change: Change, parts: Sequence[ManifestPart], note: NotePlace | None) -> Change:
    """The change with its parts' bodies, which are known once they are recorded; the manifest doesn't name them."""
    assert change.checkpoint is not None
    return replace(change, checkpoint=replace(change.checkpoint, parts=tuple(parts), note=note))
