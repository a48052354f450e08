"""Carrying out a plan against a crew that only says what was asked of it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from examples.demo.killer import Killer
from examples.demo.plan import DAEMON, Kill
from examples.demo.tally import Tally
from examples.demo.watch import Seen

if TYPE_CHECKING:
    from examples.demo.crew import Crew

FILES = 100


@dataclass
class Stage:
    """A crew of two workers with 50 files each, a tally, and a killer with a plan."""

    tally: Tally
    killed: list[int] = field(default_factory=list)
    lives: list[int] = field(default_factory=lambda: [1, 1])
    daemon_lives: int = 1
    finished: set[int] = field(default_factory=set)
    seen: Seen = field(default_factory=Seen)

    def killer(self, *plan: Kill) -> Killer:
        return Killer(plan, cast("Crew", self), self.tally, FILES, lambda: self.seen)

    def at_work(self) -> list[int]:
        return [worker for worker in range(2) if worker not in self.finished]

    def kill_worker(self, worker: int) -> None:
        self.killed.append(worker)

    def kill_daemon(self) -> None:
        self.killed.append(DAEMON)

    def work(self, worker: int, files: int) -> None:
        for _ in range(files):
            self.tally[worker].turn()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(Tally(tmp_path / "tally", 2))
    for row in made.tally:
        row.begin(1, 0, 1.0)
    return made


def test_a_kill_waits_for_its_share_and_its_moment(stage: Stage) -> None:
    killer = stage.killer(Kill(0.2, 0.5, 1))
    stage.work(0, 19)
    killer.step(10.0)
    stage.work(1, 1)
    for now, killed in ((11.0, []), (11.4, []), (11.5, [1])):
        killer.step(now)
        assert stage.killed == killed
    assert [(strike.name, strike.at, strike.position) for strike in killer.strikes] == [("worker 2", 11.5, 1)]


def test_kills_of_one_moment_happen_together(stage: Stage) -> None:
    killer = stage.killer(Kill(0.1, 0.0, 0), Kill(0.1, 0.0, DAEMON), Kill(0.5, 0.0, 1))
    stage.work(0, 10)
    killer.step(10.0)
    assert stage.killed == [0, DAEMON]


@pytest.mark.parametrize(("finished", "killed"), [({1}, [0]), ({0, 1}, [])])
def test_who_has_finished_is_not_killed(stage: Stage, finished: set[int], killed: list[int]) -> None:
    killer = stage.killer(Kill(0.0, 0.0, 1))
    stage.finished = finished
    killer.step(10.0)
    assert stage.killed == killed
    assert len(killer.strikes) == len(killed)


def test_what_a_workers_recovery_cost(stage: Stage) -> None:
    killer = stage.killer(Kill(0.3, 0.0, 0))
    stage.work(0, 30)
    killer.step(10.0)
    stage.lives[0] = 2
    killer.step(10.5)
    before = replace(killer.strikes[0])
    stage.tally[0].begin(2, 25, 10.75)
    killer.step(11.0)
    assert [(one.seconds, one.repeated) for one in (before, *killer.strikes)] == [(None, 0), (0.75, 5)]


def test_a_worker_killed_again_before_it_was_back_loses_its_files_once(stage: Stage) -> None:
    killer = stage.killer(Kill(0.3, 0.0, 0), Kill(0.3, 0.2, 0))
    stage.work(0, 30)
    killer.step(10.0)
    stage.lives[0] = 2
    killer.step(10.25)
    stage.tally[0].begin(3, 25, 11.0)
    killer.step(11.0)
    assert [(strike.seconds, strike.repeated) for strike in killer.strikes] == [(1.0, 5), (0.75, 0)]


def test_a_daemon_is_back_when_it_answers_what_was_asked_after_its_death(stage: Stage) -> None:
    killer = stage.killer(Kill(0.0, 0.0, DAEMON))
    killer.step(10.0)
    before = Seen(asked_at=9.9, answered_at=10.1, answers=True)
    for seen, seconds in ((before, None), (replace(before, answers=False), None), (Seen(10.5, 10.5, True), 0.5)):
        stage.seen = seen
        killer.step(11.0)
        assert killer.strikes[0].seconds == seconds
