"""One connection, from the accepted socket to its end; owns the order *feed, take, dispatch, flush*.

    feed      one recvmsg; the descriptors that came with it are ours until somebody claims them, and since no request
              brings any they are closed before anything else happens, MSG_CTRUNC or not
    take      complete messages wait in the order in which they came; each begins when those before it have begun
    dispatch  the table's handler answers at once, by a future, or as a coroutine, which becomes a task of the hub's
    flush     what a turn of the loop had to answer leaves by one system call

Theory of the bounds. Reading stops, and the kernel's buffer fills, and the peer is the one who waits, while a request
waits that may not begin: because `requests_max` are in hand, because what is in hand came in more bytes than one
direction may keep, because it may have a large reply and enough of these are in hand, or because replies wait to be
read. So a connection ties up no more than a read, a frame and the two directions, and nothing here is an error: a
peer that sends much is slowed down. One that leaves its replies unread longer than `write_deadline_seconds` is
disconnected.

Not for: the rules of the protocol (`ckptclient.wire.connection`) or what a method does.
"""

import array
import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, cast

from ckptclient.errors import BadRequest, CkptdError, Draining, Internal, ProtocolError
from ckptclient.wire import limits as wire
from ckptclient.wire.connection import Connection, PeerClosed, Role as End
from ckptclient.wire.messages import Reply, Request, error_to_wire
from ckptd import limits
from ckptd.observe import log
from ckptd.rpc.dispatch import answerable
from ckptd.rpc.greeting import greet
from ckptd.rpc.hub import Hub
from ckptd.rpc.methods import Result, Route
from ckptd.rpc.outgoing import Outgoing
from ckptd.rpc.peer import Peer
from ckptd.service.caller import Caller, Role
from ckptd.service.passing import Passing

LOG = log.get(__name__)

_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(wire.descriptors_max * array.array("i").itemsize)
# As plain integers: an operation on the enumeration of flags costs as much as the read itself.
_READ_FLAGS: Final = int(socket.MSG_CMSG_CLOEXEC)
_TRUNCATED: Final = int(socket.MSG_CTRUNC)


