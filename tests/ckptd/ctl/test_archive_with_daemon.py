"""The archive beside a real daemon: moved, loaded by a worker, killed in the middle, and back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import RunningDaemon, environment, running
from tests.waiting import wait_until

STATE = {"noise": os.urandom(6_000_000)}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    with running() as one:
        one.stop()
        one.settings |= {"archive.path": str(tmp_path / "archive"), "archive.after": "1 min"}
        one.start()
        yield one


def ckptctl(one: RunningDaemon, *words: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "ckptd.ctl", *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(one), timeout=60)
    assert ran.returncode == code, ran.stderr
    return ran.stdout or ran.stderr


def saved(one: RunningDaemon) -> str:
    """A checkpoint of a process that is completed."""
    manager = one.manager()
    with manager.process("old", task_id="t") as process:
        made = process.save(STATE)
        made.wait("disk")
        process.complete()
    return made.checkpoint_id


def test_a_worker_is_given_what_was_archived_and_a_path_that_is_away_is_said(
    daemon: RunningDaemon, tmp_path: Path
) -> None:
    name = saved(daemon)
    assert ckptctl(daemon, "archive", name) == f"archived {name}\n"
    assert "archived" in ckptctl(daemon, "ls", "old")
    assert daemon.manager().load_checkpoint(name)[1] == STATE
    (tmp_path / "archive").rename(tmp_path / "away")
    daemon.restart()
    said = ckptctl(daemon, "cat", name, "state", code=7)
    assert "[UNAVAILABLE]" in said
    assert str(tmp_path / "archive") in said
    (tmp_path / "away").rename(tmp_path / "archive")
    assert ckptctl(daemon, "unarchive", name) == f"back from the archive: {name}\n"
    assert daemon.manager().load_checkpoint(name)[1] == STATE
    assert [path.name for path in (tmp_path / "archive").rglob("*") if path.is_file()] == ["ckptd-archive"]


def test_a_daemon_that_is_killed_while_it_moves_one_loses_nothing(daemon: RunningDaemon, tmp_path: Path) -> None:
    name = saved(daemon)
    command = [sys.executable, "-m", "ckptd.ctl", "archive", name]
    tool = subprocess.Popen(command, env=environment(daemon), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: list((tmp_path / "archive").glob("*/*")) or list((tmp_path / "archive").glob("*/.*")))
    daemon.kill()
    tool.kill()
    tool.wait()
    daemon.start()
    assert daemon.manager().load_checkpoint(name)[1] == STATE
    ckptctl(daemon, "archive", name)
    assert daemon.manager().load_checkpoint(name)[1] == STATE
