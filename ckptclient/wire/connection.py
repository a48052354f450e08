"""One connection's conversation; owns the terms *state* (of a connection) and *step*.

Theory of operation. Both ends run the same machine over the same conversation: what one end sends is a step of its
machine when it is packed, and the same step of the other end's machine when it is parsed. So there is one table for
both roles, and who may take a step is a second, smaller table. A pair of state and step that isn't in the table is
refused: where the peer took it, as `ProtocolError`, after which the connection is CLOSED and nothing more is read;
where this end tried to, as `OutOfTurn`, which is a bug of the caller's and changes nothing.

    EXPECT_HELLO --hello--> EXPECT_WELCOME --welcome--> OPEN --close--> CLOSING --end--> CLOSED
                                           --refusal-----------------> CLOSING

A client sends nothing between its hello and the answer, because before it neither end knows which version the next
message would be. In CLOSING nothing new begins, and what was begun is still answered: requests that cross with the
close are dropped without an answer, and the client asks again on its next connection under the same request number.
The end of the peer's stream is the end of the conversation, in the middle of a frame too: a peer may die at any byte.

Not for: sockets, deadlines and request numbers (the drivers'), nor whether a method exists and its parameters are
right (the daemon's table of methods): these are answered by an error and the conversation goes on.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from ckptclient.errors import ProtocolError, Unreachable, VersionMismatch
from ckptclient.wire import limits
from ckptclient.wire.frames import Decoder
from ckptclient.wire.messages import Message, Reply, Request, pack, parse

HELLO: Final = "hello"
"""The method that must come first and only once."""


class Role(Enum):
    """Which end this is."""

    CLIENT = "client"
    SERVER = "server"


class State(Enum):
    """Where the conversation stands."""

    EXPECT_HELLO = "expect-hello"
    EXPECT_WELCOME = "expect-welcome"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"

    # Members are singletons; the inherited hash runs Python code at each of the two look-ups of a message.
    __hash__ = object.__hash__


class Step(Enum):
    """What moves the conversation."""

    HELLO = "hello"
    WELCOME = "welcome"
    REFUSAL = "refusal"
    REQUEST = "request"
    REPLY = "reply"
    NOTIFICATION = "notification"
    CLOSE = "close"
    END = "end"

    __hash__ = object.__hash__


TABLE: Final[Mapping[tuple[State, Step], State]] = {
    (State.EXPECT_HELLO, Step.HELLO): State.EXPECT_WELCOME,
    (State.EXPECT_HELLO, Step.CLOSE): State.CLOSING,
    (State.EXPECT_HELLO, Step.END): State.CLOSED,
    (State.EXPECT_WELCOME, Step.WELCOME): State.OPEN,
    (State.EXPECT_WELCOME, Step.REFUSAL): State.CLOSING,
    (State.EXPECT_WELCOME, Step.CLOSE): State.CLOSING,
    (State.EXPECT_WELCOME, Step.END): State.CLOSED,
    (State.OPEN, Step.REQUEST): State.OPEN,
    (State.OPEN, Step.REPLY): State.OPEN,
    (State.OPEN, Step.NOTIFICATION): State.OPEN,
    (State.OPEN, Step.CLOSE): State.CLOSING,
    (State.OPEN, Step.END): State.CLOSED,
    # The answer to a hello may cross with the close, as any other.
    (State.CLOSING, Step.WELCOME): State.CLOSING,
    (State.CLOSING, Step.REFUSAL): State.CLOSING,
    (State.CLOSING, Step.HELLO): State.CLOSING,
    (State.CLOSING, Step.REQUEST): State.CLOSING,
    (State.CLOSING, Step.REPLY): State.CLOSING,
    (State.CLOSING, Step.NOTIFICATION): State.CLOSING,
    (State.CLOSING, Step.CLOSE): State.CLOSING,
    (State.CLOSING, Step.END): State.CLOSED,
    (State.CLOSED, Step.CLOSE): State.CLOSED,
    (State.CLOSED, Step.END): State.CLOSED,
}
"""(state, step) to the next state. What is not here is refused."""

TAKES: Final[Mapping[Role, frozenset[Step]]] = {
    Role.CLIENT: frozenset({Step.HELLO, Step.REQUEST}),
    Role.SERVER: frozenset({Step.WELCOME, Step.REFUSAL, Step.REPLY, Step.NOTIFICATION}),
}
"""Which messages a role sends, and so which ones it never receives. CLOSE and END are anybody's."""

_Moves: TypeAlias = Mapping[State, Mapping[Step, State]]


def _moves(role: Role) -> _Moves:
    """The role's steps of the table, by state."""
    steps = TAKES[role]
    return {
        state: {step: following for (begun, step), following in TABLE.items() if begun is state and step in steps}
        for state in State
    }


_MOVES: Final[Mapping[Role, _Moves]] = {role: _moves(role) for role in Role}
_PEER: Final[Mapping[Role, Role]] = {Role.CLIENT: Role.SERVER, Role.SERVER: Role.CLIENT}


class OutOfTurn(RuntimeError):
    """This end tried a step that the conversation doesn't allow: a bug of the caller's."""


class PeerClosed(NamedTuple):
    """The peer's stream ended, `unfinished_bytes` into a frame (0: between two)."""

    unfinished_bytes: int


Event: TypeAlias = Message | PeerClosed
"""What `receive` gives: the messages themselves, and at last the end."""


