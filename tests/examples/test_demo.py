"""The demo as a whole, with fewer files: real workers, a real daemon, real kills."""

import re
import sys
from pathlib import Path

import pytest

from examples.demo.__main__ import main, options
from tests.examples.programs import place

SHORT = ("-m", "examples.demo", "--files", "400", "--workers", "4", "--kills", "10", "--seed", "11")


def test_the_demo_kills_and_loses_nothing(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        said = here.run(*SHORT, "--folder", str(tmp_path), "--picture", str(tmp_path / "demo.svg"))
    lines = said.splitlines()
    assert re.match(r"ok: 10 kills \(\d of workers, \d of the daemon\): every file counted exactly once", lines[-1])
    assert lines[0].startswith("400 Python source files of this interpreter")
    assert len(set(re.findall(r"\b[0-9a-f]{16}\b", said))) == 1, "both runs show one aggregate"
    picture = (tmp_path / "demo.svg").read_text()
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert not [left for left in tmp_path.iterdir() if left.name.startswith("ckptd-demo-")]


@pytest.mark.parametrize("argv", [["--workers", "0"], ["--kills", "-1"], ["--seed", "x"]])
def test_bad_arguments_are_refused_by_name(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        options(argv)
    assert argv[0] in capsys.readouterr().err


def test_a_daemon_that_does_not_start_ends_the_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert main(["--files", "4", "--workers", "1", "--folder", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[-2].startswith("failed: worker 1 ended with 1")
