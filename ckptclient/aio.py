"""The driver for asyncio; owns `AsyncClient`. The twin of `sync`: the same calls, limits, errors and order.

No task of its own: the loop calls back when the socket can be read or written, and that settles replies. Connecting
is done by one of the calls that wait, the others wait for it. So nothing outlives the calls, and a cancelled call
leaves nothing behind; what it asked for may still happen. Not thread-safe: a client belongs to the event loop of its
first call, and to the OS process that made it.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar
from weakref import WeakSet

from ckptclient import calls, clock
from ckptclient.calls import Call
from ckptclient.errors import BadRequest, CkptdError, Unreachable
from ckptclient.flight import NAP_SECONDS_MAX, Flight, closed, full
from ckptclient.link import HelloLost, Link, Session

T = TypeVar("T")

AsyncHook: TypeAlias = Callable[[Callable[[Call[Any]], Awaitable[Any]]], Awaitable[None]]
"""Awaited after a reconnect, before anything unanswered is sent again.

It gets a function that makes a call at once over the new connection. The client's own methods would wait for the
connection that the hook is part of.
"""


class AsyncPending(Generic[T]):
    """A call that was submitted; awaitable. Time limits of `result` don't end it: it can be waited for again."""

    __slots__ = ("_client", "_flight")

    def __init__(self, client: "AsyncClient", flight: Flight[T]) -> None:
        self._client = client
        self._flight = flight

    @property
    def request(self) -> int | None:
        """The number of a mutation within the client's session."""
        return self._flight.call.number

    def done(self) -> bool:
        """Whether `result` would return or raise at once."""
        return self._flight.done

    async def result(self, timeout: float | None = None) -> T:  # noqa: ASYNC109 - its passing is an error of ours
        """What the daemon answered, or its error raised; TIMEOUT after `timeout` seconds (None: the client's)."""
        return await self._client.wait(self._flight, timeout)

    def __await__(self) -> Generator[Any, None, T]:
        return self.result().__await__()


