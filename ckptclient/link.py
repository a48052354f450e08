"""One connection as both drivers use it: a socket that never blocks, its conversation, and what is not sent yet.

It moves bytes when it is told to and settles the flights whose replies came. When to wait, for how long and what to
do when the connection is lost is the drivers'; a driver holds its own lock around every method but `fileno`.
"""

import socket
from collections import deque
from typing import Any

from ckptclient.errors import BadRequest, ProtocolError, Unreachable
from ckptclient.flight import Flight, Flights
from ckptclient.wire.connection import Connection, Role
from ckptclient.wire.messages import Reply

READ_BYTES = 64 << 10


class Link:
    """A connected socket and the flights that go over it."""

    def __init__(self, connected: socket.socket, flights: Flights) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._flights = flights
        self._connection = Connection(Role.CLIENT)
        self._unsent: deque[tuple[Flight[Any], memoryview]] = deque()
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
        try:
            frame = self._connection.send(flight.request())
        except BadRequest as error:
            self._flights.refuse(flight, error)
        except Unreachable:
            self.broken = True
        else:
            self._unsent.append((flight, memoryview(frame)))
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
                self._unsent[0] = (flight, rest[sent:])

    def pull(self) -> None:
        """Read what is there and settle it; raises `ProtocolError`, the link being lost, where it is no protocol."""
        while not self.lost:
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                self.lost = self.broken
                return
            except OSError:
                data = b""
            self._settle(data)
            if 0 < len(data) < READ_BYTES and not self.broken:
                return

    def _settle(self, data: bytes) -> None:
        try:
            self._connection.receive(data)
        except ProtocolError:
            self.lost = True
            raise
        finally:
            for event in self._connection.received:
                if type(event) is Reply:
                    self._flights.settle(event)
        self.lost = not data

    def close(self) -> None:
        """Close the socket; harmless when repeated, and in a forked child no word to the daemon."""
        self.lost = True
        self._socket.close()
