"""What both drivers share: one connection (`Link`), and what a client has beside it (`Session`).

A link moves bytes when it is told to and settles the flights whose replies came. When to wait, for how long and what
to do when the connection is lost is the drivers'; one with threads holds its lock around every method but `fileno`.
"""

import os
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ckptclient import clock
from ckptclient.calls import Call
from ckptclient.discovery import Finder
from ckptclient.errors import BadRequest, CkptdError, ProtocolError, Unreachable
from ckptclient.flight import TIMEOUT_SECONDS, Backoff, Flight, Flights, OnUnavailable, checked
from ckptclient.results import Welcome
from ckptclient.wire import limits
from ckptclient.wire.connection import Connection, Role
from ckptclient.wire.messages import Reply

if TYPE_CHECKING:
    from ckptclient.staging import Staging

READ_BYTES = 64 << 10

_ANCILLARY_BYTES = socket.CMSG_SPACE(limits.descriptors_max * 4)


class Link:
    """A connected socket and the flights that go over it."""

    def __init__(self, connected: socket.socket, flights: Flights) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._flights = flights
        self._connection = Connection(Role.CLIENT)
        self._unsent: deque[tuple[Flight[Any], bytes | memoryview]] = deque()
        self._passes = False
        self._descriptors: deque[int] = deque()
        self.broken = False
        """Nothing can be sent any more; what the peer said before may still be there to be read."""
        self.lost = False
        """The peer is gone, and everything that it said before has been read."""

    def fileno(self) -> int:
        """The socket's descriptor, for polling."""
        return self._socket.fileno()

    @property
    def unsent(self) -> bool:
        """Whether something waits for the socket to be writable."""
        return bool(self._unsent) and not self.broken

    def push(self, flight: Flight[Any]) -> None:
        """Send a flight's request behind what waits already; one that can't be sent at all lands with the reason."""
        if flight.done:
            return
        try:
            frame = self._connection.send(flight.request())
        except BadRequest as error:
            self._flights.refuse(flight, error)
        except Unreachable:
            self.broken = True
        else:
            self._passes = self._passes or flight.call.passes
            self._unsent.append((flight, frame))
            if len(self._unsent) == 1:
                self.flush()

    def flush(self) -> None:
        """Send as much as the socket takes."""
        while self._unsent:
            flight, rest = self._unsent[0]
            try:
                # The signal would end a program that set SIGPIPE back to its default.
                sent = self._socket.send(rest, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                # Not `lost` yet: what the daemon answered before it went can still be read.
                self.broken = True
                return
            if sent == len(rest):
                self._unsent.popleft()
                flight.sent = True
            else:
                self._unsent[0] = (flight, memoryview(rest)[sent:])

    def pull(self) -> None:
        """Read what is there and settle it. After a violation of the protocol everything under way lands with it."""
        while not self.lost:
            try:
                data = self._receive() if self._passes else self._socket.recv(READ_BYTES)
            except BlockingIOError:
                self.lost = self.broken
                return
            except OSError:
                data = b""
            self._settle(data)
            if 0 < len(data) < READ_BYTES:
                return

    def _receive(self) -> bytes:
        """As recv, with descriptors; only where a reply may bring some, because it costs more."""
        data, ancillary, flags, _ = self._socket.recvmsg(READ_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        for level, kind, raw in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._descriptors.extend(memoryview(raw[: len(raw) - len(raw) % 4]).cast("i"))
        return b"" if flags & socket.MSG_CTRUNC else data  # a daemon that sends too many is no daemon

    def _with_descriptors(self, reply: Reply) -> Reply:
        """A reply that announces descriptors, with them in the place of their number."""
        if not isinstance(reply.result, dict):
            return reply
        result: dict[str, object] = reply.result
        count = result.get("descriptors")
        if not count:
            return reply
        if type(count) is not int or count > len(self._descriptors):
            raise ProtocolError(f"a reply announces descriptors ({count}), and {len(self._descriptors)} came")
        return Reply(reply.id, None, {**result, "descriptors": [self._descriptors.popleft() for _ in range(count)]})

    def _settle_passing(self, reply: Reply) -> None:
        whole = self._with_descriptors(reply)
        if not self._flights.settle(whole) and whole is not reply:
            for descriptor in whole.result["descriptors"]:  # type: ignore[index]  # put there by `_with_descriptors`
                os.close(descriptor)

    def _settle(self, data: bytes) -> None:
        violation: ProtocolError | None = None
        try:
            self._connection.receive(data)
        except ProtocolError as error:
            violation = error
        for event in self._connection.received:
            if type(event) is Reply:
                if self._passes:
                    try:
                        self._settle_passing(event)
                    except ProtocolError as error:
                        violation = error
                        break
                else:
                    self._flights.settle(event)
        if violation is not None:
            self._flights.end(violation)
        self.lost = violation is not None or not data

    def close(self) -> None:
        """Close the socket; harmless when repeated, and in a forked child no word to the daemon."""
        self.lost = True
        self._socket.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())


class HelloLost(Unreachable):
    """A daemon accepted the connection and went away: another try tells whether there is one."""


HELLOS_LOST_MAX = 3
"""In a row, before a client that doesn't wait for a daemon takes it for gone."""


class Session:
    """A client apart from how it waits: its choices, its name to the daemon, what it has under way."""

    def __init__(
        self,
        socket_path: str | os.PathLike[str] | None = None,
        *,
        storage_path: str | os.PathLike[str] | None = None,
        settings: tuple[tuple[str, str], ...] = (),
        on_unavailable: OnUnavailable = "block",
        timeout: float = TIMEOUT_SECONDS,
        finder: Finder | None = None,
        backoff: Backoff | None = None,
        jitter: Callable[[], float] = clock.jitter,
    ) -> None:
        """`socket_path`, `storage_path` and `settings` as in `discovery.Finder`; `timeout` in seconds for each call."""
        self._finder = finder or Finder(socket_path, storage_path, settings)
        self._on_unavailable = checked(on_unavailable)
        self._timeout = timeout
        self._backoff = backoff or Backoff()
        self._jitter = jitter
        self._closed = False
        self._hooks: list[Callable[..., Any]] = []
        self._begin()

    def _begin(self) -> None:
        self.session = os.urandom(limits.session_bytes)
        """Names this client to the daemon; another one in a forked child."""
        self._flights = Flights()
        self._link: Link | None = None
        self._welcome: Welcome | None = None
        self._staging: Staging | None = None

    @property
    def connection(self) -> int:
        """Names the connection that is there, for calls that are tied to it (uploads)."""
        return self._flights.connection

    @property
    def welcome(self) -> Welcome | None:
        """What the daemon said of itself at the latest hello; None before the first call."""
        return self._welcome

    def _limit(self, call: Call[Any], timeout: float | None) -> tuple[float, float]:
        """Seconds that a call may take, and the moment when they are over."""
        seconds = timeout if timeout is not None else call.timeout_seconds
        seconds = seconds if seconds is not None else self._timeout
        return seconds, clock.monotonic() + seconds

    def _pause(self, tries: int) -> float:
        return self._backoff.pause(tries, self._jitter())

    def _gives_up(self, error: CkptdError, tries: int) -> bool:
        """Whether a failed attempt to connect, after `tries` before it, ends the call."""
        if not error.retryable or self._on_unavailable == "block" or self._finder.starting:
            return not error.retryable
        return not isinstance(error, HelloLost) or tries >= HELLOS_LOST_MAX

    def _late(self, flight: Flight[Any], seconds: float) -> CkptdError:
        return flight.late(seconds, "" if self._link is not None else f"; {self._finder.looked()}")
