"""How much room there is, kept up to date on the loop; the verdict is `core.quota`'s.

What is used is counted: known exactly after each look at the catalog, and in between what was admitted is added.
"""

import os
from collections.abc import Callable
from pathlib import Path

from ckptd.core import quota
from ckptd.service.backend import Backend
from ckptd.settings.tree import Config

RESERVE_SHARE = 0.01
"""Of the file system, what is kept for deletes on a full disk; the setting bounds it."""


class Space:
    """The store's room."""

    def __init__(self, backend: Backend, path: Path, config: Callable[[], Config]) -> None:
        self._backend = backend
        self._path = path
        self._config = config
        self.used_bytes = 0
        self.free_bytes = 0
        self._file_system_bytes = 0
        self.changed = True
        """Whether anything was admitted since the last look: an idle node looks at nothing."""

    async def look(self) -> None:
        """Look at catalog and file system again."""
        self.changed = False
        totals = await self._backend.read(lambda reader: reader.totals(None))
        self.used_bytes = totals.stored_bytes
        found = os.statvfs(self._path)
        self.free_bytes = found.f_bavail * found.f_frsize
        self._file_system_bytes = found.f_blocks * found.f_frsize

    @property
    def limit_bytes(self) -> int | None:
        """What the store may hold."""
        return self._config().store.limit.of(self._file_system_bytes)

    @property
    def reserve_bytes(self) -> int:
        """What is kept for deletes."""
        return min(self._config().store.reserve_bytes_max, int(RESERVE_SHARE * self._file_system_bytes))

    def admit(self, size_bytes: int) -> None:
        """Count so many bytes, or refuse them: NoSpace says how much is missing."""
        # The reserve itself lies on the disk as a file, so that what is free is free for saves.
        quota.admit(quota.Space(self.used_bytes, self.limit_bytes, self.free_bytes, 0), size_bytes)
        self.changed = True
        self.used_bytes += size_bytes
        self.free_bytes -= size_bytes
