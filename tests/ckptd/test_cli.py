"""The command line: what it prints and what it ends with."""

import subprocess
import sys
from pathlib import Path

import pytest

from ckptclient.version import __version__
from ckptd import cli


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ckptd.config.NODE_FILE", tmp_path / "absent.toml")
    for name in ("CKPTD_SOCKET", "CHECKPOINT_STORAGE_PATH"):
        monkeypatch.delenv(name, raising=False)


def test_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"ckptd {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--no-such"], "unrecognized arguments: --no-such"),
        (["--set", "novalue"], "not KEY=VALUE: 'novalue'"),
        (["config"], "required: act"),
        (["conjure"], "invalid choice: 'conjure'"),
        (["--store"], "expected one argument"),
    ],
)
def test_a_mistake_on_the_command_line_ends_with_64(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 64
    assert says in capsys.readouterr().err


def test_a_right_configuration_is_said_to_be_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ckptd.toml"
    file.write_text('[store]\nlimit = "50 %"\n')
    assert cli.main(["config", "check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: ok\n"


def test_a_store_elsewhere_needs_a_word_in_the_unit(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--store", "/srv/ckptd", "config", "check"]) == 0
    assert "ReadWritePaths=/srv/ckptd" in capsys.readouterr().out
    assert cli.main(["--store", "/srv/ckptd", "--private", "config", "check"]) == 0
    assert "ReadWritePaths" not in capsys.readouterr().out


def test_all_problems_are_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ckptd.toml"
    file.write_text('[store]\nlimit = "much"\nlimti = 3\n\n[cleanup]\ninterval = "soon"\n')
    assert cli.main(["--config", str(file), "--set", "log.level=loud", "config", "check"]) == 78
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0] == "ckptd: the configuration can't be used"
    for part in (
        f"store.limit = 'much' ({file} line 2); accepted:",
        f"store.limti = 3 ({file} line 3); no such setting, did you mean store.limit?",
        f"cleanup.interval = 'soon' ({file} line 6); accepted:",
        "log.level = 'loud' (flag --set log.level); accepted:",
    ):
        assert any(part in line for line in lines), part


def test_without_the_daemons_packages_the_command_that_brings_them_is_named() -> None:
    script = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'uvloop':\n"
        "            raise ModuleNotFoundError('No module named uvloop', name='uvloop')\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from ckptd.cli import main\n"
        "sys.exit(main(['--private']))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 78
    assert "the package uvloop is missing" in ended.stderr
    assert "pip install 'ckptd[daemon]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_nothing_of_the_daemon_is_loaded_for_a_word() -> None:
    script = (
        "import sys\n"
        "from ckptd.cli import main\n"
        "main(['config', 'check', '--help'])\n"
        "heavy = {'asyncio', 'uvloop', 'apsw', 'structlog', 'click', 'zstandard', 'typing_extensions'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
