"""One run of one verb: the daemon it asks, the time it is, the person or script it talks to; owns the term *session*.

The daemon is connected to at the first question, and never started: a tool that looks must not change what it looks
at. Not for: what is asked or shown, which is the verbs'.
"""

import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ckptclient import clock as monotonic_clock
from ckptclient.calls import Call
from ckptclient.errors import BadRequest, NoStore, TimedOut, Unreachable
from ckptclient.results import Welcome
from ckptd.clock import Clock, SystemClock
from ckptd.ctl.shown import View

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

TIMEOUT_SECONDS = 5.0
"""So long a daemon may take to answer: a hung one is an exit code, not a hung cron job."""

AWAY_SECONDS = 0.5
"""Between two looks for a daemon that went away while somebody follows it."""


class Answered(Protocol[T_co]):
    """A question that was sent."""

    def result(self, timeout: float | None = None) -> T_co:
        """Wait for the answer."""


class Daemon(Protocol):
    """What verbs ask of `ckptclient.sync.Client`."""

    @property
    def connection(self) -> int:
        """Names the connection that is there."""

    @property
    def welcome(self) -> Welcome | None:
        """What the daemon said of itself and of the caller; None before the first call."""

    def call(self, call: Call[T], timeout: float | None = None) -> T:
        """Ask and wait."""

    def submit(self, call: Call[T], timeout: float | None = None) -> Answered[T]:
        """Ask, and wait later."""

    def close(self) -> None:
        """End the connection."""


@dataclass(frozen=True, slots=True)
class Common:
    """What can be said to every verb."""

    json: bool = False
    socket: str | None = None
    store: str | None = None
    timeout_seconds: float | None = None
    color: str = "auto"
    utc: bool = False


def offline(path: Path) -> Daemon:
    """The store at a path, without a daemon."""
    from ckptd.ctl.offline import OfflineStore  # the whole of a daemon's inside, which few runs need

    return OfflineStore(path)


@dataclass(frozen=True, slots=True)
class World:
    """What surrounds a run; a test brings its own."""

    connect: Callable[[Common, Mapping[str, str]], Daemon]
    clock: Clock
    sleep: Callable[[float], None]
    environ: Mapping[str, str]
    ask: Callable[[str], bool]
    """Put a question to whoever sits at the terminal."""
    asks: Callable[[], bool]
    """Whether somebody sits there."""
    say: Callable[[str], None]
    """One line of talk, on stderr."""
    terminal: Callable[[], os.terminal_size | None]
    """The size of the terminal that the answer goes to; None where it goes elsewhere."""
    offline: Callable[[Path], Daemon] = offline
    """Open a store that no daemon has."""
    draw: Callable[[str], None] | None = None
    """Write over the last line of the terminal that the talk goes to; None where it goes elsewhere."""


def connect(common: Common, environ: Mapping[str, str]) -> Daemon:
    """A client that looks where every worker looks, and starts nothing."""
    from ckptclient.discovery import Finder
    from ckptclient.sync import Client

    finder = Finder(common.socket, common.store, environ={**environ, "CKPTD_AUTOSTART": "0"})
    timeout = TIMEOUT_SECONDS if common.timeout_seconds is None else common.timeout_seconds
    return Client(finder=finder, on_unavailable="raise", timeout=timeout)


def _ask(question: str) -> bool:
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _draw(line: str) -> None:
    # A line that wraps could not be written over.
    sys.stderr.write(f"\r{line[: shutil.get_terminal_size().columns - 1]}\x1b[K")
    sys.stderr.flush()


def _terminal() -> os.terminal_size | None:
    return shutil.get_terminal_size() if sys.stdout.isatty() else None


def real_world() -> World:
    """The machine's."""
    return World(
        connect=connect,
        clock=SystemClock(),
        sleep=monotonic_clock.sleep,
        environ=os.environ,
        ask=_ask,
        asks=lambda: sys.stdin.isatty() and sys.stderr.isatty(),
        say=_say,
        terminal=_terminal,
        draw=_draw if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else None,
    )


