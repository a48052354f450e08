"""Which files there are, and that every one is in exactly one share."""

import ast
import os
from collections import Counter

import pytest
import rich
from hypothesis import given, strategies as st

from examples.demo import corpus

PATHS = [f"/{number}.py" for number in range(100)]


def test_sources_are_those_of_the_interpreter_and_the_environment() -> None:
    found = corpus.sources()
    assert found == sorted(set(found))
    for module in (ast, rich):
        assert os.path.realpath(str(module.__file__)) in found


@given(st.integers(1, 16), st.integers(1, 4))
def test_every_file_is_in_one_share_once_a_pass(workers: int, passes: int) -> None:
    counted = Counter(path for worker in range(workers) for path in corpus.share(PATHS, worker, workers, passes))
    assert counted == dict.fromkeys(PATHS, passes)


@pytest.mark.parametrize(("count", "sampled"), [(0, 100), (1, 1), (7, 7), (100, 100), (500, 100)])
def test_a_sample_is_spread(count: int, sampled: int) -> None:
    chosen = corpus.sample(PATHS, count)
    assert len(set(chosen)) == sampled
    assert chosen == [path for path in PATHS if path in chosen]


@pytest.mark.parametrize(
    ("files", "kills", "passes"), [(4000, 12, 1), (240, 12, 1), (100, 12, 3), (1, 10, 200), (0, 1, 20)]
)
def test_few_files_are_gone_through_more_often(files: int, kills: int, passes: int) -> None:
    assert corpus.passes_for(files, kills) == passes
