"""The power cut by the letter of POSIX: everything holds in every state, and each omission is seen."""

from pathlib import Path

import pytest

from ckptd.ctl.selftest.replaying import replay_tier
from tests.faults.broken import program

SEED = 7
ACTS = 30


@pytest.mark.usefixtures("traced")
def test_every_state_that_a_power_cut_may_leave_has_what_was_acknowledged(disk: Path) -> None:
    found = replay_tier(disk / "r", ACTS, SEED, lambda states: None, program("small"))
    assert found.wrong == []
    assert found.points > 200
    assert found.acknowledged > 15


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ("no_fsync", "can't be read"),
        ("no_directory_sync", "No such file"),
        ("synchronous_normal", "is lost"),
        ("early_acknowledgement", "lost"),
        ("delete_before_condemn", "No such file"),
    ],
)
def test_a_daemon_that_leaves_a_step_out_is_caught(disk: Path, variant: str, says: str) -> None:
    found = replay_tier(disk / "r", ACTS, SEED, lambda states: None, program("small", variant))
    assert found.wrong
    assert says in found.wrong[0]
