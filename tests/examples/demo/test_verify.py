"""What the comparison finds, and the last line that is made of it."""

from collections import Counter

import pytest

from examples.demo.killer import Strike
from examples.demo.plan import DAEMON
from examples.demo.report import verdict
from examples.demo.verify import Outcome, differences

RIGHT = Outcome("same", Counter({"a": 1, "b": 1}), (), "same")


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        (RIGHT, []),
        (Outcome("other", RIGHT.counted, (), "other"), ["the aggregates differ"]),
        (Outcome("same", RIGHT.counted, (), "other"), ["results and state differ"]),
        (Outcome("same", Counter({"a": 1}), (), "same"), ["b was counted 0 times, not 1"]),
        (Outcome("same", Counter({"a": 2, "b": 1}), (), "same"), ["a was counted 2 times, not 1"]),
        (Outcome("same", Counter({"a": 1, "b": 1, "c": 1}), (), "same"), ["c was counted 1 times, not 0"]),
    ],
    ids=["equal", "aggregate", "state and results", "lost", "twice", "strange"],
)
def test_every_difference_is_named(outcome: Outcome, found: list[str]) -> None:
    named = list(differences(RIGHT, outcome))
    assert len(named) == len(found)
    assert all(words in sentence for words, sentence in zip(found, named, strict=True))


def strikes(*victims: int) -> list[Strike]:
    return [Strike(victim, at=1.0, life=1, position=0) for victim in victims]


@pytest.mark.parametrize(
    ("struck", "wanted", "found", "well", "words"),
    [
        (strikes(0, DAEMON, 3), 3, [], True, "ok: 3 kills (2 of workers, 1 of the daemon): every file"),
        (strikes(0, DAEMON), 3, [], False, "failed: only 2 kills (1 of workers, 1 of the daemon) of 3"),
        (
            strikes(0),
            1,
            ["a was counted 0 times"],
            False,
            "failed: after 1 kills (1 of workers, 0 of the daemon): a was",
        ),
        (strikes(0), 1, ["x", "y", "z"], False, ": x and 2 more"),
    ],
)
def test_the_last_line_says_it(struck: list[Strike], wanted: int, found: list[str], well: bool, words: str) -> None:
    ok, line = verdict(struck, wanted, found)
    assert ok == well
    assert words in line
