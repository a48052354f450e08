"""Checkpoints from one store into another, with real daemons, and on to the worker that goes on from them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import RunningDaemon

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
        assert process.restore() == STATE
    # From now on the process is somebody's, and what is imported comes beside it only where that is said.
    ckptctl(there, "expire", str(first["checkpoint_id"]), "--yes")
    assert ckptctl(there, "import", str(file), code=6)["code"] == "CONFLICT"
    # The same bytes go out again as they came in.
    back = tmp_path / "back.export"
    ckptctl(there, "import", str(file), "--process", "copy")
    ckptctl(there, "export", "copy@latest", str(back))
    assert ckptctl(here, "import", str(back), "--process", "train2")["size_bytes"] == exported["size_bytes"]
