"""A daemon that answers from a table, the world around a run, and the run itself."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn, TypeVar, cast

from click.testing import CliRunner, Result

from ckptclient.calls import Call
from ckptclient.errors import CkptdError, UnknownCheckpoint
from ckptclient.results import Welcome
from ckptd.ctl.program import program
from ckptd.ctl.session import World
from tests.ckptd.ctl import canned
from tests.fakes import FakeClock

T = TypeVar("T")


class Sent:
    """A question that was answered at once."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    def result(self, timeout: float | None = None) -> Any:
        return self._answer()


@dataclass
class FakeDaemon:
    """Answers by method; remembers what it was asked."""

    replies: Mapping[str, object] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    connection: int = 0
    role: str = "operator"
    closed: bool = False

    @property
    def welcome(self) -> Welcome | None:
        return Welcome.read({**canned.WELCOME, "role": self.role}) if self.asked else None

    def call(self, call: Call[T], timeout: float | None = None) -> T:
        packed = call.packed()
        self.asked.append((call.method, packed))
        reply = {**canned.REPLIES, "checkpoint.read": _read, **self.replies}[call.method]
        if callable(reply):
            reply = reply(packed)
        if isinstance(reply, Exception):
            raise reply
        return call.read(reply)

    def submit(self, call: Call[T], timeout: float | None = None) -> Sent:
        try:
            value = self.call(call)
        except CkptdError as error:
            return Sent(partial(_raise, error))
        return Sent(lambda: value)

    def close(self) -> None:
        self.closed = True

    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]


def _raise(error: CkptdError) -> NoReturn:
    raise error


def _read(packed: dict[str, object]) -> dict[str, object]:
    data = (canned.STATE + canned.FILES)[cast("int", packed["part"])][2]
    start = cast("int", packed.get("offset", 0))
    return {"data": data[start : start + cast("int", packed.get("length", len(data)))]}


class Refusing:
    """Raises this error for one name (or all), and answers canned otherwise."""

    def __init__(self, error: CkptdError, names: tuple[str, ...], key: str, otherwise: object) -> None:
        self._error, self._names, self._key, self._otherwise = error, names, key, otherwise

    def __call__(self, packed: dict[str, object]) -> object:
        return self._error if packed[self._key] in self._names else self._otherwise


def no_checkpoint(name: str) -> Refusing:
    """`checkpoint.get` that does not know this one."""
    missing = UnknownCheckpoint(f"no checkpoint {name}", details={"what": "checkpoint"})
    return Refusing(missing, (name,), "checkpoint_id", canned.get({"checkpoint_id": "etl-nightly@7"}))


def screen(columns: int) -> Callable[[], os.terminal_size]:
    """A terminal of so many columns and 24 lines."""
    return lambda: os.terminal_size((columns, 24))


@dataclass
class Run:
    """What a run printed, how it ended, what it asked and said."""

    result: Result
    daemon: FakeDaemon

    @property
    def code(self) -> int:
        return self.result.exit_code

    @property
    def out(self) -> str:
        return self.result.stdout

    @property
    def err(self) -> str:
        return self.result.stderr


def world(daemon: FakeDaemon, **changes: Any) -> World:
    clock = FakeClock(canned.NOW)

    def sleep(seconds: float) -> None:
        clock.tick(seconds)

    made = World(
        connect=lambda common, environ: daemon,
        clock=clock,
        sleep=sleep,
        environ={},
        ask=lambda question: False,
        asks=lambda: False,
        say=lambda line: None,
        terminal=lambda: None,
    )
    return replace(made, **changes)


def run(*words: str, replies: Mapping[str, object] | None = None, role: str = "operator", **changes: Any) -> Run:
    """Run `ckptctl` with these words, against a daemon that answers canned replies but for `replies`."""
    daemon = FakeDaemon(replies or {}, role=role)
    changes.setdefault("say", lambda line: sys.stderr.write(line + "\n"))
    result = CliRunner().invoke(program(world(daemon, **changes)), list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Run(result, daemon)
