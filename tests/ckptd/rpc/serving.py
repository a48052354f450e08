"""A served socket with a table of the test's own, and a client that speaks raw frames."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgpack

from ckptclient.wire.fields import Params
from ckptclient.wire.params import Nothing
from ckptd.observe.metrics import Metrics
from ckptd.rpc.deaths import Deaths
from ckptd.rpc.dispatch import Dispatch
from ckptd.rpc.greeting import Welcome
from ckptd.rpc.hub import Hub, Ties
from ckptd.rpc.limits import Bounds
from ckptd.rpc.listener import Listener, bind
from ckptd.rpc.methods import Handler, Method, Route
from ckptd.rpc.peer import Roles
from ckptd.service.caller import Caller, Role

if TYPE_CHECKING:
    from ckptd.core.attempts import Death
    from ckptd.core.ids import Holder

SECONDS = 20.0
"""Every wait ends; none is expected to."""


def route(
    name: str,
    handler: Handler,
    *,
    params: type[Params] = Nothing,
    role: Role = Role.WORKER,
    mutates: bool = False,
    bulky: bool = False,
) -> Route:
    return Route.of(Method(name, params, ("data",) if bulky else (), role, mutates, None), handler)


class Serving:
    """A hub and its listener, and what the services would have heard."""

    def __init__(self, path: Path, routes: Iterable[Route], bounds: Bounds, roles: Roles | None = None) -> None:
        self.path = path
        self.said: list[tuple[str, Caller]] = []
        self.deaths: list[tuple[Holder, Death]] = []
        loop = asyncio.get_running_loop()
        self.watch = Deaths(loop, 8)
        self.watch.told = lambda holder, death: self.deaths.append((holder, death))
        self.hub = Hub(
            loop,
            Dispatch({one.method.name: one for one in routes}),
            self.watch,
            bounds,
            Welcome("ckptd test", b"L" * 16, os.getpid(), bounds.requests_max),
            Ties(lambda who: self.said.append(("connected", who)), lambda who: self.said.append(("gone", who))),
            Metrics(),
        )
        listening, made = bind(path, "")
        self.listener = Listener(self.hub, listening, roles or Roles((), (), os.geteuid()), made)

    async def __aenter__(self) -> Self:
        self.listener.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.listener.close()
        await self.hub.stop(SECONDS)
        self.watch.close()

    async def client(self, *, hello: bool = True) -> "RawClient":
        client = RawClient(self.path)
        if hello:
            assert (await client.hello())["server"] == "ckptd test"
        return client


@contextlib.asynccontextmanager
async def serving(path: Path, *routes: Route, roles: Roles | None = None, **bounds: Any) -> AsyncIterator[Serving]:
    async with Serving(path / "s.sock", routes, Bounds(**bounds), roles) as served:
        yield served


def frame(value: object) -> bytes:
    body: bytes = msgpack.packb(value)
    return struct.pack(">I", len(body)) + body


class RawClient:
    """Sends what it is told, also what no client would."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.connect(os.fspath(path))
        self._ids = 0
        self._held = b""

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(SECONDS):
            await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def receive(self) -> list[Any] | None:
        """The next message; None at the end of the stream."""
        loop = asyncio.get_running_loop()
        while True:
            if len(self._held) >= 4:
                (length,) = struct.unpack(">I", self._held[:4])
                if len(self._held) >= 4 + length:
                    body, self._held = self._held[4 : 4 + length], self._held[4 + length :]
                    message: list[Any] = msgpack.unpackb(body)
                    return message
            async with asyncio.timeout(SECONDS):
                try:
                    data = await loop.sock_recv(self.socket, 1 << 20)
                except ConnectionResetError:
                    data = b""
            if not data:
                return None
            self._held += data

    async def request(self, method: str, params: Mapping[str, object] | None = None) -> int:
        self._ids += 1
        await self.send(frame([0, self._ids, method, params or {}]))
        return self._ids

    async def call(self, method: str, params: Mapping[str, object] | None = None) -> Any:
        """The result, or the error as a map."""
        asked = await self.request(method, params)
        answer = await self.receive()
        assert answer is not None, "the connection ended"
        assert answer[:2] == [1, asked]
        return answer[3] if answer[2] is None else answer[2]

    async def hello(self, **changed: object) -> Any:
        return await self.call("hello", {"versions": [1], "client": "test", "session": b"S" * 16, **changed})

    def close(self) -> None:
        self.socket.close()


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))