class Session:
    """Passed to every verb."""

    def __init__(self, world: World, common: Common) -> None:
        self.world = world
        self.common = common
        self._daemon: Daemon | None = None
        self._answered = False

    @property
    def daemon(self) -> Daemon:
        """The daemon; not necessarily connected yet."""
        if self._daemon is None:
            self._daemon = self.world.connect(self.common, self.world.environ)
        return self._daemon

    def call(self, call: Call[T]) -> T:
        """Ask the daemon; where none answers, the error says how to start one."""
        try:
            answer = self.daemon.call(call)
        except Unreachable as error:
            if "request" in error.details:  # it was sent: whether it happened is what must be said
                raise
            if not self._goes_offline():
                raise Unreachable(error.message, hint=self._start_hint(), details=error.details) from error
            answer = self.daemon.call(call)
        self._answered = True
        return answer

    def _goes_offline(self) -> bool:
        """Whether the store that was named is read from now on without a daemon, as none answers for it."""
        store = self.common.store
        if store is None or self.common.socket or self._answered:
            return False
        try:
            found = self.world.offline(Path(store))
        except NoStore:
            return False  # there is nothing to be read: a daemon would make a store
        self.close()
        self._daemon = found
        if not self.common.json:
            self.world.say(f"no daemon has {store}: it is read without one")
        return True

    @property
    def is_operator(self) -> bool:
        """Whether the daemon shows this caller every user's processes; known after the first call."""
        welcome = self.daemon.welcome
        return welcome is not None and welcome.role != "worker"

    @property
    def user(self) -> str:
        """The caller's name, as the daemon writes it; known after the first call."""
        welcome = self.daemon.welcome
        return "" if welcome is None else user_name(welcome.uid)

    def patiently(self, call: Call[T], deadline: float | None) -> T:
        """Ask a daemon that may be restarting: until `deadline` (monotonic), for ever where that is None."""
        said = False
        while True:
            try:
                return self.call(call)
            except Unreachable as error:
                if deadline is not None and self.world.clock.monotonic() >= deadline:
                    raise TimedOut(f"the daemon went away and did not come back in time: {error.message}") from error
                if not said and not self.common.json:
                    self.world.say("the daemon is away; waiting for it")
                said = True
                self.world.sleep(AWAY_SECONDS)

    def view(self) -> View:
        """Now, as the person wants to see times."""
        return View(self.world.clock.now(), self.common.utc)

    def confirm(self, question: str, confirmed: bool) -> None:
        """Return where the act may go on; raises USAGE where nobody said yes."""
        if confirmed:
            return
        if not self.world.asks():
            raise BadRequest(
                f"not done without a yes: {question}", hint="add --yes to do it, --dry-run to see what it would do"
            )
        if not self.world.ask(question):
            raise BadRequest("not done: the answer was no", hint="--dry-run shows what would be done")

    def close(self) -> None:
        """Let go of the daemon."""
        if self._daemon is not None:
            self._daemon.close()

    def _start_hint(self) -> str:
        if self.common.socket or self.world.environ.get("CKPTD_SOCKET"):
            return "see that a daemon listens there: systemctl status ckptd"
        store = self.common.store or self.world.environ.get("CHECKPOINT_STORAGE_PATH")
        own = f"ckptd --private --store {shlex.quote(store)}" if store else "ckptd --private"
        return f"start the node's with `systemctl start ckptd`, or one of your own with `{own}`"


def user_name(uid: int) -> str:
    """The name of a uid, or its number where the machine knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


PAGE = 200
"""Asked for at a time: many enough for few round trips, few enough for a frame."""


def paged(read: Callable[[Any, int], tuple[tuple[T, ...], Any]], limit: int) -> tuple[list[T], bool]:
    """The first `limit` items (0: all), and whether there are more.

    `read` takes where to go on (None at first) and how many, and answers items and where to go on (None: nowhere).
    """
    found: list[T] = []
    where: Any = None
    while True:
        wanted = min(limit + 1 - len(found), PAGE) if limit else PAGE
        items, where = read(where, wanted)
        found += items
        if limit and len(found) > limit:
            return found[:limit], True
        if where is None or not items:
            return found, False
