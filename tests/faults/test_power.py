"""Bad power: it comes and goes, so that what was killed is killed again while it starts."""

import random
import time
from pathlib import Path

from ckptd.ctl.selftest.killing import working
from ckptd.ctl.selftest.reading import read_store
from ckptd.ctl.selftest.replaying import SETTINGS
from ckptd.ctl.selftest.running import Daemon, wait_until
from ckptd.ctl.selftest.truth import faults, read_logs
from tests.faults.broken import program

ROUNDS, STARTS = 2, 5


def test_a_start_that_is_killed_again_and_again_loses_nothing(disk: Path, rng: random.Random) -> None:
    daemon = Daemon(disk / "store", disk / "s", disk / "log", program("small"), SETTINGS)
    killed_early = 0
    for number in range(ROUNDS):
        daemon.start()
        with working(daemon.socket, disk / "logs", f"{number}"):
            logs = list((disk / "logs").iterdir())
            wait_until(lambda logs=logs: sum(log.stat().st_size for log in logs) > 5_000, 30, "some work")  # type: ignore[misc]
            for _ in range(STARTS):
                daemon.kill()
                daemon.begin()
                time.sleep(rng.uniform(0.0, 0.6))
                killed_early += daemon.ended is None
            daemon.kill()
            daemon.start()
        daemon.kill()
        found, unreadable = read_store(disk / "store", disk / "look")
        assert [*unreadable, *faults(read_logs(sorted((disk / "logs").iterdir())), found)] == []
    assert killed_early == ROUNDS * STARTS  # none of them ended by itself
