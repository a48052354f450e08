"""Carries out the plan, and finds out what each kill cost: how long until work went on, and how much of it again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from examples.demo import plan
from examples.demo.crew import Crew
from examples.demo.plan import DAEMON, Kill
from examples.demo.tally import Tally
from examples.demo.watch import Seen


@dataclass(slots=True)
class Strike:
    """One SIGKILL that was sent."""

    victim: int
    """A worker's number, or `DAEMON`."""
    at: float
    life: int
    """Which life of the victim it ended."""
    position: int
    """Where the worker was: files of its share done."""
    again: bool = False
    """It had not begun anything since the last time: what was lost then is not lost twice."""
    seconds: float | None = None
    """Until a worker began its next file, or the daemon answered again; None while it hasn't."""
    repeated: int = 0
    """Files measured again."""

    @property
    def name(self) -> str:
        """Who it was."""
        return "the daemon" if self.victim == DAEMON else f"worker {self.victim + 1}"


class Killer:
    """The plan on its way."""

    def __init__(self, kills: Sequence[Kill], crew: Crew, tally: Tally, files: int, seen: Callable[[], Seen]) -> None:
        self.strikes: list[Strike] = []
        self._left = list(reversed(kills))
        self._crew, self._tally, self._files, self._seen = crew, tally, files, seen
        self._due_since: float | None = None

    def step(self, now: float) -> None:
        """Look at who came back, then kill who is due."""
        self._look()
        while self._left and self._due(self._left[-1], now):
            kill = self._left.pop()
            self._strike(kill, now)
            if not (self._left and self._left[-1].share == kill.share):
                self._due_since = None

    def _due(self, kill: Kill, now: float) -> bool:
        if self._due_since is None and self._tally.position >= kill.share * self._files:
            self._due_since = now
        return self._due_since is not None and now >= self._due_since + kill.moment_seconds

    def _strike(self, kill: Kill, now: float) -> None:
        if kill.victim == DAEMON:
            self._crew.kill_daemon()
            self.strikes.append(Strike(DAEMON, now, self._crew.daemon_lives, 0))
            return
        victim = plan.instead(kill.victim, self._crew.at_work())
        if victim is not None:
            self._crew.kill_worker(victim)
            again = any(one.victim == victim and one.seconds is None for one in self.strikes)
            self.strikes.append(Strike(victim, now, self._crew.lives[victim], self._tally[victim].position, again))

    def _look(self) -> None:
        for strike in self.strikes:
            if strike.seconds is None:
                self._daemon_back(strike) if strike.victim == DAEMON else self._worker_back(strike)

    def _daemon_back(self, strike: Strike) -> None:
        seen = self._seen()
        if seen.answers and seen.asked_at > strike.at:
            strike.seconds = seen.answered_at - strike.at

    def _worker_back(self, strike: Strike) -> None:
        row = self._tally[strike.victim]
        if row.life > strike.life:
            strike.seconds = row.first_at - strike.at
            strike.repeated = 0 if strike.again else strike.position - row.resumed_at
