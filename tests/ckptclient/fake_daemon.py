"""A daemon that says what a test tells it to, over a real socket: the drivers' opposite."""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from ckptclient.errors import CkptdError
from ckptclient.wire.connection import Connection, Role
from ckptclient.wire.messages import Reply, Request, error_to_wire

LINEAGE = b"L" * 16
WELCOME: Mapping[str, object] = {
    "version": 1,
    "server": "ckptd 0",
    "lineage": LINEAGE,
    "role": "worker",
    "uid": 0,
    "limits": {"frame_bytes_max": 1 << 20, "requests_max": 256},
    "pid": 1,
}


class Peer:
    """One client's connection, as the daemon has it."""

    def __init__(self, number: int, accepted: socket.socket) -> None:
        self.number = number
        self.socket = accepted
        self.connection = Connection(Role.SERVER)

    def reply(self, request: Request, result: Mapping[str, object]) -> None:
        self._send(Reply(request.id, None, dict(result)))

    def refuse(self, request: Request, error: CkptdError) -> None:
        self._send(Reply(request.id, error_to_wire(error), None))

    def _send(self, reply: Reply) -> None:
        self.socket.sendall(self.connection.send(reply))

    def drop(self) -> None:
        """End the connection now, whatever is unanswered."""
        self.socket.shutdown(socket.SHUT_RDWR)


Answer = Callable[[Peer, Request], None]


def params(request: Request) -> dict[str, object]:
    """The parameters of a request."""
    assert isinstance(request.params, dict)
    return request.params


def answer_pings(peer: Peer, request: Request) -> None:
    """Now is 7."""
    peer.reply(request, {"now": 7})


def welcome(peer: Peer, request: Request) -> None:
    """As a daemon does that has room."""
    peer.reply(request, WELCOME)


class FakeDaemon:
    """Listens on `path`, answers by `hello` and `answer`, which a test may exchange; remembers every request."""

    def __init__(self, path: Path, answer: Answer = answer_pings) -> None:
        self.path = path
        self.answer = answer
        self.hello: Answer = welcome
        self.seen: list[tuple[int, Request]] = []
        self.peers: list[Peer] = []
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(self.path))
        self._listener.listen(64)
        self._run(self._accept, self._listener)

    def stop(self) -> None:
        """As a daemon that is killed: the socket's file stays, every connection ends."""
        assert self._listener is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        for peer in self.peers:
            try:
                peer.drop()
            except OSError:
                continue
        for thread in self._threads:
            thread.join()
        self._threads = []

    def restart(self) -> None:
        """Stop, and come up again on the same path."""
        self.stop()
        self.path.unlink()
        self.start()

    def methods(self) -> list[tuple[int, str]]:
        """Which connection asked for what, without the hellos."""
        return [(number, request.method) for number, request in self.seen if request.method != "hello"]

    def numbers(self) -> list[tuple[int, object]]:
        """Which connection sent which request number."""
        return [(number, params(request)["request"]) for number, request in self.seen if "request" in params(request)]

    def sessions(self) -> list[object]:
        """The session of every hello."""
        return [params(request)["session"] for _, request in self.seen if request.method == "hello"]

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                peer = Peer(len(self.peers), accepted)
                self.peers.append(peer)
                self._run(self._serve, peer)

    def _serve(self, peer: Peer) -> None:
        with peer.socket:
            try:
                while data := peer.socket.recv(1 << 16):
                    for event in peer.connection.receive(data):
                        if isinstance(event, Request):
                            self.seen.append((peer.number, event))
                            (self.hello if event.method == "hello" else self.answer)(peer, event)
            except OSError:
                return