class Connection:
    """The machine of one connection, for either role. Not thread-safe: the driver holds its lock."""

    __slots__ = (
        "_decoder",
        "_hello_id",
        "_ids",
        "_inbound",
        "_outbound",
        "frame_bytes_max",
        "received",
        "role",
        "state",
    )

    def __init__(self, role: Role, frame_bytes_max: int = limits.frame_bytes_max) -> None:
        self.role = role
        self.frame_bytes_max = frame_bytes_max
        self.state = State.EXPECT_HELLO
        self.received: list[Event] = []
        """What the latest `receive` gave; where it raised, what came before the violation."""
        self._outbound, self._inbound = _MOVES[role], _MOVES[_PEER[role]]
        self._decoder = Decoder(frame_bytes_max)
        self._ids: set[int] = set()
        self._hello_id: int | None = None

    @property
    def bytes_buffered(self) -> int:
        """Bytes of an unfinished frame that are held: at most `frame_bytes_max` and a header."""
        return self._decoder.bytes_held

    @property
    def in_flight(self) -> int:
        """Requests without an answer yet, the hello among them. The bound is the driver's to keep."""
        return len(self._ids)

    @property
    def finished(self) -> bool:
        """Nothing more will be said: closed, or closing with every request answered."""
        return self.state is State.CLOSED or (self.state is State.CLOSING and not self._ids)

    def receive(self, data: bytes, fds: int = 0, *, truncated: bool = False) -> list[Event]:
        """The events in the bytes of one read; no bytes are the end of the peer's stream.

        `fds` counts the descriptors that came with the read and `truncated` is MSG_CTRUNC; the caller owns the
        descriptors. Only the daemon passes any, with the reply that announces them: none may come to it.
        Raises `ProtocolError` at a violation: the state is CLOSED then, and `received` has what came before it.
        """
        events: list[Event] = []
        self.received = events
        try:
            if truncated or (fds and self.role is Role.SERVER):
                accepted = "none" if self.role is Role.SERVER else f"up to {limits.descriptors_max} with a reply"
                raise ProtocolError(
                    f"{'too many' if truncated else fds} descriptors came", hint=f"accepted: {accepted}"
                )
            if not data:
                return self._end(events)
            if self.state is State.CLOSED:
                raise ProtocolError("bytes came after the end of the conversation")
            for body in self._decoder.feed(data):
                self._take(parse(body), events)
        except ProtocolError:
            self.state = State.CLOSED
            self._decoder = Decoder(self.frame_bytes_max)
            raise
        return events

    def send(self, message: Message) -> bytes:
        """The frame of a message that this end sends now; nothing where the reply's reader is gone.

        Raises `BadRequest` for a message that fits no frame, `Unreachable` for a request on a connection that is
        closing, `OutOfTurn` for what this role may not say now. Then nothing is sent and nothing has changed.
        """
        if type(message) is Request:
            if self.state is State.CLOSING or self.state is State.CLOSED:
                raise Unreachable("the connection is closing", hint="send it again on a new one")
        elif self.state is State.CLOSED:
            return b""
        step = self._step_of(message)
        following = self._outbound[self.state].get(step)
        if following is None:
            raise OutOfTurn(f"a {self.role.value} may not send a {step.value} when {self.state.value}")
        if type(message) is Request:
            if message.id in self._ids:
                raise OutOfTurn(f"message id {message.id} is in flight")
        elif type(message) is Reply and message.id not in self._ids:
            raise OutOfTurn(f"message id {message.id} is not in flight")
        frame = pack(message, self.frame_bytes_max)
        self._account(message, step)
        self.state = following
        return frame

    def close(self) -> None:
        """Begin nothing new from here on; what was begun is still answered."""
        self.state = TABLE[self.state, Step.CLOSE]

    def _end(self, events: list[Event]) -> list[Event]:
        if self.state is not State.CLOSED:
            events.append(PeerClosed(self._decoder.bytes_held))
            self._decoder = Decoder(self.frame_bytes_max)
        self.state = TABLE[self.state, Step.END]
        return events

    def _take(self, message: Message, events: list[Event]) -> None:
        step = self._step_of(message)
        following = self._inbound[self.state].get(step)
        if following is None:
            raise ProtocolError(
                f"a {step.value} came when {self.state.value}",
                hint="a connection begins with one hello, and goes on when it was answered",
            )
        if type(message) is Request:
            if self.state is State.CLOSING:
                return
            if message.id in self._ids:
                raise ProtocolError(f"message id {message.id} is already in flight")
        elif type(message) is Reply and message.id not in self._ids:
            raise ProtocolError(f"a reply came to message id {message.id}, which is not in flight")
        self._account(message, step)
        self.state = following
        events.append(message)

    def _step_of(self, message: Message) -> Step:
        if type(message) is Request:
            return Step.HELLO if message.method == HELLO else Step.REQUEST
        if type(message) is Reply:
            if message.id != self._hello_id:
                return Step.REPLY
            return Step.WELCOME if message.error is None else Step.REFUSAL
        return Step.NOTIFICATION

    def _account(self, message: Message, step: Step) -> None:
        if type(message) is Request:
            self._ids.add(message.id)
            if step is Step.HELLO:
                self._hello_id = message.id
        elif type(message) is Reply:
            self._ids.remove(message.id)
            if step is not Step.REPLY:
                self._hello_id = None


def negotiate(offered: tuple[int, ...], spoken: tuple[int, ...] = (limits.PROTOCOL_VERSION,)) -> int:
    """The newest version that both speak; raises `VersionMismatch` naming what is needed where there is none."""
    common = set(offered) & set(spoken)
    if common:
        return max(common)
    needed = ", ".join(map(str, spoken))
    older = bool(offered) and max(offered) < min(spoken)
    raise VersionMismatch(
        f"this daemon speaks protocol version {needed} and the client {', '.join(map(str, offered)) or 'none'}",
        hint=f"{'' if older else 'upgrade the daemon, or '}use a client that speaks version {needed}",
        details={"spoken": list(spoken), "offered": list(offered)},
    )
