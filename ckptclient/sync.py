"""The driver for threads; owns `Client`. Thread-safe, many requests in flight from many threads, no thread of its own.

Whoever waits reads. Of the threads that wait, one leads: it polls the socket, settles every reply that comes and
wakes whose reply it was. When its own is there, it hands the lead to another that still waits. So a lone caller's
round trip passes through no other thread, and nothing runs while nobody waits.

The lock is held to submit, to send without blocking and to settle, never while waiting. Only the leader connects,
reads, and closes a lost connection; anybody may send. What the socket doesn't take at once is left to the leader,
which reads while it waits for room, so that two full buffers can't block each other.

After a fork the child has none of it: its descriptors are closed, its session is a new one, and what was under way
is its parent's. Not for: signal handlers, which may interrupt the thread that holds the lock.
"""

import os
import select
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar
from weakref import WeakSet, finalize

from ckptclient import calls, clock
from ckptclient.calls import Call
from ckptclient.errors import BadRequest, CkptdError, Unreachable
from ckptclient.flight import NAP_SECONDS_MAX, Flight, closed, full
from ckptclient.link import HelloLost, Link, Session
from ckptclient.staging import Staging

T = TypeVar("T")

Hook: TypeAlias = Callable[[Callable[[Call[Any]], Any]], None]
"""Called after a reconnect, on the thread that reconnected, before anything unanswered is sent again.

It gets a function that makes a call at once over the new connection and answers its result. The client's own methods
would wait for the connection that the hook is part of.
"""


class Pending(Generic[T]):
    """A call that was submitted. Time limits of `result` don't end it: it can be waited for again."""

    __slots__ = ("_client", "_flight")

    def __init__(self, client: "Client", flight: Flight[T]) -> None:
        self._client = client
        self._flight = flight

    @property
    def request(self) -> int | None:
        """The number of a mutation within the client's session."""
        return self._flight.call.number

    def done(self) -> bool:
        """Whether `result` would return or raise at once; reads what has come and doesn't wait."""
        self._client.poll()
        return self._flight.done

    def result(self, timeout: float | None = None) -> T:
        """What the daemon answered, or its error raised; TIMEOUT after `timeout` seconds (None: the client's)."""
        return self._client.wait(self._flight, timeout)


