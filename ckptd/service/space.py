"""How much room there is, kept up to date on the loop; the verdict is `core.quota`'s.

What is used is counted: known exactly after each look at the catalog, and in between what was admitted is added.
"""

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ckptclient.errors import NoSpace
from ckptd.core import quota
from ckptd.observe import log
from ckptd.service.backend import Backend
from ckptd.settings.tree import Config
from ckptd.store import durable

LOG = log.get(__name__)

T = TypeVar("T")

RESERVE_SHARE = 0.01
"""Of the file system, what is kept for deletes on a full disk; the setting bounds it."""

RESERVE_SHARE_SMALL = 0.05
RESERVE_BYTES_SMALL = 4 << 20
"""On a small file system a hundredth would not be enough for a delete's own writing."""


class Space:
    """The store's room."""

    def __init__(
        self, backend: Backend, path: Path, config: Callable[[], Config], *, keeps_reserve: bool = True
    ) -> None:
        self._backend = backend
        self._keeps_reserve = keeps_reserve
        self._path = path
        self._config = config
        self.used_bytes = 0
        self.free_bytes = 0
        self._file_system_bytes = 0
        self._reserve = path / "reserve"
        self.changed = True
        """Whether anything was admitted since the last look: an idle node looks at nothing."""

    async def look(self) -> None:
        """Look at catalog and file system again, and hold the reserve again where it was given up."""
        self.changed = False
        self._measure()
        if self._keeps_reserve and self.reserve_bytes and self.free_bytes > 2 * self.reserve_bytes:
            await self._backend.read(lambda _: self._hold_reserve())
            self._measure()
        totals = await self._backend.read(lambda reader: reader.totals(None))
        self.used_bytes = totals.stored_bytes

    def _measure(self) -> None:
        found = os.statvfs(self._path)
        self.free_bytes = found.f_bavail * found.f_frsize
        self._file_system_bytes = found.f_blocks * found.f_frsize

    def _hold_reserve(self) -> None:
        with suppress(NoSpace):
            durable.reserve(self._reserve, self.reserve_bytes)

    async def freeing(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what gives space back; where even that finds no room, the reserve is given up for it."""
        try:
            return await work()
        except NoSpace:
            if not self._reserve.exists():
                raise
            LOG.warning("the disk is full: the reserve is given up for what frees space", bytes=self.reserve_bytes)
            await self._backend.read(lambda _: durable.remove(self._reserve))
            return await work()

    @property
    def limit_bytes(self) -> int | None:
        """What the store may hold."""
        return self._config().store.limit.of(self._file_system_bytes)

    @property
    def capacity_bytes(self) -> int:
        """What the store could hold if nothing else were there: its limit, or its file system."""
        limit = self.limit_bytes
        return self._file_system_bytes if limit is None else min(limit, self._file_system_bytes)

    @property
    def left_bytes(self) -> int:
        """What can still be saved."""
        limit = self.limit_bytes
        left = self.free_bytes if limit is None else min(limit - self.used_bytes, self.free_bytes)
        return max(0, left)

    @property
    def reserve_bytes(self) -> int:
        """What is kept for deletes."""
        whole = self._file_system_bytes
        small = min(RESERVE_BYTES_SMALL, int(RESERVE_SHARE_SMALL * whole))
        return min(self._config().store.reserve_bytes_max, max(small, int(RESERVE_SHARE * whole)))

    def admit(self, size_bytes: int) -> None:
        """Count so many bytes, or refuse them: NoSpace says how much is missing."""
        # The reserve itself lies on the disk as a file, so that what is free is free for saves.
        quota.admit(quota.Space(self.used_bytes, self.limit_bytes, self.free_bytes, 0), size_bytes)
        self.changed = True
        self.used_bytes += size_bytes
        self.free_bytes -= size_bytes