class Session:
    """A connected peer. `ended` is called once, when everything is given back."""

    def __init__(
        self,
        hub: Hub,
        sock: socket.socket,
        peer: Peer,
        role: Role,
        ended: Callable[[], object],
        refusal: CkptdError | None = None,
    ) -> None:
        self._number = next(hub.numbers)
        self.caller: Caller | None = None
        self._hub = hub
        self._sock = sock
        self._fd = sock.fileno()
        self._peer = peer
        self._role = role
        self._ended = ended
        self._refusal = refusal
        self._connection = Connection(End.SERVER)
        # In: requests that wait to begin, each with its share of the bytes read; and those bytes that belong to none yet.
        self._waiting: deque[tuple[Request, int]] = deque()
        self._unshared_bytes = 0
        # In hand: how many, how many of them bulky, and the bytes in which they came.
        self._in_hand = 0
        self._bulky = 0
        self._in_hand_bytes = 0
        self._reads: set[asyncio.Future[Any]] = set()
        self._yielding = 0
        self._out = Outgoing()
        self._blocked = False
        self._reading = True
        self._closed = False
        self._timer = hub.loop.call_later(hub.bounds.hello_seconds, self.close, "no hello came")
        hub.sessions.add(self)
        hub.loop.add_reader(self._fd, self._readable)

    @property
    def number(self) -> int:
        """The connection's number, which no other of this daemon's has."""
        return self._number

    # --- feed ---

    def _readable(self) -> None:
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(limits.read_bytes_max, _ANCILLARY_BYTES, _READ_FLAGS)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(error.strerror or "the connection broke")
            return
        descriptors = _close_descriptors(ancillary) if ancillary else 0
        try:
            events = self._connection.receive(data, descriptors, truncated=bool(flags & _TRUNCATED))
        except ProtocolError as violation:
            LOG.info("a peer broke the protocol", uid=self._peer.uid, pid=self._peer.pid, why=violation.message)
            self.close(violation.message)
            return
        self._unshared_bytes += len(data)
        if events:
            if type(events[-1]) is PeerClosed:
                self.close("the peer closed it")
                return
            share = self._unshared_bytes // len(events)
            self._unshared_bytes = 0
            # A server's connection lets nothing but requests through.
            self._waiting.extend((cast("Request", event), share) for event in events)
            self.turn()

    # --- take ---

    def turn(self) -> None:
        """Begin what may begin, send what there is to send, and read on where nothing waits."""
        if self._closed:
            return
        waiting = self._waiting
        # One that has much to ask at once takes turns with the others.
        begun = 0
        while waiting and begun < limits.turn_count_max and self._may_begin():
            self._begin(*waiting.popleft())
            begun += 1
        if self._out.size_bytes and not self._blocked:
            self._flush()
        if waiting or self._blocked or not self._reading:
            self._regulate()

    def _may_begin(self) -> bool:
        """Whether the request that waits longest may begin. Where it may not, what is in hand or unread wakes us."""
        if self._in_hand == 0 and not self._out.size_bytes:
            return True
        bounds = self._hub.bounds
        if (
            self._in_hand >= bounds.requests_max
            or self._in_hand_bytes >= bounds.direction_bytes_max
            or self._out.size_bytes >= bounds.direction_bytes_max
        ):
            return False
        if not self._yielding and not self._bulky:
            return True
        route = self._hub.dispatch.find(self._waiting[0][0])
        if route is None:
            return True
        return (route.later or not self._yielding) and (self._bulky < bounds.bulk_max or not route.bulky)

    def _regulate(self) -> None:
        """Read exactly while nothing waits to begin and the peer reads what we send."""
        if self._closed:
            return
        if self._waiting and not self._blocked and self._may_begin():
            self._hub.touch(self)
        reading = not self._waiting and not self._blocked
        if reading != self._reading:
            self._reading = reading
            if reading:
                self._hub.loop.add_reader(self._fd, self._readable)
            else:
                self._hub.loop.remove_reader(self._fd)

    # --- dispatch ---

    def _begin(self, request: Request, share: int) -> None:
        caller = self.caller
        dispatch = self._hub.dispatch
        named = log.request.set(f"{self._number}-{request.id}")
        try:
            if caller is None:
                self._hello(request)
                return
            route = dispatch.route(request)
            answer = dispatch.call(route, caller, request)
            if type(answer) is dict or type(answer) is Passing:
                self._reply(request.id, request.method, answer)
            else:
                self._own(request, share, route, answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered, and logged where it is a bug
            self._refuse(request.id, request.method, error)
        finally:
            log.request.reset(named)

    def _own(self, request: Request, share: int, route: Route, answer: object) -> None:
        if asyncio.isfuture(answer):
            future = answer
        else:
            future = self._hub.loop.create_task(cast("Coroutine[Any, Any, Result]", answer))
            # The task takes its first step in the loop's next turn, and what would run at once must not overtake it.
            self._yielding += 1
            self._hub.loop.call_soon(self._resume)
        self._in_hand += 1
        self._in_hand_bytes += share
        self._bulky += route.bulky
        mutates = route.method.mutates
        self._hub.own(future, mutates=mutates)
        if not mutates:
            self._reads.add(future)
        future.add_done_callback(partial(self._landed, request.id, share, route))

    def _resume(self) -> None:
        self._yielding -= 1
        if self._waiting and not self._yielding:
            self.turn()

    def _landed(self, message_id: int, share: int, route: Route, future: "asyncio.Future[Any]") -> None:
        self._hub.done(future)
        self._reads.discard(future)
        self._in_hand -= 1
        self._in_hand_bytes -= share
        self._bulky -= route.bulky
        error = _failure(future, self._hub.dispatch.draining)
        if self._closed:
            if error is not None:
                answerable(error, route.method.name)  # nobody is told any more, but a bug is logged
            elif isinstance(future.result(), Passing):
                future.result().close()
            return
        if error is None:
            self._reply(message_id, route.method.name, future.result())
        else:
            self._refuse(message_id, route.method.name, error)
        self._hub.touch(self)

    def _hello(self, request: Request) -> None:
        hub, peer = self._hub, self._peer
        if (refusal := self._refusal or hub.dispatch.draining) is not None:
            raise refusal
        caller, welcome = greet(hub.welcome, peer, self._role, self._number, request.params)
        self._timer.cancel()
        self.caller = caller
        if caller.holder is not None and peer.pidfd is not None:
            hub.deaths.connected(caller.holder, peer.pidfd)
        elif peer.pidfd is not None:
            os.close(peer.pidfd)
        hub.ties.connected(caller)
        self._reply(request.id, request.method, welcome)

    # --- flush ---

    def _reply(self, message_id: int, method: str, result: object) -> None:
        self._send(method, Reply(message_id, None, result))

    def _refuse(self, message_id: int, method: str, error: BaseException) -> None:
        told = answerable(error, method)
        self._hub.refused(method, told.code)
        self._send(method, Reply(message_id, error_to_wire(told), None))

    def _send(self, method: str, reply: Reply) -> None:
        try:
            frame = self._connection.send(reply)
        except BadRequest as error:
            # A handler answered more than a frame holds, or what can't be packed: a bug of ours.
            LOG.error("a reply can't be sent", method=method, why=error)
            told = Internal("the daemon's answer fits no frame", hint="ask for less at a time")
            frame = self._connection.send(Reply(reply.id, error_to_wire(told), None))
            if type(reply.result) is Passing:
                reply.result.close()
            reply = Reply(reply.id, None, None)
        self._out.add(frame, reply.result.descriptors if type(reply.result) is Passing else ())

    def _flush(self) -> None:
        out = self._out
        try:
            whole = out.send(self._sock)
        except OSError as error:
            self.close(error.strerror or "the connection broke")
            return
        if not out.size_bytes:
            if self._blocked:
                self._unblock()
            if self._connection.finished:
                self.close("the conversation ended")
        elif not self._blocked:
            self._blocked = True
            self._hub.loop.add_writer(self._fd, self._writable)
            self._await_reader()
        elif whole:
            self._await_reader()

    def _await_reader(self) -> None:
        """The frame that is next has so long to be taken; each gets the whole time."""
        self._timer.cancel()
        self._timer = self._hub.loop.call_later(
            self._hub.bounds.write_deadline_seconds, self.close, "the peer didn't read its replies"
        )

    def _unblock(self) -> None:
        self._blocked = False
        self._timer.cancel()
        self._hub.loop.remove_writer(self._fd)

    def _writable(self) -> None:
        self._flush()
        self.turn()

    # --- the end ---

    def close(self, why: str) -> None:
        """End the connection and give back what it held; mutations in hand go on and nobody hears their answers."""
        if self._closed:
            return
        self._closed = True
        LOG.debug("disconnected", connection=self._number, uid=self._peer.uid, pid=self._peer.pid, why=why)
        hub = self._hub
        self._timer.cancel()
        hub.loop.remove_reader(self._fd)
        if self._blocked:
            hub.loop.remove_writer(self._fd)
        self._sock.close()
        self._waiting.clear()
        self._out.clear()
        for future in self._reads:
            future.cancel()
        hub.sessions.discard(self)
        self._ended()
        if self.caller is None:
            if self._peer.pidfd is not None:
                os.close(self._peer.pidfd)
            return
        if self.caller.holder is not None:
            hub.deaths.disconnected(self.caller.holder)
        hub.ties.disconnected(self.caller)


def _failure(future: "asyncio.Future[Any]", draining: Draining | None) -> BaseException | None:
    """Why a request that ended has no result; None where it has one."""
    if future.cancelled():
        return draining or Internal("the request was given up", hint="ask again")
    return future.exception()


def _close_descriptors(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Close what a peer passed; answers how many there were."""
    count = 0
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors = array.array("i")
            # The last may be cut short, where the control data was: no descriptor was installed for it then.
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
            for descriptor in descriptors:
                os.close(descriptor)
            count += len(descriptors)
    return count
