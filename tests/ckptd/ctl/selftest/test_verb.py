"""`ckptctl selftest crash`: what it says of what was found."""

from pathlib import Path

import pytest

from ckptd.ctl.selftest import verb
from ckptd.ctl.selftest.killing import Verdict
from tests.ckptd.ctl.fakes import run

GOOD = Verdict("kill", 20, 400, "kills")
BAD = Verdict("kill", 3, 40, "kills", ["acknowledged save a_custom_1 is lost"])
SKIPPED = Verdict("replay", 0, 0, "crash states", skipped="strace is not installed")


@pytest.mark.parametrize(
    ("verdict", "code", "says"),
    [
        (GOOD, 0, "✓ 20 kills, 400 acknowledgements: nothing lost"),
        (BAD, 9, "✗ 3 kills, 40 acknowledgements: 1 wrong"),
        (BAD, 9, "kill: acknowledged save a_custom_1 is lost"),
        (BAD, 9, "keep this output, with its seed"),
        (SKIPPED, 0, "! skipped: strace is not installed"),
        (SKIPPED, 0, "nothing was tried"),
    ],
)
def test_it_says_what_was_done_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, code: int, says: str
) -> None:
    monkeypatch.setattr(verb, "PATH_BYTES_MAX", 1000)
    monkeypatch.setattr(verb, "_TIERS", {"kill": lambda *_: verdict})
    ran = run("selftest", "crash", "--store", str(tmp_path), "--seed", "5", "--tier", "kill")
    assert ran.code == code
    assert says in ran.out
    assert "seed       5" in ran.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("where", "says"),
    [("missing", "is no directory"), ("file", "is no directory"), ("d" * 80, "too long for a socket")],
)
def test_a_directory_that_cant_be_used_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, says: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / ("d" * 80)).mkdir()
    monkeypatch.chdir(tmp_path)
    ran = run("selftest", "crash", "--store", where)
    assert ran.code == 2
    assert says in ran.err
