"""The kill loop in short, and that it catches a daemon which acknowledges too early."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.rounds import Run, plans

pytestmark = pytest.mark.xdist_group("crash")


@pytest.fixture
def disk() -> Iterator[Path]:
    """A directory on a disk: the usual one for tests may be memory."""
    with tempfile.TemporaryDirectory(prefix="ckptd-crash-", dir="/var/tmp") as directory:
        yield Path(directory)


def test_nothing_acknowledged_is_lost(disk: Path, request: pytest.FixtureRequest) -> None:
    run = Run(disk)
    for plan in plans(30, request.config.option.seed):
        assert run.round(plan) == [], plan
    assert run.acknowledged > 100


def test_a_daemon_that_acknowledges_before_it_commits_is_caught(disk: Path, request: pytest.FixtureRequest) -> None:
    run = Run(disk, "tests.crash.broken")
    assert any(run.round(plan) for plan in plans(60, request.config.option.seed))  # most often in the first few
