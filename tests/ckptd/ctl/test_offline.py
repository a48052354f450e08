"""A store whose daemon is down is read as if it were up, nothing in it changes, and nothing is done that would change it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ckptclient.errors import Unreachable
from tests.ckptd.ctl.fakes import run
from tests.daemon import RunningDaemon

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("CKPTD_", "CHECKPOINT_"))}
DATA = os.urandom(300_000)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningDaemon]:
    """A daemon that has saved something."""
    (tmp_path / "node").mkdir()
    made = RunningDaemon(tmp_path / "node", {})
    made.start()
    with made.manager().process("train", task_id="llm", total_steps=9) as process:
        process.advance(step="third")
        process.save({"epoch": 3, "weights": DATA}).wait()
        process.record("item", {"lines": 3})
    yield made
    made.close()


def ckptctl(node: RunningDaemon, *words: str, code: int = 0) -> Any:
    command = [sys.executable, "-m", "ckptd.ctl", *words, "--json", "--store", str(node.store)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRON, timeout=60)
    assert ran.returncode == code, ran.stderr
    return json.loads(ran.stdout or ran.stderr)


def files(path: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(path)): one.read_bytes()
        for one in sorted(path.rglob("*"))
        if one.is_file() and one.name != "reserve"
    }


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_what_reads_works_and_leaves_no_trace(node: RunningDaemon, how: str, tmp_path: Path) -> None:
    shown = {words: node_json(node, *words.split()) for words in ("ls", "results train", "show train@1")}
    if how == "killed":
        node.kill()
    else:
        node.stop()
    before = files(node.store)
    assert {words: ckptctl(node, *words.split()) for words in shown} == shown
    assert ckptctl(node, "ps")["processes"][0]["process_id"] == "train"
    assert ckptctl(node, "cat", "train@1", "state")["value"]["epoch"] == 3
    assert ckptctl(node, "restore", "train@1", str(tmp_path / "out"))["files"] == ["state", "state%2F0", "progress"]
    assert (tmp_path / "out/state%2F0").read_bytes() == DATA
    exported = ckptctl(node, "export", "train@1", str(tmp_path / "file"))
    assert ckptctl(node, "drill")["drills"][0]["damaged"] == []
    assert ckptctl(node, "status")["store"]["read_only"]
    assert files(node.store) == before
    node.start()
    assert (
        node_json(node, "import", str(tmp_path / "file"), "--process", "copy")["size_bytes"] == exported["size_bytes"]
    )


def node_json(node: RunningDaemon, *words: str) -> Any:
    command = [sys.executable, "-m", "ckptd.ctl", *words, "--json", "--socket", str(node.socket)]
    return json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRON, timeout=60).stdout
    )


def test_people_are_told_that_no_daemon_answers(node: RunningDaemon) -> None:
    node.stop()
    command = [sys.executable, "-m", "ckptd.ctl", "ls", "--store", str(node.store)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRON, timeout=60)
    assert ran.stderr == f"no daemon has {node.store}: it is read without one\n"
    assert "train@1" in ran.stdout


@pytest.mark.parametrize("words", ["pin train@1", "expire train@1 --yes", "cleanup", "fence train --yes", "stop train"])
def test_what_would_change_something_is_refused(node: RunningDaemon, words: str) -> None:
    node.stop()
    said = ckptctl(node, *words.split(), code=13)
    assert (said["code"], "needs a daemon" in said["message"]) == ("READ_ONLY", True)


def test_a_store_that_a_daemon_has_is_not_opened(node: RunningDaemon) -> None:
    said = ckptctl(node, "ls", code=11)
    assert (said["code"], str(node.pid) in said["message"]) == ("BUSY", True)


def test_where_there_is_no_store_a_daemon_is_what_is_missing(tmp_path: Path) -> None:
    ran = run("ls", "--store", str(tmp_path), replies={"checkpoint.list": Unreachable("no daemon answers")})
    assert (ran.code, ran.out) == (7, "")
    assert f"ckptd --private --store {tmp_path}" in ran.err


@pytest.mark.parametrize(
    ("words", "replies"),
    [
        (("ls",), {}),
        (("ls", "--store", "there", "--socket", "here"), {}),
        (("pin", "train@1", "--store", "there"), {"checkpoint.pin": Unreachable("it went away")}),
    ],
    ids=["no store was named", "a socket was", "the daemon had answered"],
)
def test_otherwise_a_daemon_that_is_away_is_away(words: tuple[str, ...], replies: dict[str, object]) -> None:
    opened: list[Path] = []

    def offline(path: Path) -> Any:
        opened.append(path)
        raise gone

    gone = Unreachable("no daemon answers")
    assert run(*words, replies=replies or {"checkpoint.list": gone}, offline=offline).code == 7
    assert opened == []
