"""A node to be backed up."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ckptd.service.conftest import small_disk
from tests.ckptd.service.node import Node
from tests.ckptd.store.backup.backing import Backing

__all__ = ["backing", "small_disk"]


@pytest.fixture
async def backing(tmp_path: Path) -> AsyncIterator[Backing]:
    """A running node with two processes' states in packs and one's in the catalog."""
    node = await Node(tmp_path / "store").start()
    made = Backing(node, tmp_path / "backups")
    await made.save("one")
    await made.save("two", 3_000_000)
    await made.save("small", 100)
    yield made
    await node.stop()
    assert not node.failures
