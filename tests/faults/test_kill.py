"""The kills as a user's self-test makes them, read back by the second reader."""

from pathlib import Path

import pytest

from ckptd.ctl.selftest.killing import kill_tier
from tests.faults.broken import program


def test_whatever_is_killed_nothing_acknowledged_is_lost(disk: Path, request: pytest.FixtureRequest) -> None:
    found = kill_tier(disk, 5, request.config.option.seed, lambda done: None)
    assert (found.wrong, found.points) == ((), 5)
    assert found.acknowledged > 20


def test_a_daemon_that_acknowledges_early_is_caught(disk: Path, request: pytest.FixtureRequest) -> None:
    broken = program("small", "early_acknowledgement")
    assert kill_tier(disk, 40, request.config.option.seed, lambda done: None, broken).wrong
