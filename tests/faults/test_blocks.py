"""The power cut on real file systems: everything holds in every state, and omissions are seen."""

from pathlib import Path

import pytest

from tests.faults.blocks import replay
from tests.faults.broken import program

SEED = 9

pytestmark = pytest.mark.root


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_whatever_a_power_cut_leaves_has_what_was_acknowledged(disk: Path, kind: str) -> None:
    found = replay(disk, kind, SEED, 40, program("small"))
    assert found.wrong == []
    assert (found.states, found.acknowledged > 20, found.flushes > 50) == (80, True, True)


@pytest.mark.parametrize("variant", ["no_fsync", "synchronous_normal", "early_acknowledgement"])
def test_a_daemon_that_leaves_a_step_out_is_caught(disk: Path, variant: str) -> None:
    # Not among them: names that aren't synced. ext4 and xfs bring them along with the next sync of anything, which is
    # why the replay by the letter of POSIX is there too.
    assert replay(disk, "ext4", SEED, 80, program("small", variant)).wrong
