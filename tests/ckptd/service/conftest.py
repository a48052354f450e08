"""A node for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ckptd.service.node import Node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A running node; its clock stands still."""
    made = await Node(tmp_path / "store").start()
    yield made
    await made.stop()
    assert not made.failures
