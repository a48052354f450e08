"""What a session has under way, and what becomes of it; owns the terms *flight* and *session*. Sans-I/O.

A flight is one call from its submission to its answer. It outlives connections: after a reconnect every unanswered
flight is sent again, in the old order and under the old request number, which the daemon applies at most once. The
daemon keeps the answers to the last `limits.request_ids_kept` mutations of a session, so no number may run further
than that ahead of the oldest one unanswered: `Flights.room` says when to wait.

Which errors are worth another try, and after how long, is data here; the waiting is the drivers'.
"""

from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar, cast, get_args

from ckptclient.calls import Call
from ckptclient.errors import BadRequest, Busy, CkptdError, TimedOut, Unreachable
from ckptclient.wire import limits
from ckptclient.wire.messages import Reply, Request, error_from_wire

T = TypeVar("T")

OnUnavailable: TypeAlias = Literal["block", "raise"]
"""What a call does while no daemon answers: wait for it until the call's time is over, or raise UNREACHABLE at once."""

TIMEOUT_SECONDS = 60.0
"""For a call without a time limit of its own."""

NAP_SECONDS_MAX = 3600.0
"""Longest single wait; who waits longer waits again."""

REQUESTS_UNTIL_WELCOME = 64
"""In flight on a connection, until the daemon's hello has named its own bound."""


class Backoff(NamedTuple):
    """How long to wait before another try: doubled each time, and spread so that many clients don't come at once."""

    first_seconds: float = 0.005
    last_seconds: float = 1.0

    def pause(self, tries: int, jitter: float) -> float:
        """Seconds before the next try after `tries` in vain; `jitter` is drawn from 0 to 1."""
        whole = min(self.last_seconds, self.first_seconds * 2.0 ** min(tries, 30))
        return whole * (0.5 + jitter / 2)


class Flight(Generic[T]):
    """One call under way."""

    __slots__ = ("_error", "_value", "call", "done", "id", "sent", "tries")

    def __init__(self, call: Call[T], number: int) -> None:
        self.call = call
        self.id = number
        self.sent = False
        """Whether all of it went to a connection, this one or an earlier: from then on it may have happened."""
        self.done = False
        self.tries = 0
        """How often it was refused for a moment."""
        self._value: T | None = None
        self._error: CkptdError | None = None

    def request(self) -> Request:
        """The message, the same each time."""
        return Request(self.id, self.call.method, self.call.packed())

    def land(self, value: T | None, error: CkptdError | None) -> None:
        """The answer is there."""
        self._value, self._error, self.done = value, error, True

    def answer(self) -> T:
        """What the daemon answered, or its error raised."""
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    @property
    def refused_for_a_moment(self) -> bool:
        """Whether nothing was applied and another try under the same number may do: the daemon is busy or stopping."""
        return isinstance(self._error, Busy)

    def cut_off(self, error: Unreachable) -> Unreachable:
        """The error for a daemon that went away and doesn't come back: whether the call may have happened."""
        if not self.sent:
            return error
        return Unreachable(
            f"{self.call.method} was sent and not answered; {error.message}",
            hint="it may have happened; read the state before you act on it",
            details={**error.details, "request": self.call.number},
        )

    def late(self, seconds: float, looked: str) -> CkptdError:
        """The error for a time limit that passed; what was never sent did certainly not happen."""
        if self.sent:
            return TimedOut(
                f"{self.call.method} was not answered within {seconds:g} s{looked}",
                hint="it may still happen; read the state before you act on it, or wait for the same call again",
            )
        return Unreachable(
            f"{self.call.method} could not be sent within {seconds:g} s{looked}",
            hint="nothing happened; see that the daemon runs (ckptctl status), and try again",
        )


