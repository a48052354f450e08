"""A clock that jumps: nothing goes before its time, and numbers and epochs go on."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ckptclient import calls
from ckptclient.sync import Client
from ckptd.ctl.selftest.killing import work
from ckptd.ctl.selftest.reading import read_store
from ckptd.ctl.selftest.replaying import SETTINGS
from ckptd.ctl.selftest.running import Daemon
from ckptd.ctl.selftest.truth import faults, read_logs
from tests.faults.broken import CLOCK_FILE, program

YEAR = 365 * 24 * 3600


def after_a_jump(
    disk: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, settings: Mapping[str, str], *, restart: bool
) -> list[str]:
    """What is wrong after work, a jump, a cleanup and more work."""
    clock = disk / "clock"
    clock.write_text("0")
    monkeypatch.setenv(CLOCK_FILE, str(clock))
    settings = {**SETTINGS, "retention.trash": "24 h", **settings}
    daemon = Daemon(disk / "store", disk / "s", disk / "log", program("wrong_clock"), settings)
    daemon.start()
    assert work(daemon.socket, disk / "1.jsonl", "1", 20).wait(60) == 0
    clock.write_text(str(seconds))
    if restart:
        daemon.kill()
        daemon.start()
    with Client(str(daemon.socket)) as client:
        client.call(calls.cleanup())
    assert work(daemon.socket, disk / "2.jsonl", "2", 20).wait(60) == 0
    assert daemon.stop() == 0
    found, unreadable = read_store(disk / "store", disk / "look")
    return [*unreadable, *faults(read_logs([disk / "1.jsonl", disk / "2.jsonl"]), found)]


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("years", [-10, 10])
def test_nothing_goes_before_its_time(disk: Path, monkeypatch: pytest.MonkeyPatch, years: int, restart: bool) -> None:
    assert after_a_jump(disk, monkeypatch, years * YEAR, {}, restart=restart) == []


def test_a_daemon_that_believes_its_clock_is_caught(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = after_a_jump(disk, monkeypatch, 10 * YEAR, {"retention.clock_jump": "0"}, restart=False)
    assert any("is in the trash, and nobody put it there" in one for one in wrong)
