"""What one look at the daemon brings; owns the term *reading*.

With a thousand processes a look takes some of their pages, the next look those behind, and what is on the screen is
asked for by name: a picture that is a second old costs the daemon little, however many there are.
"""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from ckptclient import calls, results
from ckptclient.errors import BadRequest, NotFound
from ckptd.ctl import naming
from ckptd.ctl.session import Session

PAGE: Final = 200
PAGES_MAX: Final = 2
"""Of processes at a look; further ones come with the next looks."""

EVENTS_KEPT: Final = 50
UNFINISHED: Final = ("registered", "running", "paused", "interrupted", "failed")

Key = tuple[str, str]
"""User and process id."""


def key_of(info: results.ProcessInfo) -> Key:
    """What tells a process from every other."""
    return info.user, info.process_id


@dataclass(frozen=True, slots=True)
class Reading:
    """The daemon at one moment: `at` in microseconds, `monotonic` in seconds; `events` are the newest, oldest first."""

    at: int
    monotonic: float
    status: results.StoreStatus
    processes: Sequence[results.ProcessInfo]
    events: Sequence[results.EventInfo]
    operator: bool
    health: results.HealthReport | None = None


class Reader:
    """Looks again and again. One look at a time; from any thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.completed = False
        """Whether completed processes are wanted too."""
        self._known: dict[Key, tuple[int, results.ProcessInfo]] = {}
        self._round = 0
        self._after: int | None = None
        self._states: tuple[str, ...] = ()
        self._events: deque[results.EventInfo] = deque(maxlen=EVENTS_KEPT)
        self._last_event: int | None = None
        self._has_health = True

    def read(self, visible: Collection[Key] = ()) -> Reading:
        """Look; what is `visible` is as of now, the rest at most a few looks old. Raises the daemon's errors."""
        session = self._session
        status = session.call(calls.status())
        read = self._pages()
        self._by_name([key for key in visible if key in self._known and key not in read])
        self._follow()
        health = self._health()
        clock = session.world.clock
        return Reading(
            clock.now(),
            clock.monotonic(),
            status,
            [info for _, info in self._known.values()],
            tuple(self._events),
            session.is_operator,
            health,
        )

    def _pages(self) -> set[Key]:
        """The first page, where those are that are new, and the next of the others."""
        states = () if self.completed else UNFINISHED
        if states != self._states:
            self._states, self._after = states, None
            self._known.clear()
        read: set[Key] = set()
        first = self._page(None, read)
        after = first if self._after is None else self._after
        for _ in range(PAGES_MAX - 1):
            if after is None:
                break
            after = self._page(after, read)
        if after is None:  # all were seen since the round began: who was not is no longer among them
            self._known = {key: known for key, known in self._known.items() if known[0] == self._round}
            self._round += 1
        self._after = after
        return read

    def _page(self, after: int | None, read: set[Key]) -> int | None:
        page = self._session.call(calls.processes(states=self._states, limit=PAGE, after=after))
        for info in page.processes:
            self._known[key_of(info)] = self._round, info
            read.add(key_of(info))
        return page.next

    def _by_name(self, keys: Sequence[Key]) -> None:
        session = self._session
        asked = [
            (key, session.daemon.submit(calls.show(naming.qualified(session, self._known[key][1])))) for key in keys
        ]
        for key, answer in asked:
            try:
                info = answer.result()
            except NotFound:
                continue
            if not self._states or info.state != "completed":
                self._known[key] = self._known[key][0], info

    def _follow(self) -> None:
        """Events since the last look; at the first, the newest."""
        if self._last_event is None:
            self._last_event = max(0, self._newest_event() - EVENTS_KEPT)
        page = self._session.call(calls.events(self._last_event, limit=PAGE))
        self._events.extend(page.events)
        self._last_event = page.last

    def _newest_event(self) -> int:
        """Number of the newest event: there is no call for it, but "is there one behind N" can be asked 40 times."""
        low, high = 0, 1
        while self._event_behind(high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._event_behind(middle) else (low, middle)
        return high

    def _event_behind(self, seq: int) -> bool:
        return bool(self._session.call(calls.events(seq, limit=1)).events)

    def _health(self) -> results.HealthReport | None:
        """Where the daemon has an opinion; an older one doesn't know the question, and is not asked again."""
        if not self._has_health:
            return None
        try:
            return self._session.call(calls.health())
        except BadRequest:
            self._has_health = False
            return None
