"""How the program ends: exit codes, errors in three lines or one object, words that are no verbs, options anywhere."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ckptclient import calls
from ckptclient.errors import CODES, CkptdError, ConfigError, Internal, NotFound, Unreachable
from ckptd.ctl import codes
from ckptd.ctl.printing import coloured, error_lines
from ckptd.ctl.session import Common, connect
from ckptd.ctl.verbs import MEANT, VERBS
from tests.ckptd.ctl.fakes import run, screen

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", list(CODES.values()), ids=list(CODES))
def test_every_error_ends_with_its_own_exit_code(kind: type[CkptdError]) -> None:
    ran = run("cleanup", replies={"store.cleanup": kind("it went wrong", hint="do this")})
    assert (ran.code, ran.out) == (kind.exit_code, "")
    first, hint, more = ran.err.splitlines()
    assert first == f"error: it went wrong [{kind.code}]"
    assert hint.startswith("  ")
    assert more == f"  more: ckptctl explain {kind.code}"


def test_every_exit_code_and_every_error_code_is_explained() -> None:
    assert {kind.exit_code for kind in CODES.values()} <= set(codes.EXITS)
    assert set(codes.TEXTS) == set(CODES)


@pytest.mark.parametrize("code", list(CODES))
def test_every_error_code_can_be_explained(code: str) -> None:
    ran = run("explain", code.lower())
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{code}\n")


def test_what_can_not_be_explained_names_the_nearest() -> None:
    ran = run("explain", "store.limits")
    assert (ran.code, ran.out) == (4, "")
    assert "did you mean store.limit?" in ran.err


def test_a_failure_as_json_leaves_stdout_empty() -> None:
    ran = run("show", "x", "--json", replies={"process.show": Internal("our fault", details={"at": b"\x01"})})
    assert (ran.code, ran.out) == (1, "")
    assert json.loads(ran.err) == {
        "code": "INTERNAL", "message": "our fault", "hint": None, "retryable": False, "details": {"at": {"base64": "AQ=="}},
    }  # fmt: skip


def test_wrong_usage_is_json_too() -> None:
    ran = run("ls", "--json", "--nix")
    assert (ran.code, ran.out) == (2, "")
    assert json.loads(ran.err)["code"] == "USAGE"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("ls --nix", "no such option"),
        ("ls a b c", "unexpected extra argument"),
        ("show", "missing argument"),
        ("ps --state nix", "'nix' is not one of"),
        ("ls --limit -1", "-1 is not in the range"),
        ("ls --timeout soon", "soon is no length of time"),
        ("ls --since soon", "soon is no time"),
        ("ls --columns nix", "--columns nix names no column"),
        ("config nix", "ckptctl config has no verb nix"),
        ("lss", "ckptctl has no verb lss"),
    ],
)
def test_wrong_usage_is_three_lines(words: str, text: str) -> None:
    ran = run(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert text in ran.err.splitlines()[0]
    assert ran.err.count("\n") == 3


@pytest.mark.parametrize("word", list(MEANT))
def test_a_word_of_another_tool_does_nothing_but_name_the_verb(word: str) -> None:
    ran = run(word, "x")
    assert (ran.code, ran.out, ran.daemon.asked) == (2, "", [])
    assert f"  ckptctl {MEANT[word]}\n" in ran.err


def test_the_verbs_that_are_meant_are_there() -> None:
    names = [verb.name for verb in VERBS]
    assert [meant for meant in MEANT.values() if not meant.startswith((*names, "--help"))] == []
    assert set(MEANT).isdisjoint(names)


def test_every_problem_of_a_configuration_has_a_line(tmp_path: Path) -> None:
    path = tmp_path / "ckptd.toml"
    path.write_text('[store]\nlimit = "lots"\n[nix]\n')
    ran = run("config", "check", str(path))
    assert (ran.code, ran.out) == (2, "")
    assert f"  store.limit = 'lots' ({path} line 2); accepted: a share" in ran.err
    assert "  nix = {}" in ran.err


def test_a_good_configuration_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "ckptd.toml"
    path.write_text('[store]\nlimit = "1 GB"\n')
    assert run("config", "check", str(path)).out.startswith(f"{path}: ok, 1 setting of")


@pytest.mark.parametrize("words", ["--json ps", "ps --json", "--json config show"])
def test_what_every_verb_takes_may_stand_before_it(words: str) -> None:
    assert json.loads(run(*words.split()).out)["schema"] == 1


@pytest.mark.parametrize(
    ("color", "environ", "terminal", "wanted"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {}, True, False),
    ],
)
def test_when_there_is_colour(color: str, environ: Mapping[str, str], terminal: bool, wanted: bool) -> None:
    assert coloured(color, environ, terminal) is wanted


def test_an_error_is_red_where_somebody_asks_for_colour() -> None:
    refused = {"process.list": NotFound("nothing", hint="look")}
    assert run("ps", "--color=always", replies=refused).err.startswith(
        "\x1b[1;31merror: nothing [NOT_FOUND]\x1b[0m\n  look\n"
    )
    assert run("ps", "--color", "never", replies=refused).err.startswith("error: nothing [NOT_FOUND]\n")


def test_colour_can_be_forced_into_a_pipe() -> None:
    assert "\x1b[" in run("ps", "--color=always").out
    assert "\x1b[" not in run("ps").out


def test_a_terminal_is_filled_and_not_overfilled() -> None:
    lines = run("ps", terminal=screen(60), environ={"NO_COLOR": "1"}).out.splitlines()
    assert all(len(line) <= 60 for line in lines)
    assert lines[0].startswith("PROCESS")


@pytest.mark.parametrize(
    ("common", "environ", "hint"),
    [
        (Common(), {}, "systemctl start ckptd"),
        (Common(store="/srv/s"), {}, "ckptd --private --store /srv/s"),
        (Common(), {"CHECKPOINT_STORAGE_PATH": "/srv/s"}, "ckptd --private --store /srv/s"),
        (Common(socket="/s.sock"), {}, "systemctl status ckptd"),
    ],
)
def test_without_a_daemon_it_says_how_to_start_one(common: Common, environ: Mapping[str, str], hint: str) -> None:
    words = [f"--{name}={value}" for name in ("store", "socket") if (value := getattr(common, name))]
    ran = run("ps", *words, environ=environ, replies={"process.list": Unreachable("no daemon answers")})
    assert (ran.code, ran.out) == (7, "")
    assert hint in ran.err.splitlines()[1]


def test_it_starts_no_daemon(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    daemon = connect(Common(store=str(tmp_path / "store")), environ)
    with pytest.raises(Unreachable, match="No such file"):
        daemon.call(calls.ping())
    daemon.close()
    assert list(tmp_path.iterdir()) == []


def test_an_error_says_nothing_that_a_terminal_would_act_on() -> None:
    error = NotFound("no \x1b[2J", details={"failed": [{"id": "\x07", "message": "m", "code": "C"}]})
    assert error_lines(error) == [
        "error: no \\x1b[2J [NOT_FOUND]",
        "  \\x07: m [C]",
        "  more: ckptctl explain NOT_FOUND",
    ]


def test_details_of_another_shape_are_left_out() -> None:
    assert len(error_lines(ConfigError("x", details={"problems": "all"}))) == 2


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_has_its_examples_in_its_help(verb: str) -> None:
    ran = run(*verb.split(), "--help")
    assert ran.code == 0
    examples = next(one.examples for one in VERBS if one.name == verb)
    assert all(f"  {example}\n" in ran.out for example in examples)
    assert "--json" in ran.out


def test_every_example_is_a_verb_with_options_that_it_has() -> None:
    for verb in VERBS:
        for example in verb.examples:
            words = example.partition("ckptctl ")[2].split()
            assert words[: len(verb.name.split())] == verb.name.split(), example


@pytest.mark.parametrize("words", [[], ["config"]])
def test_without_a_verb_it_helps(words: list[str]) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "Commands:" in ran.err


def test_help_lists_the_verbs_in_the_order_of_the_table() -> None:
    listed = [
        line.split()[0] for line in run("--help").out.partition("Commands:\n")[2].splitlines() if line[2:3] != " "
    ]
    assert listed == list(dict.fromkeys(verb.name.split()[0] for verb in VERBS))


# --- the process itself ---


def ckptctl(
    *words: str, before: str = "", environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    script = f"import sys\nsys.argv[0] = 'ckptctl'\n{before}\nfrom ckptd.ctl.__main__ import main\nmain()\n"
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        timeout=60,
    )


BLOCK = "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda name, *a: None if name == 'click' else find(name, *a)"


def test_without_click_it_says_what_to_install() -> None:
    ended = ckptctl("ls", before=BLOCK)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: ckptctl needs click [USAGE]\n  pip install 'ckptd[ctl]'\n"


def test_a_pipe_loads_nothing_that_only_a_terminal_or_a_daemon_needs() -> None:
    shows = "import atexit\natexit.register(lambda: print(*sorted({name.partition('.')[0] for name in sys.modules})))"
    ended = ckptctl("version", before=shows)
    assert ended.returncode == 0, ended.stderr
    assert {"rich", "asyncio", "apsw", "uvloop", "structlog", "zstandard", "numpy"} & set(ended.stdout.split()) == set()


BUG = "import ckptd.ctl.stores as s\nimport ckptd.ctl.verbs as v\nfrom dataclasses import replace\ndef broken(session): raise KeyError('oops')\nv.VERBS = tuple(replace(one, run=broken) if one.name == 'version' else one for one in v.VERBS)"


def test_a_bug_is_three_lines_and_no_traceback() -> None:
    ended = ckptctl("version", before=BUG)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 3
    assert "[INTERNAL]" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_output_that_is_full_is_no_bug() -> None:
    ended = ckptctl("version", before="import os\nos.dup2(os.open('/dev/full', os.O_WRONLY), 1)")
    assert ended.returncode == 13
    assert ended.stderr.startswith("error: the output can't be written: No space left on device [NO_SPACE]\n")
    assert ended.stderr.count("\n") == 3


def test_a_reader_that_goes_away_is_an_exit_code() -> None:
    before = "import os\nread, write = os.pipe()\nos.close(read)\nos.dup2(write, 1)"
    ended = ckptctl("explain", before=before)
    assert (ended.returncode, ended.stderr) == (141, "")
