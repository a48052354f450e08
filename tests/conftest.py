"""What every test gets: lost exceptions fail it, and what is random in it can be repeated."""

import gc
import logging
import os
import random
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import settings

# On a busy machine a deadline per example measures the neighbours. CI draws the same examples every time, so that a
# red run is red for everybody; `dev` looks further with each run, and prints how to repeat what it finds.
settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed", type=int, default=None, help="repeat the random choices of a former run (default: drawn)"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.option.seed is None:  # on xdist's workers the controller's choice is there already
        config.option.seed = secrets.randbelow(2**32)


def pytest_collection_finish() -> None:
    gc.freeze()  # what is loaded by now stays: the collection after each test looks at what the test made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(f"to repeat what was drawn at random: --seed={config.option.seed}")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """The test's own source of randomness; the same for the same `--seed`, whatever else runs."""
    return random.Random(f"{request.config.option.seed}:{request.path.stem}:{request.node.name}")


@pytest.fixture(autouse=True)
def _no_lost_exception() -> Iterator[None]:
    """A task that dies unseen is logged by asyncio, not warned about: `error` in filterwarnings does not see it."""
    lost: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: lost.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    yield
    gc.collect()  # asyncio reports a lost exception when the task is collected
    logger.removeHandler(handler)
    assert not lost, lost
