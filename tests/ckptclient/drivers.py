"""The drivers behind one face, so that one suite holds all of them to the same promises."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import uvloop

from ckptclient.aio import AsyncClient, AsyncPending
from ckptclient.calls import Call
from ckptclient.sync import Client, Pending

T = TypeVar("T")
Exchange = Callable[[Call[Any]], Any]


class Threads:
    """`Client` as it is."""

    def __init__(self, **options: Any) -> None:
        self._client = Client(**options)
        self.client: Client | AsyncClient = self._client
        self._pool = ThreadPoolExecutor(16)

    def call(self, call: Call[T], timeout: float | None = None) -> T:
        return self._client.call(call, timeout)

    def submit(self, call: Call[T], timeout: float | None = None) -> Pending[T]:
        return self._client.submit(call, timeout)

    def on_reconnect(self, hook: Callable[[Exchange], None]) -> None:
        self._client.on_reconnect(hook)

    def start(self, call: Call[T], timeout: float | None = None) -> "Future[T]":
        """A call that is under way when this returns, or soon after."""
        return self._pool.submit(self.call, call, timeout)

    def start_submit(self, call: Call[Any]) -> "Future[Any]":
        """A submission that is under way when this returns, or soon after."""
        return self._pool.submit(self.submit, call)

    def close(self) -> None:
        self._client.close()

    def end(self) -> None:
        self.close()
        self._pool.shutdown()


class _PendingOnLoop:
    def __init__(self, run: Callable[[Awaitable[T]], T], pending: AsyncPending[Any]) -> None:
        self._run = run
        self._pending = pending
        self.request = pending.request

    def result(self, timeout: float | None = None) -> Any:
        return self._run(self._pending.result(timeout))

    def done(self) -> bool:
        return self._pending.done()


class OnLoop:
    """`AsyncClient` on a loop in a thread of its own, called from others."""

    def __init__(self, factory: Callable[[], asyncio.AbstractEventLoop], **options: Any) -> None:
        self._client = AsyncClient(**options)
        self.client: Client | AsyncClient = self._client
        self._pool = ThreadPoolExecutor(16)
        self._loop = factory()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def _run(self, coroutine: Awaitable[T]) -> T:
        async def whole() -> T:
            return await coroutine

        return asyncio.run_coroutine_threadsafe(whole(), self._loop).result()

    def call(self, call: Call[T], timeout: float | None = None) -> T:
        return self._run(self._client.call(call, timeout))

    def submit(self, call: Call[T], timeout: float | None = None) -> _PendingOnLoop:
        return _PendingOnLoop(self._run, self._run(self._client.submit(call, timeout)))

    def on_reconnect(self, hook: Callable[[Exchange], None]) -> None:
        """The hook runs in a thread, as the other drivers' does; the loop goes on meanwhile."""

        async def wrapped(exchange: Callable[[Call[Any]], Awaitable[Any]]) -> None:
            await asyncio.to_thread(hook, lambda call: self._run(exchange(call)))

        self._client.on_reconnect(wrapped)

    def start(self, call: Call[T], timeout: float | None = None) -> "Future[T]":
        return self._pool.submit(self.call, call, timeout)

    def start_submit(self, call: Call[Any]) -> "Future[Any]":
        """A submission that is under way when this returns, or soon after."""
        return self._pool.submit(self.submit, call)

    def close(self) -> None:
        self._run(self._client.close())

    def end(self) -> None:
        self.close()
        self._pool.shutdown()
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


Driver = Threads | OnLoop
DRIVERS: dict[str, Callable[..., Driver]] = {
    "threads": Threads,
    "asyncio": lambda **options: OnLoop(asyncio.SelectorEventLoop, **options),
    "uvloop": lambda **options: OnLoop(uvloop.new_event_loop, **options),
}