class Client(Session):
    """A session with a daemon. Connects at its first call, and again by itself for as long as it is used."""

    def _begin(self) -> None:
        super()._begin()
        self._lock = threading.Lock()
        self._leading = False
        self._turns: dict[threading.Lock, Callable[[], bool]] = {}
        # The leader waits for the socket and for this: somebody left bytes unsent, or closed the client.
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller = select.poll()
        self._poll_of: tuple[Link | None, bool] | None = None
        """What the poller watches: the leader's, made again when the connection or what is unsent has changed."""
        self._close_wake = finalize(self, os.close, self._wake)
        _clients.add(self)

    def next_request(self) -> int:
        """A request number for a call that the caller binds itself."""
        with self._lock:
            return self._flights.next_request()

    @property
    def staging(self) -> Staging:
        """The staging buffers of its connection."""
        if self._staging is None:
            self._staging = Staging(self)
        return self._staging

    def on_reconnect(self, hook: Hook) -> None:
        """Have `hook` called after every reconnect; what it raises of `CkptdError` is left to the next call to find."""
        self._hooks.append(hook)

    def call(self, call: Call[T], timeout: float | None = None) -> T:
        """Make a call and wait for its answer.

        Raises what the daemon answers; TIMEOUT when the time is over (the act may still happen); UNREACHABLE when it
        could not be sent (nothing happened), with every place that was looked at.
        """
        seconds, deadline = self._limit(call, timeout)
        flight = self._submit(call, seconds, deadline)
        try:
            return self._wait(flight, seconds, deadline)
        finally:
            if not flight.done:
                self._forget(flight)

    def submit(self, call: Call[T], timeout: float | None = None) -> Pending[T]:
        """Make a call and don't wait for its answer: returns when the kernel has all of it.

        Waits while too much is in flight. Submissions of one thread reach the daemon in their order.
        """
        return Pending(self, self._submit(call, *self._limit(call, timeout)))

    def wait(self, flight: Flight[T], timeout: float | None = None) -> T:
        """What `Pending.result` does."""
        return self._wait(flight, *self._limit(flight.call, timeout))

    def poll(self) -> None:
        """Settle what has come already."""
        with self._lock:
            if self._link is not None and not self._leading and not self._closed:
                self._pump(self._link)

    def close(self) -> None:
        """End the session: every call under way raises. Harmless when repeated; processes held are let go by grace."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._flights.end(closed())
                self._wake_turns()
                os.eventfd_write(self._wake, 1)
                if not self._leading:
                    self._release()
        _clients.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _submit(self, call: Call[T], seconds: float, deadline: float) -> Flight[T]:
        flight = self._admit(call, seconds, deadline)
        try:
            if not flight.sent:
                self._drive(lambda: flight.sent or flight.done, deadline, lambda: self._late(flight, seconds))
        except BaseException:
            self._forget(flight)
            raise
        return flight

    def _admit(self, call: Call[T], seconds: float, deadline: float) -> Flight[T]:
        while True:
            with self._lock:
                if self._closed:
                    raise closed()
                if self._flights.room(call):
                    flight = self._flights.begin(call)
                    self._push(flight)
                    return flight
            self._drive(lambda: self._closed or self._flights.room(call), deadline, lambda: full(call, seconds))

    def _wait(self, flight: Flight[T], seconds: float, deadline: float) -> T:
        while True:
            try:
                self._drive(lambda: flight.done, deadline, lambda: self._late(flight, seconds))
            except Unreachable as error:
                raise flight.cut_off(error) from error
            if not flight.refused_for_a_moment or self._on_unavailable == "raise":
                return flight.answer()
            pause = self._pause(flight.tries)
            if clock.monotonic() + pause > deadline:
                return flight.answer()
            clock.sleep(pause)
            with self._lock:
                if self._closed:
                    raise closed()
                self._flights.again(flight)
                self._push(flight)

    def _push(self, flight: Flight[Any]) -> None:
        if self._link is not None:
            self._link.push(flight)
            if self._link.unsent or self._link.broken:
                os.eventfd_write(self._wake, 1)

    def _forget(self, flight: Flight[Any]) -> None:
        with self._lock:
            self._flights.forget(flight)
            if not self._closed:  # somebody may have waited for the room
                self._wake_turns()
                os.eventfd_write(self._wake, 1)

    def _drive(self, until: Callable[[], bool], deadline: float, late: Callable[[], CkptdError]) -> None:
        """Wait, leading or following, until the condition holds; it is asked with the lock held."""
        leads = False
        try:
            with self._lock:
                if until():
                    return
                leads, self._leading = not self._leading, True
            leads = leads or self._follow(until, deadline, late)
            while leads and not self._lead(until, deadline, late):
                pass
        finally:
            if leads:
                with self._lock:
                    self._leading = False
                    self._pass_on()

    def _follow(self, until: Callable[[], bool], deadline: float, late: Callable[[], CkptdError]) -> bool:
        """Wait until the condition holds, or the lead falls to this thread; whether it has."""
        turn = threading.Lock()
        turn.acquire()
        try:
            while True:
                with self._lock:
                    if until():
                        return False
                    if not self._leading:
                        self._leading = True
                        return True
                    left = _left(deadline, late)
                    self._turns[turn] = until
                turn.acquire(timeout=left)  # held again, whether somebody released it or the time passed
        finally:
            with self._lock:
                self._turns.pop(turn, None)
                if not self._leading:
                    self._pass_on()  # the lead was handed over and is not wanted any more

    def _lead(self, until: Callable[[], bool], deadline: float, late: Callable[[], CkptdError]) -> bool:
        """One step of the leader's, connecting or settling what comes; whether the condition holds then."""
        left = _left(deadline, late)
        link = self._link
        if link is None:
            self._connect(deadline)
            with self._lock:
                return until()
        if not link.broken:
            self._poll(link, left)
        with self._lock:
            self._pump(link)
            return until()

    def _poll(self, link: Link | None, seconds: float) -> None:
        watched = (link, link is not None and link.unsent)
        if self._poll_of != watched:
            self._poller = select.poll()
            self._poller.register(self._wake, select.POLLIN)
            if link is not None:
                self._poller.register(link, select.POLLIN | (select.POLLOUT if link.unsent else 0))
            self._poll_of = watched
        for descriptor, _ in self._poller.poll(seconds * 1000):
            if descriptor == self._wake:
                os.eventfd_read(self._wake)

    def _pump(self, link: Link) -> None:
        link.flush()
        link.pull()
        if link.lost and link is self._link:
            self._link = None
            link.close()
            self._flights.lost()
        if self._turns:
            self._wake_turns()

    def _connect(self, deadline: float) -> None:
        """Try until a connection stands, or the time is over; raises where another try can't help."""
        tries = 0
        while not self._closed:
            try:
                link = Link(self._finder.attempt(), self._flights)
                try:
                    self._greet(link, deadline)
                except BaseException:
                    link.close()
                    raise
                return
            except CkptdError as error:
                if self._gives_up(error, tries):
                    raise
            left = deadline - clock.monotonic()
            if left <= 0:
                return
            self._poll(None, min(left, self._pause(tries)))
            tries += 1

    def _greet(self, link: Link, deadline: float) -> None:
        def exchange(call: Call[T]) -> T:
            with self._lock:
                flight = self._flights.begin(call)
                link.push(flight)
            try:
                while not flight.done:
                    left = deadline - clock.monotonic()
                    if left <= 0 or link.lost or self._closed:
                        raise HelloLost(f"the daemon gave no answer to {call.method} on a new connection")
                    self._poll(link, left)
                    with self._lock:
                        self._pump(link)
                return flight.answer()
            finally:
                with self._lock:
                    self._flights.forget(flight)

        again = self._welcome is not None
        self._welcome = exchange(calls.hello(self.session))
        for hook in self._hooks if again else ():
            try:
                hook(exchange)
            except CkptdError:
                if link.lost:
                    raise
        with self._lock:
            self._flights.requests_max = self._welcome.limits.requests_max
            self._link = link
            for flight in self._flights.under_way():
                link.push(flight)
            self._wake_turns()

    def _wake_turns(self) -> None:
        for turn, until in list(self._turns.items()):
            if self._closed or until():
                del self._turns[turn]
                turn.release()

    def _pass_on(self) -> None:
        if self._closed:
            self._release()
        elif self._turns:
            turn = next(iter(self._turns))
            del self._turns[turn]
            turn.release()

    def _release(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._staging is not None:
            self._staging.forget()
        self._close_wake()
        self._finder.close()

    def forked(self) -> None:
        """In a forked child: let go of what is the parent's and begin a session of its own."""
        if not self._closed:
            self._flights.end(BadRequest("the call was made before the fork", hint="its answer goes to the parent"))
            self._finder.forked()
            self._release()
            self._begin()


def _left(deadline: float, late: Callable[[], CkptdError]) -> float:
    """Seconds that a single wait may take; raises `late` when the time is over."""
    left = min(deadline - clock.monotonic(), NAP_SECONDS_MAX)
    if left <= 0:
        raise late()
    return left


_clients: "WeakSet[Client]" = WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client.forked()


os.register_at_fork(after_in_child=_after_fork)
