"""What happened, for who wants to know; owns the term *event*.

Events are rows of a ring in the catalog, written in the transaction of what they tell of. Reading is a page after a
sequence number; a reader may wait for the next one, so that they can be followed over any reconnect with none lost.
"""

import asyncio
from collections.abc import Sequence

from ckptclient.wire.params import ReadEvents
from ckptd.service.backend import Backend
from ckptd.service.caller import Caller
from ckptd.service.users import user_name
from ckptd.service.views import Map
from ckptd.store.catalog.interface import Event


class Events:
    """Reads the ring, and wakes who waits."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting: set[asyncio.Future[None]] = set()

    def happened(self) -> None:
        """Something was committed that has events: whoever waits looks again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    async def read(self, caller: Caller, wanted: ReadEvents) -> Map:
        """A page of what the caller may see; waits for the first where there is none yet and it asks for that."""
        found, newest = await self._page(caller, wanted)
        if not found and wanted.wait_seconds > 0:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            # Between the look and the registration of the waiter something may have come: look again before waiting.
            found, newest = await self._page(caller, wanted)
            if not found:
                try:
                    async with asyncio.timeout(wanted.wait_seconds):
                        await waiter
                except TimeoutError:
                    pass
                found, newest = await self._page(caller, wanted)
            self._waiting.discard(waiter)
        rows = [[e.seq, e.at, e.kind, e.process_id, user_name(e.uid), dict(e.data)] for e in found]
        return {"events": rows, "last": found[-1].seq if found else max(newest, wanted.since)}

    async def _page(self, caller: Caller, wanted: ReadEvents) -> tuple[Sequence[Event], int]:
        uid = None if caller.sees_all else caller.uid
        since, process_id, limit = wanted.since, wanted.process_id, wanted.limit
        return await self._backend.read(
            lambda reader: (reader.events(max(since, 0), uid, process_id, limit), reader.last_event())
        )
