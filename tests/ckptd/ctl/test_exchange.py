"""Checkpoints from one store into another, with real daemons, and on to the worker that goes on from them."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import RunningDaemon
from tests.waiting import wait_until

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("CKPTD_", "CHECKPOINT_"))}
NOISE = os.urandom(5_000_000)
STATE = {"epoch": 3, "weights": NOISE, "history": [0.5, 0.25], "zeros": bytes(9_000_000)}


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[RunningDaemon, RunningDaemon]]:
    made = [RunningDaemon(tmp_path / name, {}) for name in ("a", "b")]
    try:
        for node in made:
            node.store.parent.mkdir()
            node.start()
        yield made[0], made[1]
    finally:
        for node in made:
            node.close()


def ckptctl(node: RunningDaemon, *words: str, code: int = 0) -> dict[str, object]:
    command = [sys.executable, "-m", "ckptd.ctl", *words, "--json", "--socket", str(node.socket)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRON, timeout=60)
    assert ran.returncode == code, ran.stderr
    document: dict[str, object] = json.loads(ran.stdout or ran.stderr)
    return document


def test_a_state_travels_to_another_node_and_a_worker_goes_on_with_it(
    nodes: tuple[RunningDaemon, RunningDaemon], tmp_path: Path
) -> None:
    here, there = nodes
    with here.manager().process("train", task_id="llm", total_steps=9) as process:
        process.advance(step="third")
        process.save(STATE).wait()
    file = tmp_path / "train.export"
    exported = ckptctl(here, "export", "train@1", str(file))
    assert exported["file_bytes"] == file.stat().st_size < len(NOISE) + 200_000
    first = ckptctl(there, "import", str(file))
    assert (first["imported"], first["original_id"]) == (True, exported["checkpoint_id"])
    again = ckptctl(there, "import", str(file))
    assert (again["imported"], again["checkpoint_id"]) == (False, first["checkpoint_id"])
    with there.manager().process("train", task_id="llm", total_steps=9) as process:
        assert (process.resumed, process.skipped) == (True, ()), there.log.read_text()
        assert process.restore() == STATE
    # From now on the process is somebody's, and what is imported comes beside it only where that is said.
    ckptctl(there, "expire", str(first["checkpoint_id"]), "--yes")
    assert ckptctl(there, "import", str(file), code=6)["code"] == "CONFLICT"
    # The same bytes go out again as they came in.
    back = tmp_path / "back.export"
    ckptctl(there, "import", str(file), "--process", "copy")
    ckptctl(there, "export", "copy@latest", str(back))
    assert ckptctl(here, "import", str(back), "--process", "train2")["size_bytes"] == exported["size_bytes"]


def running(node: RunningDaemon, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ckptd.ctl", *words, "--socket", str(node.socket)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRON)


def large(node: RunningDaemon, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(1 << 20) * 64)
    ckptctl(node, "put", "large", str(tmp_path / "large"))


def test_an_export_that_is_killed_leaves_what_was_there_and_is_done_again(
    nodes: tuple[RunningDaemon, RunningDaemon], tmp_path: Path
) -> None:
    here, _ = nodes
    large(here, tmp_path)
    file = tmp_path / "out" / "file"
    file.parent.mkdir()
    file.write_text("mine")
    draft = file.with_name(".file.draft")
    exporting = running(here, "export", "large@1", str(file), "--force")
    wait_until(lambda: draft.exists() and draft.stat().st_size > 1 << 20, 30)
    exporting.kill()
    exporting.communicate()
    assert [path.read_text() for path in file.parent.iterdir() if path != draft] == ["mine"]
    ckptctl(here, "export", "large@1", str(file), "--force")
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_a_daemon_that_dies_ends_an_export_without_a_file(
    nodes: tuple[RunningDaemon, RunningDaemon], tmp_path: Path
) -> None:
    here, _ = nodes
    large(here, tmp_path)
    draft = tmp_path / ".file.draft"
    exporting = running(here, "export", "large@1", str(tmp_path / "file"))
    wait_until(lambda: draft.exists() and draft.stat().st_size > 1 << 20, 30)
    here.kill()
    _, said = exporting.communicate(timeout=60)
    assert (exporting.returncode, "[UNREACHABLE]" in said) == (7, True)
    assert not draft.exists()
    assert not (tmp_path / "file").exists()


def test_an_import_that_is_killed_has_saved_nothing_and_is_done_again(
    nodes: tuple[RunningDaemon, RunningDaemon], tmp_path: Path
) -> None:
    here, there = nodes
    large(here, tmp_path)
    file = tmp_path / "file"
    ckptctl(here, "export", "large@1", str(file), "--level", "0")
    spool = there.store / "spool"
    importing = running(there, "import", str(file))
    wait_until(lambda: _written_bytes(there.pid, spool) > 1 << 20, 30)
    importing.kill()
    importing.communicate()
    assert ckptctl(there, "ls")["checkpoints"] == []
    assert ckptctl(there, "import", str(file))["imported"] is True
    assert len(ckptctl(there, "ls")["checkpoints"]) == 1  # type: ignore[arg-type]


def _written_bytes(pid: int, spool: Path) -> int:
    """What the daemon has of uploads, which lie in files without a name."""
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(link).startswith(str(spool)):
                found += os.stat(link).st_size
    return found
