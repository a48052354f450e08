"""What the handle asks of a client, so that tests can put a scripted one in its place; owns nothing else."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ckptclient.calls import Call
from ckptclient.staging import Staging

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Awaited(Protocol[T_co]):
    """A call that was submitted."""

    def result(self, timeout: float | None = None) -> T_co:
        """The answer, or its error raised."""


class Daemon(Protocol):
    """The part of `sync.Client` that is used here: thread-safe, and it reconnects by itself."""

    @property
    def connection(self) -> int:
        """Names the connection that is there."""

    @property
    def staging(self) -> Staging:
        """Its staging buffers."""

    def call(self, call: Call[T], timeout: float | None = None) -> T:
        """Make a call and wait for its answer."""

    def submit(self, call: Call[T], timeout: float | None = None) -> Awaited[T]:
        """Make a call without waiting."""

    def next_request(self) -> int:
        """A number for a mutation that may have to be repeated by hand."""

    def on_reconnect(self, hook: Callable[[Callable[[Call[Any]], Any]], None]) -> None:
        """Have a function called on each new connection, before anything is sent again."""
