"""What a shell is told while somebody types."""

import pytest
from click.shell_completion import ShellComplete

from ckptclient.errors import Unreachable
from ckptd.ctl.program import program
from tests.ckptd.ctl.fakes import FakeDaemon, run, world


def completions(daemon: FakeDaemon, words: list[str], incomplete: str) -> list[str]:
    complete = ShellComplete(program(world(daemon)), {"obj": world(daemon)}, "ckptctl", "_CKPTCTL_COMPLETE")
    return [item.value for item in complete.get_completions(words, incomplete)]


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ([], "e", ["expire", "events", "explain", "export"]),
        (["config"], "", ["show", "check", "reload"]),
        (["stop"], "", ["crawl-eu", "etl-nightly"]),
        (["ls"], "etl", ["etl-nightly"]),
        (["pin"], "", ["etl-nightly@latest", "etl-nightly@7"]),
        (["pin", "etl-nightly@7"], "etl-nightly@l", ["etl-nightly@latest"]),
        (["show"], "etl", ["etl-nightly", "etl-nightly@latest", "etl-nightly@7"]),
        (["ps", "--state"], "in", ["interrupted"]),
        (["explain"], "NO_", ["NO_STORE", "NO_SPACE", "NOT_FOUND"][:2]),
        (["explain"], "store.in", ["store.inline"]),
        (["completion"], "", ["bash", "zsh", "fish"]),
    ],
)
def test_what_can_come_next(words: list[str], incomplete: str, expected: list[str]) -> None:
    assert sorted(completions(FakeDaemon(), words, incomplete)) == sorted(expected)


def test_an_id_is_one_word_in_bash() -> None:
    assert run("completion", "bash").out.startswith("COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}")


def test_options_are_completed() -> None:
    assert "--state" in completions(FakeDaemon(), ["ps"], "--st")


def test_silence_where_no_daemon_answers() -> None:
    daemon = FakeDaemon({"process.list": Unreachable("no daemon answers")})
    assert completions(daemon, ["stop"], "") == []
    assert daemon.closed
