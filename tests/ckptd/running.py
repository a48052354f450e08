"""A daemon as a process of its own, and a plain client that speaks to it."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgpack

from tests.waiting import wait_until

SECONDS = 30.0
"""Every wait ends; none is expected to."""


def frame(value: object) -> bytes:
    body: bytes = msgpack.packb(value)
    return struct.pack(">I", len(body)) + body


class PlainClient:
    """Blocking, one request at a time, nothing clever."""

    def __init__(self, path: Path, *, hello: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(SECONDS)
        try:
            self.socket.connect(os.fspath(path))
        except OSError:
            self.socket.close()
            raise
        self._ids = 0
        self._numbers = 0
        if hello:
            self.welcome = self.call("hello", versions=[1], client="plain", session=os.urandom(16))

    def call(self, method: str, **params: object) -> Any:
        """The result, or the error as a map."""
        self._ids += 1
        self.socket.sendall(frame([0, self._ids, method, params]))
        answer = self.receive()
        assert answer is not None, "the connection ended"
        assert answer[:2] == [1, self._ids]
        return answer[3] if answer[2] is None else answer[2]

    def mutate(self, method: str, **params: object) -> Any:
        """As `call`, with the session's next request number."""
        self._numbers += 1
        return self.call(method, request=self._numbers, **params)

    def receive(self) -> list[Any] | None:
        """The next message; None at the end of the stream."""
        head = self._exactly(4)
        if head is None:
            return None
        body = self._exactly(struct.unpack(">I", head)[0])
        assert body is not None
        message: list[Any] = msgpack.unpackb(body)
        return message

    def ended(self) -> bool:
        """Wait for the end of the stream, whatever comes before it."""
        while True:
            try:
                if not self.socket.recv(1 << 16):
                    return True
            except ConnectionResetError:
                return True

    def _exactly(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                return None
            data += piece
        return data

    def close(self) -> None:
        self.socket.close()


class RunningDaemon:
    """`python -m ckptd` as a child. Everything that it says is in `said()`."""

    def __init__(self, directory: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self.socket_path = directory / "ckptd.sock"
        self.store_path = directory / "store"
        self._log = directory / "daemon.log"
        command = [sys.executable, "-m", "ckptd", "--private"]
        command += ["--store", str(self.store_path), "--socket", str(self.socket_path), *arguments]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("CKPTD_", "CHECKPOINT_"))}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**clean, **(environ or {})}
            )

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_ready(self) -> None:
        wait_until(lambda: self.process.poll() is not None or self.answers(), SECONDS)
        assert self.process.poll() is None, self.said()

    def wait_answer(self) -> None:
        """As `wait_ready`, of whichever daemon serves this socket."""
        wait_until(self.answers, SECONDS)

    def answers(self) -> bool:
        try:
            PlainClient(self.socket_path).close()
        except OSError:
            return False
        return True

    def client(self, *, hello: bool = True) -> PlainClient:
        return PlainClient(self.socket_path, hello=hello)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def descriptor_count(self) -> int:
        """Descriptors of the daemon, but for the catalog's: threads that read open it when they are first needed."""
        folder, count = f"/proc/{self.process.pid}/fd", 0
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                count += "/catalog.db" not in os.readlink(f"{folder}/{fd}")
        return count

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def running(directory: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[RunningDaemon]:
    daemon = RunningDaemon(directory, *arguments, environ=environ)
    try:
        daemon.wait_ready()
        yield daemon
    finally:
        daemon.stop(signal.SIGKILL)
