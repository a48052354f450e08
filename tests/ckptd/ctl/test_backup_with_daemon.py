"""The verbs of backups beside a daemon that is saving, killed at random, and a store of what they made."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

import pytest

from ckptclient.errors import Fenced
from tests.ckptd.store.backup.backing import states
from tests.daemon import RunningDaemon, daemon, environment
from tests.waiting import wait_until

__all__ = ["daemon"]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "ckptd.ctl", *words]


def ckptctl(one: RunningDaemon, *words: str, code: int = 0) -> dict[str, object]:
    """What it answered as JSON."""
    ran = subprocess.run(
        command(*words, "--json"), capture_output=True, text=True, check=False, env=environment(one), timeout=120
    )
    assert ran.returncode == code, ran.stderr
    found: dict[str, object] = json.loads(ran.stdout or ran.stderr)
    return found


class Saving:
    """Threads that save on, each its own process; `acknowledged` is the newest number that each of them knows saved."""

    def __init__(self, one: RunningDaemon, threads: int) -> None:
        self.acknowledged = dict.fromkeys((f"busy-{n}" for n in range(threads)), 0)
        self._daemon = one
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._save, args=(name,)) for name in self.acknowledged]

    def _save(self, name: str) -> None:
        with self._daemon.manager().process(name, task_id="load") as process:
            number = 0
            while not self._stop.is_set():
                number += 1
                process.save({"number": number, "noise": os.urandom(200_000)}).wait("disk")
                self.acknowledged[name] = number

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        wait_until(lambda: all(self.acknowledged.values()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def numbers(restored: RunningDaemon, names: object) -> dict[str, int]:
    """What each process goes on with."""
    found = {}
    for name in names:  # type: ignore[attr-defined]
        with restored.manager().process(name, task_id="load", takeover=True) as process:
            state = process.restore()
            found[name] = state["number"] if state is not None else 0
    return found


def test_a_backup_under_load_has_what_was_acknowledged_before_it(daemon: RunningDaemon, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    with Saving(daemon, 3) as saving:
        before = dict(saving.acknowledged)
        for _ in range(2):
            ckptctl(daemon, "backup", "run", str(target))
        after = dict(saving.acknowledged)
    assert all(after[name] > before[name] for name in before)  # nobody waited for it
    checked = ckptctl(daemon, "backup", "verify", str(target), "--deep", "--drill")
    assert checked["wrong"] == []
    restored = tmp_path / "restored"
    ckptctl(daemon, "backup", "restore", str(target), str(restored))
    with daemon.beside(restored) as other:
        found = numbers(other, before)
    assert all(found[name] >= before[name] for name in before), (found, before)


def test_one_that_is_killed_leaves_no_backup_and_the_next_goes_on(daemon: RunningDaemon, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    with daemon.manager().process("large", task_id="t") as process:
        process.save({"noise": [os.urandom(4 << 20) for _ in range(20)]}).wait("disk")
    running = subprocess.Popen(command("backup", "run", str(target)), env=environment(daemon))
    packs = target / "packs"
    wait_until(lambda: packs.is_dir() and any(path.stat().st_size for path in packs.glob("*.pack")))
    running.send_signal(signal.SIGKILL)
    running.wait()
    if not list((target / "manifests").glob("*.json")):
        assert ckptctl(daemon, "backup", "ls", str(target))["backups"] == []
    ckptctl(daemon, "backup", "run", str(target))
    assert ckptctl(daemon, "backup", "verify", str(target), "--deep")["wrong"] == []


def test_a_store_without_its_daemon_is_backed_up_too(daemon: RunningDaemon, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    with daemon.manager().process("one", task_id="t") as process:
        process.save({"number": 1}).wait("disk")
    daemon.kill()
    ckptctl(daemon, "backup", "run", str(target), "--store", str(daemon.store))
    assert "NO_STORE" in str(ckptctl(daemon, "backup", "run", str(target), "--store", str(tmp_path / "none"), code=10))
    ckptctl(daemon, "backup", "restore", str(target), str(tmp_path / "restored"))
    assert states(tmp_path / "restored").keys() == {"one"}
    daemon.start()


def test_a_worker_of_the_old_lineage_is_refused(daemon: RunningDaemon, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    manager = daemon.manager()
    with pytest.raises(Fenced), manager.process("one", task_id="t") as process:  # noqa: PT012 - its end joins its saves
        process.save({"number": 1}).wait("disk")
        ckptctl(daemon, "backup", "run", str(target))
        daemon.stop()
        daemon.store.rename(tmp_path / "old")
        ckptctl(daemon, "backup", "restore", str(target), str(daemon.store))
        daemon.start()
        process.save({"number": 2}).wait("disk")
    assert numbers(daemon, ["one"]) == {"one": 1}
