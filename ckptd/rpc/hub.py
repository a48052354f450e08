"""What the sessions of one daemon share: the table to dispatch by, the slots, what is in hand, and the turn.

Replies that fall due in one turn of the loop are sent together: whoever has something to send is noted here, and one
call at the end of the turn serves them all. The hub owns every task and future of a request until it is done.
Not for: what a session says (`session`), nor for sockets that listen (`listener`).
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ckptclient.errors import Damaged, Draining, Internal, ReadOnly
from ckptd.observe import log
from ckptd.observe.metrics import Metrics
from ckptd.rpc.deaths import Deaths
from ckptd.rpc.dispatch import Dispatch
from ckptd.rpc.greeting import Welcome
from ckptd.rpc.limits import Bounds, Slots
from ckptd.service.caller import Caller

LOG = log.get(__name__)

_FAILURES: Final = frozenset(kind.code for kind in (Internal, Damaged, ReadOnly))


class Member(Protocol):
    """A session, as far as the hub knows one."""

    @property
    def number(self) -> int:
        """The connection's, for the log."""

    def turn(self) -> None:
        """Do what there is to do now."""

    def close(self, why: str) -> None:
        """End, and give everything back."""


@dataclass(frozen=True, slots=True)
class Ties:
    """Whom the services hear of: a caller that said hello, and the same when its connection has ended."""

    connected: Callable[[Caller], object]
    disconnected: Callable[[Caller], object]


class Hub:
    """One for each daemon; used on the loop's thread alone."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        dispatch: Dispatch,
        deaths: Deaths,
        bounds: Bounds,
        welcome: Welcome,
        ties: Ties,
        metrics: Metrics,
    ) -> None:
        self.loop: Final = loop
        self.dispatch: Final = dispatch
        self.deaths: Final = deaths
        self.bounds: Final = bounds
        self.welcome: Final = welcome
        self.ties: Final = ties
        self.metrics: Final = metrics
        self.slots: Final = Slots(bounds)
        self.numbers: Final = itertools.count(1)
        self.refusals = 0
        self.sessions: Final[set[Member]] = set()
        self.reads: Final[set[asyncio.Future[Any]]] = set()
        self.mutations: Final[set[asyncio.Future[Any]]] = set()
        """What is in hand: mutations end by themselves, whatever becomes of their connections; reads may be cancelled."""
        self._due: list[Member] = []
        self._settled: asyncio.Future[None] | None = None

    def touch(self, session: Member) -> None:
        """Give the session a turn at the end of this one."""
        if not self._due:
            self.loop.call_soon(self._turn)
        self._due.append(session)

    def _turn(self) -> None:
        due, self._due = self._due, []
        for session in due:
            try:
                session.turn()
            except Exception:  # what one connection met is not the others' business
                LOG.exception("a connection met a bug", connection=session.number)
                session.close("the daemon met a bug of its own")

    def own(self, future: "asyncio.Future[Any]", *, mutates: bool) -> None:
        """Keep a request's future until it is done."""
        (self.mutations if mutates else self.reads).add(future)

    def done(self, future: "asyncio.Future[Any]") -> None:
        """A request's future is done."""
        self.mutations.discard(future)
        self.reads.discard(future)
        if self._settled is not None and not self.mutations and not self._settled.done():
            self._settled.set_result(None)

    def refused(self, method: str, code: str) -> None:
        """Count what was refused, by its code; and a mutation that failed by no fault of who asked for it."""
        self.metrics.count(f"errors_{code.lower()}_total")
        if code in _FAILURES and (route := self.dispatch.named(method)) is not None and route.method.mutates:
            self.metrics.count("writes_failed_total")

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        """Do what no peer waits for, a death's consequences: it ends before the daemon does."""
        task = self.loop.create_task(work)
        self.own(task, mutates=True)
        task.add_done_callback(self._begun_ended)

    def _begun_ended(self, task: "asyncio.Task[Any]") -> None:
        self.done(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("what was begun met a bug", exc_info=error)

    async def stop(self, seconds: float) -> bool:
        """Admit nothing new, let mutations end within `seconds`, answer everything, close; whether all of them ended."""
        self.dispatch.draining = Draining("the daemon is stopping", hint="the client asks again once it is back")
        if self.mutations:
            self._settled = self.loop.create_future()
            try:
                async with asyncio.timeout(seconds):
                    await self._settled
            except TimeoutError:
                LOG.warning("mutations were still in hand when the time to stop was over", count=len(self.mutations))
        settled = not self.mutations
        left = [*self.reads, *self.mutations]
        for future in left:
            future.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        # What these had to say is said in the turn that follows.
        turn = self.loop.create_future()
        self.loop.call_soon(turn.set_result, None)
        await turn
        for session in tuple(self.sessions):
            session.close("the daemon stopped")
        return settled