class AsyncClient(Session):
    """A session with a daemon. Connects at its first call, and again by itself for as long as it is used."""

    def _begin(self) -> None:
        super()._begin()
        self._connecting = False
        self._turns: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._forked = False
        _clients.add(self)

    def next_request(self) -> int:
        """A request number for a call that the caller binds itself."""
        return self._flights.next_request()

    def on_reconnect(self, hook: AsyncHook) -> None:
        """Await `hook` after every reconnect; what it raises of `CkptdError` is left to the next call to find."""
        self._hooks.append(hook)

    async def call(self, call: Call[T], timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Make a call and wait for its answer.

        Raises what the daemon answers; TIMEOUT when the time is over (the act may still happen); UNREACHABLE when it
        could not be sent (nothing happened), with every place that was looked at.
        """
        seconds, deadline = self._limit(call, timeout)
        flight = await self._submit(call, seconds, deadline)
        try:
            return await self._wait(flight, seconds, deadline)
        finally:
            self._forget(flight)

    async def submit(self, call: Call[T], timeout: float | None = None) -> AsyncPending[T]:  # noqa: ASYNC109
        """Make a call and don't wait for its answer: returns when the kernel has all of it.

        Waits while too much is in flight. Submissions of one task reach the daemon in their order.
        """
        return AsyncPending(self, await self._submit(call, *self._limit(call, timeout)))

    async def wait(self, flight: Flight[T], timeout: float | None = None) -> T:  # noqa: ASYNC109
        """What `AsyncPending.result` does."""
        return await self._wait(flight, *self._limit(flight.call, timeout))

    async def close(self) -> None:
        """End the session: every call under way raises. Harmless when repeated; processes held are let go by grace."""
        if not self._closed:
            self._closed = True
            self._flights.end(closed())
            self._wake_turns()
            if self._link is not None and not self._forked:
                self._drop(self._link)
            self._finder.close()
            _clients.discard(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()

    def _limit(self, call: Call[Any], timeout: float | None) -> tuple[float, float]:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        if self._forked or self._loop is not asyncio.get_running_loop():
            raise BadRequest(
                f"the client belongs to another {'OS process' if self._forked else 'event loop'}",
                hint="make one where it is used",
            )
        return super()._limit(call, timeout)

    async def _submit(self, call: Call[T], seconds: float, deadline: float) -> Flight[T]:
        await self._drive(lambda: self._closed or self._flights.room(call), deadline, lambda: full(call, seconds))
        if self._closed:
            raise closed()
        flight = self._flights.begin(call)
        try:
            self._push(flight)
            await self._drive(lambda: flight.sent or flight.done, deadline, lambda: self._late(flight, seconds))
        except BaseException:
            self._forget(flight)
            raise
        return flight

    async def _wait(self, flight: Flight[T], seconds: float, deadline: float) -> T:
        while True:
            try:
                await self._drive(lambda: flight.done, deadline, lambda: self._late(flight, seconds))
            except Unreachable as error:
                raise flight.cut_off(error) from error
            if not flight.refused_for_a_moment or self._on_unavailable == "raise":
                return flight.answer()
            pause = self._pause(flight.tries)
            if clock.monotonic() + pause > deadline:
                return flight.answer()
            await self._turn(lambda: self._closed, pause)
            if self._closed:
                raise closed()
            self._flights.again(flight)
            self._push(flight)

    def _push(self, flight: Flight[Any]) -> None:
        link = self._link
        if link is not None:
            link.push(flight)
            self._watch(link)

    def _forget(self, flight: Flight[Any]) -> None:
        if not flight.done:
            self._flights.forget(flight)
            self._wake_turns()  # somebody may have waited for the room

    async def _drive(self, until: Callable[[], bool], deadline: float, late: Callable[[], CkptdError]) -> None:
        """Wait until the condition holds, connecting where nobody else does."""
        connects = False
        try:
            while not until():
                left = min(deadline - clock.monotonic(), NAP_SECONDS_MAX)
                if left <= 0:
                    raise late()
                if self._link is None and (connects or not self._connecting):
                    connects = self._connecting = True
                    await self._connect(deadline)
                else:
                    await self._turn(until, left)
        finally:
            if connects:
                self._connecting = False
            self._pass_on()

    async def _turn(self, until: Callable[[], bool], seconds: float) -> None:
        """Wait until the condition may hold, or it is this one's turn to connect, or the time is over."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns[turn] = until
        try:
            async with asyncio.timeout(seconds):
                await turn
        except TimeoutError:
            return
        finally:
            del self._turns[turn]

    def _watch(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        if link.broken:
            loop.call_soon(self._pump, link)
        elif link.unsent:
            loop.add_writer(link.fileno(), self._pump, link)

    def _pump(self, link: Link) -> None:
        if link.fileno() < 0:
            return
        link.flush()
        link.pull()
        if not link.unsent:
            asyncio.get_running_loop().remove_writer(link.fileno())
        if link.lost and link is self._link:
            self._drop(link)
            self._flights.lost()
            self._pass_on()
        self._wake_turns()

    def _drop(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(link.fileno())
        loop.remove_writer(link.fileno())
        link.close()
        if link is self._link:
            self._link = None

    async def _connect(self, deadline: float) -> None:
        """Try until a connection stands, or the time is over; raises where another try can't help."""
        tries = 0
        while not self._closed:
            try:
                link = Link(self._finder.attempt(), self._flights)
                try:
                    await self._greet(link, deadline)
                except BaseException:
                    self._drop(link)
                    raise
                return
            except CkptdError as error:
                if self._gives_up(error, tries):
                    raise
            left = deadline - clock.monotonic()
            if left <= 0:
                return
            await self._turn(lambda: self._closed, min(left, self._pause(tries)))
            tries += 1

    async def _greet(self, link: Link, deadline: float) -> None:
        async def exchange(call: Call[T]) -> T:
            flight = self._flights.begin(call)
            link.push(flight)
            self._watch(link)
            try:
                while not flight.done:
                    left = deadline - clock.monotonic()
                    if left <= 0 or link.lost or self._closed:
                        raise HelloLost(f"the daemon gave no answer to {call.method} on a new connection")
                    await self._turn(lambda: flight.done or link.lost or self._closed, left)
                return flight.answer()
            finally:
                self._flights.forget(flight)

        asyncio.get_running_loop().add_reader(link.fileno(), self._pump, link)
        again = self._welcome is not None
        self._welcome = await exchange(calls.hello(self.session))
        for hook in self._hooks if again else ():
            try:
                await hook(exchange)
            except CkptdError:
                if link.lost:
                    raise
        self._flights.requests_max = self._welcome.limits.requests_max
        self._link = link
        for flight in self._flights.under_way():
            link.push(flight)
        self._watch(link)
        self._wake_turns()

    def _wake_turns(self) -> None:
        for turn, until in list(self._turns.items()):
            if not turn.done() and (self._closed or until()):
                turn.set_result(None)

    def _pass_on(self) -> None:
        if self._link is None and not self._connecting:
            turn = next((one for one in self._turns if not one.done()), None)
            if turn is not None:
                turn.set_result(None)

    def forked(self) -> None:
        """In a forked child: close the copy of the descriptor. The loop that it was used in is the parent's."""
        self._forked = True
        self._finder.forked()
        if self._link is not None:
            self._link.close()


_clients: "WeakSet[AsyncClient]" = WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client.forked()


os.register_at_fork(after_in_child=_after_fork)
