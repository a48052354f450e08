"""Measuring a file, and an aggregate that shows every loss, repetition and change of order."""

from pathlib import Path

import pytest

from examples.demo import measure
from examples.demo.measure import Aggregate, Measure

ONE: Measure = dict.fromkeys(measure.FIGURES, 1)
TWO: Measure = dict.fromkeys(measure.FIGURES, 2)


def folded(*files: tuple[str, Measure | None]) -> Aggregate:
    aggregate = measure.empty()
    for path, one in files:
        measure.fold(aggregate, path, one)
    return aggregate


def test_a_file_is_measured(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f(x):\n    return x + 1\n")
    measured = measure.measure(str(tmp_path / "a.py"))
    assert (measured["lines"], measured["definitions"]) == (2, 1)
    assert measured.keys() == set(measure.FIGURES)
    assert measured == measure.measure(str(tmp_path / "a.py"))


@pytest.mark.parametrize("text", ["def", "x = (", "\0", "# coding: nonsense\n", "'\\ud800'\nx = '\udcff'"])
def test_what_is_no_python_raises_what_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.py").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(measure.UNREADABLE):
        measure.measure(str(tmp_path / "a.py"))


def test_an_aggregate_sums() -> None:
    aggregate = folded(("a", ONE), ("b", TWO), ("c", None))
    assert (aggregate["files"], aggregate["unreadable"], aggregate["tokens"]) == (3, 1, 3)
    assert measure.total([aggregate, aggregate], "lines") == 6


@pytest.mark.parametrize(
    "other",
    [
        [("a", ONE)],
        [("a", ONE), ("b", TWO), ("b", TWO)],
        [("b", TWO), ("a", ONE)],
        [("a", TWO), ("b", ONE)],
        [("a", ONE), ("c", TWO)],
        [("a", ONE), ("b", None)],
    ],
    ids=["lost", "twice", "order", "swapped", "another file", "unreadable"],
)
def test_a_digest_shows_any_difference(other: list[tuple[str, Measure | None]]) -> None:
    right = measure.digest([folded(("a", ONE), ("b", TWO))])
    assert right == measure.digest([folded(("a", ONE), ("b", TWO))])
    assert right != measure.digest([folded(*other)])
