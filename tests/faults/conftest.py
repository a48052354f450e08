"""A directory on a disk, and tiers that say why they can't be had here."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ckptd.ctl.selftest.tracing import missing
from tests.faults.media import Impossible


@pytest.fixture
def disk() -> Iterator[Path]:
    """The usual place for tests may be memory, and its name may be too long for a socket's."""
    with tempfile.TemporaryDirectory(prefix="ckptd-faults-", dir="/var/tmp") as directory:
        yield Path(directory)


@pytest.fixture
def traced() -> None:
    """strace is needed."""
    why = missing()
    if why is not None:
        pytest.skip(why)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """What the kernel, the user's rights or a missing program don't allow is skipped with that."""
    try:
        return (yield)
    except Impossible as why:
        pytest.skip(str(why))
