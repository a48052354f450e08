"""A store that can't be written, or has failed too often: everything is read, nothing is written, and it says why."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ckptd.observe.failures import COUNT_MAX
from tests.ckptd.running import PlainClient, RunningDaemon, running
from tests.waiting import wait_until


class Kept:
    """What an earlier daemon acknowledged."""

    def __init__(self, directory: Path, *, killed: bool) -> None:
        with running(directory) as daemon:
            client = daemon.client()
            token = client.mutate("process.register", process_id="job")["token"]
            self.small = client.mutate("checkpoint.save", token=token, parts=[["state", b"\x80", b"small"]])
            self.large = client.mutate("checkpoint.save", token=token, parts=[["state", b"\x80", b"L" * 90_000]])
            client.mutate("journal.append", token=token, records=[[0, 0, b"item", b"done"]])
            if killed:
                daemon.stop(signal.SIGKILL)  # the newest commits are in the log alone
            else:
                client.mutate("process.end", token=token, state="paused")
                daemon.stop()
            client.close()

    def check(self, client: PlainClient, why: str) -> None:
        """All is read, nothing is written."""
        status = client.call("store.status")
        assert why in status["read_only"]
        listed = client.call("checkpoint.list")["checkpoints"]
        assert [one["checkpoint_id"] for one in listed] == [self.large["checkpoint_id"], self.small["checkpoint_id"]]
        for name, data in ((self.small, b"small"), (self.large, b"L" * 90_000)):
            assert client.call("checkpoint.get", checkpoint_id=name["checkpoint_id"])["parts"][0][3] == data
        assert [record[3] for record in client.call("journal.read", process_id="job")["records"]] == [b"item"]
        assert client.call("process.list")["processes"][0]["process_id"] == "job"
        assert client.call("health.report")["level"] == "critical"
        for method, params in REFUSED:
            refusal = client.mutate(method, **params)
            assert (refusal.get("code"), refusal["retryable"]) == ("READ_ONLY", False), method
            assert why in refusal["message"]
        opened = client.call("upload.open", parts=[["state", b"\x80", 5]])
        assert opened["code"] == "READ_ONLY"


REFUSED: Sequence[tuple[str, Mapping[str, Any]]] = [
    ("process.register", {"process_id": "job"}),
    ("process.recover", {"process_id": "job"}),
    ("process.fence", {"process_id": "job"}),
    ("checkpoint.save", {"token": None, "process_id": "other", "parts": [["state", b"\x80", b"x"]]}),
    ("checkpoint.delete", {"checkpoint_id": "job@latest"}),
    ("checkpoint.pin", {"checkpoint_id": "job@latest"}),
    ("store.cleanup", {}),
]


def content(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


@contextmanager
def mounted_read_only(store: Path) -> Iterator[None]:
    if os.geteuid():
        pytest.skip("mounting needs root")
    done = subprocess.run(["mount", "--bind", store, store], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"can't mount: {done.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", store], check=True)
        yield
    finally:
        subprocess.run(["umount", store], check=True)


@pytest.mark.root
@pytest.mark.parametrize("killed", [False, True], ids=["ended cleanly", "killed"])
def test_a_store_on_a_read_only_file_system_is_read(tmp_path: Path, killed: bool) -> None:
    kept = Kept(tmp_path, killed=killed)
    before = content(tmp_path / "store")
    with mounted_read_only(tmp_path / "store"):
        with running(tmp_path) as daemon:
            client = daemon.client()
            kept.check(client, "is mounted read-only")
            client.close()
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.said()
        assert content(tmp_path / "store") == before
    with running(tmp_path) as daemon:  # the cause is gone
        client = daemon.client()
        assert client.call("store.status")["read_only"] is None
        assert client.mutate("process.register", process_id="job", takeover=True)["resumed"]
        client.close()


@pytest.mark.root
def test_two_daemons_dont_read_one_store_at_once(tmp_path: Path) -> None:
    Kept(tmp_path, killed=False)
    (tmp_path / "store" / "lock").unlink()  # as in a copy of a store
    with mounted_read_only(tmp_path / "store"), running(tmp_path):
        other = RunningDaemon(tmp_path, "--set", f"socket={tmp_path}/other.sock")
        assert other.process.wait(30) == 75
        assert "another daemon has the store" in other.said()


def test_a_store_whose_modes_forbid_writing_is_read(tmp_path: Path) -> None:
    store = tmp_path / "store"
    kept = Kept(tmp_path, killed=True)
    for path in (*store.rglob("*"), store):
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = content(store)
    daemon = Under(tmp_path, heeding_modes())
    try:
        daemon.wait_ready()
        client = daemon.client()
        kept.check(client, f"the user {os.geteuid()}, as whom ckptd runs, may not write to {store}")
        client.close()
        assert daemon.stop() == 0
    finally:
        daemon.stop(signal.SIGKILL)
        store.chmod(0o700)
    assert content(store) == before


def heeding_modes() -> Sequence[str]:
    """What makes a program of root's heed modes, as those of every other user do."""
    if os.geteuid():
        return ()
    command = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    if shutil.which("setpriv") is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("root's right over modes can't be given up here")
    return command


def test_an_operator_may_ask_for_it(tmp_path: Path) -> None:
    kept = Kept(tmp_path, killed=True)
    with running(tmp_path, "--set", "store.read_only=true") as daemon:
        client = daemon.client()
        kept.check(client, "the setting store.read_only says so")
        client.close()


def test_a_directory_that_cant_be_written_and_holds_no_store_is_refused(tmp_path: Path) -> None:
    daemon = RunningDaemon(tmp_path, "--set", "store.read_only=true")
    assert daemon.process.wait(30) == 75
    assert "nor read" in daemon.said()
    assert "Traceback" not in daemon.said()


def failing(directory: Path) -> RunningDaemon:
    """A daemon each of whose syncs of a directory fails, as on a broken disk."""
    strace = ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO"]
    return Under(directory, strace)


class Under(RunningDaemon):
    """A daemon that another program starts in its own place."""

    def __init__(self, directory: Path, starter: Sequence[str]) -> None:
        self.socket_path, self.store_path = directory / "ckptd.sock", directory / "store"
        self._log = directory / "daemon.log"
        command = [*starter, sys.executable, "-m", "ckptd", "--private"]
        command += ["--store", str(self.store_path), "--socket", str(self.socket_path)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def test_a_disk_that_fails_at_each_start_is_only_read_in_the_end(tmp_path: Path) -> None:
    if (
        shutil.which("strace") is None
        or subprocess.run(["strace", "-qqq", "-o", "/dev/null", "true"], check=False).returncode
    ):
        pytest.skip("strace isn't here, or may not trace")
    kept = Kept(tmp_path, killed=True)
    for _ in range(COUNT_MAX):
        assert failing(tmp_path).process.wait(60) == 74
    assert (tmp_path / "daemon.log").read_text().count("Input/output error") >= COUNT_MAX
    daemon = failing(tmp_path)
    try:
        daemon.wait_ready()
        client = daemon.client()
        kept.check(client, f"the store failed {COUNT_MAX} times within 10 minutes, at last: can't sync")
        client.close()
        assert daemon.stop() == 0
    finally:
        daemon.stop(signal.SIGKILL)
    with running(tmp_path) as after:  # a clean end means that somebody has seen to it
        client = after.client()
        assert client.call("store.status")["read_only"] is None
        client.close()
    wait_until(lambda: not (tmp_path / "ckptd.sock.failures").exists())
