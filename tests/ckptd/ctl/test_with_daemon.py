"""The program as it is installed, against a daemon that runs: what no fake can promise."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ckptclient.payload import encode_value
from tests.ckptd.running import PlainClient, RunningDaemon, running
from tests.waiting import wait_until

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("CKPTD_", "CHECKPOINT_"))}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running(tmp_path_factory.mktemp("ctl")) as made:
        yield made


@pytest.fixture(scope="module")
def worker(daemon: RunningDaemon) -> Iterator[PlainClient]:
    client = daemon.client()
    yield client
    client.close()


def command(daemon: RunningDaemon, *words: str) -> list[str]:
    return [sys.executable, "-m", "ckptd.ctl", *words, "--socket", str(daemon.socket_path)]


def ckptctl(daemon: RunningDaemon, *words: str, code: int = 0) -> str:
    """What it printed: stdout, or stderr where it was to fail."""
    ran = subprocess.run(command(daemon, *words), capture_output=True, text=True, check=False, env=ENVIRON, timeout=60)
    assert ran.returncode == code, ran.stderr
    assert ran.stderr == "" if code == 0 else ran.stdout == ""
    return ran.stdout if code == 0 else ran.stderr


def asked(daemon: RunningDaemon, *words: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(ckptctl(daemon, *words, "--json"))
    return found


def test_a_process_is_seen_at_work(daemon: RunningDaemon, worker: PlainClient) -> None:
    registered = worker.mutate("process.register", process_id="etl-nightly", progress={"total": 10})
    worker.call("process.progress", token=registered["token"], progress={"completed": 4, "step": "parse"})
    record = [0, 0, encode_value("a.py"), encode_value({"lines": 3})]
    worker.mutate("journal.append", token=registered["token"], records=[record])
    assert "✓ etl-nightly" in ckptctl(daemon, "ps", "--state", "running")
    assert "40.0 %" in ckptctl(daemon, "show", "etl")
    found = asked(daemon, "results", "etl")
    assert [(one["item"], one["result"]) for one in found["records"]] == [("a.py", {"lines": 3})]  # type: ignore[attr-defined]
    assert "1 running" in ckptctl(daemon, "status")


def test_files_go_in_and_come_out_again(daemon: RunningDaemon, tmp_path: Path) -> None:
    files = {"small.txt": b"hello\n", "big.bin": os.urandom(3_000_000)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    saved = asked(daemon, "put", "files", *(str(tmp_path / name) for name in files), "--tag", "mine")
    assert saved["checkpoint_id"] == "files_custom_1"
    ckptctl(daemon, "restore", "files@latest", str(tmp_path / "out"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files
    ran = subprocess.run(command(daemon, "cat", "files@1", "big.bin"), capture_output=True, check=True, env=ENVIRON)
    assert ran.stdout == files["big.bin"]


def test_a_checkpoint_is_kept_and_let_go(daemon: RunningDaemon, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"A")
    ckptctl(daemon, "put", "kept", str(tmp_path / "a"))
    assert ckptctl(daemon, "pin", "kept@1") == "pinned kept_custom_1\n"
    assert "pinned" in ckptctl(daemon, "ls", "kept")
    ckptctl(daemon, "unpin", "kept@1")
    assert "[USAGE]" in ckptctl(daemon, "expire", "kept@1", code=2)
    ckptctl(daemon, "expire", "kept@1", "--yes")
    assert ckptctl(daemon, "ls", "kept") == "no checkpoints of kept\n"
    assert "kept@1" in ckptctl(daemon, "ls", "kept", "--trash")
    assert "[NOT_FOUND]" in ckptctl(daemon, "pin", "kept@1", code=4)
    assert "deleted" in ckptctl(daemon, "events", "kept")


def test_a_worker_is_fenced_and_waited_for(daemon: RunningDaemon, worker: PlainClient) -> None:
    registered = worker.mutate("process.register", process_id="held")
    assert "[TIMEOUT]" in ckptctl(daemon, "wait", "held", "--for", "interrupted", "--timeout", "0", code=8)
    assert ckptctl(daemon, "stop", "held") == "asked held to stop\n"
    waiting = subprocess.Popen(
        command(daemon, "wait", "held", "--for", "interrupted"), stdout=subprocess.PIPE, env=ENVIRON
    )
    assert ckptctl(daemon, "fence", "held", "--yes") == f"fenced held: epoch {registered['epoch'] + 1}\n"
    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (0, b"held is interrupted\n")
    refused = worker.call("process.progress", token=registered["token"], progress={"completed": 1})
    assert refused["code"] == "FENCED"


def test_events_are_followed_until_it_is_told_to_end(
    daemon: RunningDaemon, worker: PlainClient, tmp_path: Path
) -> None:
    worker.mutate("process.register", process_id="followed")
    log = tmp_path / "events"
    with log.open("wb") as out:
        following = subprocess.Popen(command(daemon, "events", "followed", "-f", "--json"), stdout=out, env=ENVIRON)
    wait_until(lambda: log.read_text().count("\n") == 1)
    worker.mutate("process.register", process_id="followed", takeover=True)
    wait_until(lambda: log.read_text().count("\n") == 2)
    following.send_signal(signal.SIGTERM)
    assert following.wait(60) == 143
    kinds = [event["kind"] for line in log.read_text().splitlines() for event in json.loads(line)["events"]]
    assert kinds[0] == "registered"
    assert len(kinds) == 2


def test_the_daemon_and_its_configuration(daemon: RunningDaemon) -> None:
    shown = asked(daemon, "config", "show")
    sources = {one["key"]: one["source"] for one in shown["settings"]}  # type: ignore[attr-defined]
    assert (sources["store.path"], sources["log.level"]) == ("flag --store", "default")
    assert ckptctl(daemon, "config", "reload") == "changed: nothing\n"
    assert "cleaned up" in ckptctl(daemon, "cleanup")
    assert asked(daemon, "status")["daemon"]["pid"] == daemon.process.pid  # type: ignore[index]


COMPLETE = 'eval "$(ckptctl completion bash)"; COMP_WORDS=(ckptctl {}); COMP_CWORD=2; _ckptctl_completion ckptctl; echo "${{COMPREPLY[@]}}"'


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "completed"),
    [("stop complet", "completed-by-tab"), ("pin completed-by-tab@l", "completed-by-tab@latest")],
)
def test_bash_completes_ids(
    words: str, completed: str, daemon: RunningDaemon, worker: PlainClient, tmp_path: Path
) -> None:
    token = worker.mutate("process.register", process_id="completed-by-tab", takeover=True)["token"]
    worker.mutate("checkpoint.save", token=token, parts=[["a", b"\x80", b"A"]])
    program = tmp_path / "ckptctl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ckptd.ctl "$@"\n')
    program.chmod(0o755)
    environ = {**ENVIRON, "CKPTD_SOCKET": str(daemon.socket_path), "PATH": f"{tmp_path}:{ENVIRON['PATH']}"}
    script = ["bash", "--norc", "-c", COMPLETE.format(words)]
    ran = subprocess.run(script, capture_output=True, text=True, check=True, env=environ, timeout=60)
    assert (ran.stdout, ran.stderr) == (f"{completed}\n", "")


def test_a_hung_daemon_is_an_exit_code(daemon: RunningDaemon) -> None:
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        said = ckptctl(daemon, "ps", "--timeout", "0.2", code=7)
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    assert "[UNREACHABLE]" in said


def test_without_a_daemon(tmp_path: Path) -> None:
    gone = RunningDaemon.__new__(RunningDaemon)
    gone.socket_path = tmp_path / "nothing.sock"
    said = ckptctl(gone, "ps", code=7).splitlines()
    assert said[0].startswith(f"error: no daemon answers; looked at {gone.socket_path}")
    assert len(said) == 3
