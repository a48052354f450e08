"""pytest, as pyproject.toml and conftest.py set it: what a test leaves behind, or gets wrong about itself, fails it."""

import re
from pathlib import Path

import pytest

from tests.contracts import right_code
from tests.contracts.tools import run

pytestmark = pytest.mark.xdist_group("pytest")

LOST_TASK = """async def test_it() -> None:
    async def bad() -> None:
        raise ValueError("lost")
    task = asyncio.ensure_future(bad())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
"""
LOST_IN_A_THREAD = """def test_it() -> None:
    def bad() -> None:
        raise ValueError
    thread = threading.Thread(target=bad)
    thread.start()
    thread.join()
"""

# what it is | what the report says of it | the test
FAULTS = [
    ("a warning", "DeprecationWarning: old", "def test_it() -> None:\n    warnings.warn('old', DeprecationWarning)\n"),
    (
        "a coroutine never awaited",
        "never awaited",
        "async def go() -> None: ...\n\n\ndef test_it() -> None:\n    go()\n    gc.collect()\n",
    ),
    ("a socket left open", "unclosed", "def test_it() -> None:\n    socket.socket()\n    gc.collect()\n"),
    ("a task that died unseen", "never retrieved", LOST_TASK),
    ("an exception lost in a thread", "Exception in thread", LOST_IN_A_THREAD),
    ("a misspelt marker", "not found in `markers`", "@pytest.mark.slwo\ndef test_it() -> None: ...\n"),
    ("an expected failure that passes", "XPASS", "@pytest.mark.xfail\ndef test_it() -> None: ...\n"),
]
HEAD = '"""T."""\n\nimport asyncio\nimport gc\nimport socket\nimport threading\nimport warnings\n\nimport pytest\n\n\n'


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pytest")
    tests = {f"tests/test_fault{number}.py": HEAD + body for number, (_, _, body) in enumerate(FAULTS)}
    right_code.write(folder, tests)
    return run(folder, "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors").stdout


@pytest.mark.parametrize(("number", "what"), [(number, row[0]) for number, row in enumerate(FAULTS)])
def test_pytest_refuses(number: int, what: str, report: str) -> None:
    _, words, _ = FAULTS[number]
    assert re.search(rf"^(FAILED|ERROR) tests/test_fault{number}\.py", report, re.MULTILINE), (
        f"{what} passed:\n{report}"
    )
    assert words in report


def test_right_tests_pass(tmp_path: Path) -> None:
    right_code.write(tmp_path, {})
    result = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider")
    assert re.search(r"^2 passed", result.stdout, re.MULTILINE), result.stdout + result.stderr


def test_what_is_drawn_at_random_can_be_repeated(tmp_path: Path) -> None:
    right_code.write(
        tmp_path,
        {"tests/test_drawn.py": '"""T."""\n\n\ndef test_it(rng) -> None:\n    assert rng.random() < 0, rng.random()\n'},
    )

    def failure(*arguments: str) -> str:
        output = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "tests/test_drawn.py", *arguments).stdout
        return next(line for line in output.splitlines() if line.startswith("E   ")) + output

    first = failure()
    seed = re.search(r"--seed=\d+", first)
    assert seed is not None
    assert failure(seed[0]).splitlines()[0] == first.splitlines()[0]
    assert failure("--seed=1").splitlines()[0] != first.splitlines()[0]
