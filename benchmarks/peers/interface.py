"""What an adapter is: a peer (a store and its server, if it has one) and a session (one client's way to it).

Obligations: everything that is stored lies below `place.store`, sockets and logs below `place.scratch`. `Session.save`
returns when the state would survive a power cut. A peer crosses a fork, so it holds no connection; a session is opened,
used and closed in one client process.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from benchmarks.server import Server
from benchmarks.states import State

SUBJECT = "ckptd"
"""The peer that the others are put beside, and that the targets are for."""


@dataclass(frozen=True)
class Place:
    """Where a peer works: two empty directories, and whether every version must stay or each key's newest alone."""

    store: Path
    scratch: Path
    history: bool


class Session(Protocol):
    """One client's connection. A version is a number that rises per key; only W4 asks for what stands below `load`."""

    def save(self, key: str, version: int, state: State, *, brief: bool = False) -> None:
        """Return when `state` is durable.

        `brief` marks what `expire` will be asked to end: a store in which a state's end of life is given when it is
        saved must know; the others ignore it.
        """

    def begin(self, key: str, version: int, state: State) -> Callable[[], object]:
        """Return when the caller may change its state; what is returned does so when the state is durable."""

    def load(self, key: str, version: int | None = None) -> State:
        """The newest state of `key`, or one of those that this session has saved."""

    def latest(self, key: str) -> int:
        """The newest version of `key`."""

    def latest_all(self) -> int:
        """How many keys there are, having fetched the newest version of each."""

    def newest(self, count: int) -> int:
        """How many were fetched of the `count` newest versions over all keys."""

    def expire(self, below: int) -> int:
        """End every state with a version below `below` (all that was saved as brief), durably; how many that were."""

    def compact(self) -> None:
        """Give freed space back by the command that the peer documents for it, if it has one."""

    def close(self) -> None:
        """Let go of the connection."""


class SavesAtOnce:
    """A session whose caller waits until everything is done."""

    def save(self, key: str, version: int, state: State, *, brief: bool = False) -> None:
        """See `Session`."""
        raise NotImplementedError

    def begin(self, key: str, version: int, state: State) -> Callable[[], object]:
        """See `Session`."""
        self.save(key, version, state)
        return lambda: None


class Peer(Protocol):
    """One store under test. `terms` says how it is set, for the report."""

    name: ClassVar[str]
    terms: ClassVar[str]
    place: Place

    @property
    def server(self) -> Server | None:
        """Its server, once started, if it has one."""

    def __init__(self, place: Place) -> None: ...

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks to run it and which package brings that, or None."""

    @classmethod
    def version(cls) -> str:
        """The version under test."""

    def start(self) -> None:
        """Create the store and start its server; after that `server` can be killed and started again."""

    def session(self) -> Session:
        """A new session, in the client process that calls it."""


def lacks_module(name: str, package: str) -> str | None:
    """Why a Python module can't be used, or None."""
    return None if importlib.util.find_spec(name) else f"the Python package {package} is missing: pip install {package}"
