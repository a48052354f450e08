"""The fault sweep in short: a sample of every k; `make sweep` goes through all of them."""

from pathlib import Path

import pytest

from tests.faults.sweep import ENDS, Fault, Sweep

SEED = 9
pytestmark = [pytest.mark.usefixtures("traced"), pytest.mark.timeout(600)]


@pytest.mark.parametrize(("by", "every"), [("by_thread", 307), ("by_loop", 41)])
def test_whatever_call_fails_or_kills_nothing_acknowledged_is_lost(disk: Path, by: str, every: int) -> None:
    """Every so-many-th fault of those that there are, so that each test run is a minute's part of the whole."""
    sweep = Sweep(disk, SEED, by=by)
    runs = [sweep.run(fault) for fault in sweep.faults(every)]
    fired = [run for run in runs if run.fired]
    # How often the committer calls depends on how fast the machine is; the last of them may not come.
    assert len(fired) >= 3
    assert len(runs) - len(fired) <= 1
    for run in fired:
        assert run.ended is None or run.ended in ENDS[run.fault.how], run
        assert not run.wrong, run


@pytest.mark.parametrize(
    ("fault", "ended"),
    [
        (Fault("fdatasync", 3, "EIO"), 74),
        (Fault("fdatasync", 5, "ENOSPC"), 74),  # too late to be a full disk: what was written before is unknown
        (Fault("pwrite64", 20, "EIO"), 74),
        (Fault("pwrite64", 20, "ENOSPC"), None),  # a refusal of one save
        (Fault("unlink", 1, "EIO"), 74),
    ],
)
def test_what_a_failure_means(disk: Path, fault: Fault, ended: int | None) -> None:
    run = Sweep(disk, SEED).run(fault)
    assert (run.fired, run.ended, run.wrong) == (True, ended, [])


def test_a_daemon_that_acknowledges_early_is_caught(disk: Path) -> None:
    sweep = Sweep(disk, SEED, "early_acknowledgement")
    assert any(sweep.run(Fault("pwrite64", k, "SIGKILL")).wrong for k in range(10, 300, 7))
