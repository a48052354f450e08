"""Every workload runs against a real daemon, at a size that shows only that it does."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.targets import TARGETS
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]
SCALES = {"w1": 0.005, "cpu": 0.005, "w4": 0.02, "journal": 0.005}
SCALE = 0.02


@pytest.fixture
def data() -> Iterator[Path]:
    # Not under tmp_path, whose length leaves no room for a socket's name.
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        yield Path(directory)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_gives_every_figure_that_is_shown_or_judged(name: str, data: Path) -> None:
    workload = WORKLOADS[name]
    command = [sys.executable, "-m", "benchmarks.isolated", name, "ckptd", str(data), str(SCALES.get(name, SCALE))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    judged = {target.field for target in TARGETS if target.workload == name}
    assert judged | {column.field for column in workload.columns} | {*workload.zero} <= figures.keys()
    assert {field: figures[field] for field in workload.zero if figures[field]} == {}
    assert not list(data.iterdir()), "it cleans up behind itself"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "unknown: nothing; workloads are w1, cpu,"),
        (["w1", "--peers", "ckptd,oracle"], "unknown: oracle;"),
    ],
)
def test_unknown_names_are_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_memory_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="in memory"):
        main(["w1", "--peers", "ckptd", "--data", "/dev/shm"])


def test_peers_are_named_with_what_brings_those_that_are_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peers"]) == 0
    said = capsys.readouterr().err
    assert "ckptd: ckptd " in said
    assert "files: Python " in said