class Flights:
    """The flights of one session, in the order of their submission."""

    def __init__(self) -> None:
        self.requests_max = REQUESTS_UNTIL_WELCOME
        self.connection = 0
        """Counts the connections that were lost: names the one that is there."""
        self._open: dict[int, Flight[Any]] = {}
        self._numbers: dict[int, int] = {}  # message id of a mutation under way -> its request number
        self._next_id = 1
        self._next_number = 1

    def __len__(self) -> int:
        return len(self._open)

    def next_request(self) -> int:
        """A request number that was never given out before."""
        number = self._next_number
        self._next_number += 1
        return number

    def room(self, call: Call[Any]) -> bool:
        """Whether a call may be submitted now, or must wait until another has landed."""
        if len(self._open) >= self.requests_max:
            return False
        if not call.mutates or call.number is not None or not self._numbers:
            return True
        return self._next_number - min(self._numbers.values()) < limits.request_ids_kept

    def begin(self, call: Call[T]) -> Flight[T]:
        """Submit a call: here, and nowhere else, a mutation gets its number."""
        if call.mutates and call.number is None:
            call = call.bind(self.next_request())
        flight = Flight(call, 0)
        self._enter(flight)
        if call.connection not in (None, self.connection):
            self.refuse(flight, _gone(call))
        return flight

    def again(self, flight: Flight[Any]) -> None:
        """Submit a flight once more that was refused for a moment."""
        flight.tries += 1
        flight.done = False
        self._enter(flight)

    def settle(self, reply: Reply) -> bool:
        """A reply came: its flight lands. One for which nobody waits any more is ignored: False."""
        flight = self._open.get(reply.id)
        if flight is None:
            return False
        self.forget(flight)
        if reply.error is not None:
            flight.land(None, error_from_wire(reply.error))
            return True
        try:
            flight.land(flight.call.read(reply.result), None)
        except CkptdError as error:
            flight.land(None, error)
        return True

    def refuse(self, flight: Flight[Any], error: CkptdError) -> None:
        """A flight lands with an error that is not the daemon's."""
        self.forget(flight)
        flight.land(None, error)

    def forget(self, flight: Flight[Any]) -> None:
        """Nobody waits for this one any more; it is not sent again."""
        self._open.pop(flight.id, None)
        self._numbers.pop(flight.id, None)

    def lost(self) -> None:
        """The connection is gone: what was tied to it lands with an error, the rest waits for the next one."""
        self.connection += 1
        for flight in self.under_way():
            if flight.call.connection is not None:
                self.refuse(flight, _gone(flight.call))

    def end(self, error: CkptdError) -> None:
        """The session is over: everything lands with the error."""
        for flight in self.under_way():
            self.refuse(flight, error)

    def under_way(self) -> list[Flight[Any]]:
        """Everything unanswered in the order of submission: what a new connection is sent."""
        return list(self._open.values())

    def _enter(self, flight: Flight[Any]) -> None:
        flight.id = self._next_id
        self._next_id = flight.id % limits.message_id_max + 1
        self._open[flight.id] = flight
        if flight.call.number is not None:
            self._numbers[flight.id] = flight.call.number


def checked(on_unavailable: OnUnavailable) -> OnUnavailable:
    """The choice as it was given; raises USAGE where it is none."""
    if on_unavailable not in get_args(OnUnavailable):
        raise BadRequest(f"on_unavailable is {on_unavailable!r}", hint="accepted: block, raise")
    return on_unavailable


def closed() -> CkptdError:
    """The error for whoever uses a client after its end."""
    return BadRequest("the client is closed", hint="make another one")


def full(call: Call[Any], seconds: float) -> CkptdError:
    """The error for a call that found no room in time."""
    return Busy(
        f"{call.method} waited {seconds:g} s for others in flight", hint="wait for the results of some of them first"
    )


def _gone(call: Call[Any]) -> Unreachable:
    return Unreachable(
        f"{call.method} belongs to a connection that was lost, and its upload with it",
        hint="upload the parts again, and save under the same request number",
        details={"connection": call.connection, "request": call.number},
    )
