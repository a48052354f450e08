"""loops.checking: a damaged catalog ends the daemon, a whole one is not mentioned."""

import asyncio
from pathlib import Path

import pytest

from ckptd.loops.checking import check
from tests.ckptd.service.node import Node


@pytest.mark.parametrize(("found", "fatal"), [([], 0), (["row 3 missing from index"], 1)])
async def test_only_a_damaged_catalog_is_fatal(tmp_path: Path, found: list[str], fatal: int) -> None:
    node = await Node(tmp_path / "store").start()
    await check(node.inside.context.backend, lambda: found, node.failures.append)
    assert len(node.failures) == fatal
    node.failures.clear()
    await node.stop()


async def test_the_real_catalog_is_checked_while_it_is_written_to(tmp_path: Path) -> None:
    node = await Node(tmp_path / "store").start()
    worker = node.worker()
    token = (await worker.register())["token"]
    look = check(node.inside.context.backend, node.inside._catalog.quick_check, node.failures.append)
    await asyncio.gather(look, *[worker.save(token) for _ in range(20)])
    assert not node.failures
    await node.stop()
