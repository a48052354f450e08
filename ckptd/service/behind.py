"""Saves that were acknowledged in memory and are on their way to disk; owns the term *behind*.

The daemon has such a save's bytes, and a worker that dies the next moment has saved all the same. What becomes of it is
kept until it is on disk, or, where it failed, for as long as the connection that asked for it may still want to know.
"""

import asyncio
from collections.abc import Callable, Coroutine

from ckptclient.errors import CkptdError
from ckptd.service.views import Map

Name = tuple[int, str]
"""A user, and a checkpoint's id."""

Begin = Callable[[Coroutine[None, None, object]], object]


class Behind:
    """All of one daemon. `begin` owns the work, so that the daemon doesn't end before it has."""

    def __init__(self, begin: Begin = asyncio.ensure_future) -> None:  # noqa: TID251 - until the hub takes it over
        self.begin = begin
        self._outcomes: dict[Name, asyncio.Future[Map]] = {}
        self._connections: dict[int, set[Name]] = {}
        """Of each connection that is there: those that it asked for and that are not on disk."""

    def start(self, connection: int, name: Name, work: Coroutine[None, None, Map]) -> None:
        """Have a save persisted."""
        outcome: asyncio.Future[Map] = asyncio.get_running_loop().create_future()
        self._outcomes[name] = outcome
        mine = self._connections.setdefault(connection, set())
        mine.add(name)

        async def run() -> None:
            try:
                outcome.set_result(await work)
            except asyncio.CancelledError:
                outcome.cancel()
                raise
            except Exception as error:
                outcome.set_exception(error)
                outcome.exception()  # looked at: it may be that nobody asks
                if self._connections.get(connection) is not mine:
                    self._forget(name, outcome)
                if not isinstance(error, CkptdError):
                    raise
            else:
                mine.discard(name)
                self._forget(name, outcome)  # the catalog has it from here on

        self.begin(run())

    def has(self, name: Name) -> bool:
        """Whether a save is on its way, and has not failed."""
        outcome = self._outcomes.get(name)
        return outcome is not None and not outcome.done()

    async def outcome(self, name: Name) -> Map | None:
        """What the save answers once it is on disk, or its error raised; None for one that isn't on its way."""
        outcome = self._outcomes.get(name)
        return None if outcome is None else await asyncio.shield(outcome)

    def dropped(self, connection: int) -> None:
        """A connection ended: nobody asks any more for what failed."""
        for name in self._connections.pop(connection, ()):
            outcome = self._outcomes.get(name)
            if outcome is not None and outcome.done():
                self._forget(name, outcome)

    def _forget(self, name: Name, outcome: "asyncio.Future[Map]") -> None:
        # Under an alias a later save may have the name by now.
        if self._outcomes.get(name) is outcome:
            del self._outcomes[name]
