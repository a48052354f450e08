"""A store is opened without its daemon, whole, and without leaving a trace; never beside one."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ckptclient.errors import Busy, Damaged, NoStore, ReadOnly, VersionMismatch
from ckptd.compose import open_offline
from ckptd.errors import StartRefused
from ckptd.service.restoring import opened
from ckptd.store.catalog.interface import Filter
from ckptd.store.medium import occupy
from ckptd.store.offline import Offline
from tests.ckptd.service.node import Node

SMALL, LARGE = b"state", bytes(range(256)) * 500


async def filled(path: Path) -> Node:
    node = await Node(path).start()
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.save(token, SMALL)
    await worker.save(token, LARGE)
    return node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = await filled(tmp_path / "store")
    yield node
    await node.crash()


@pytest.fixture
async def closed(tmp_path: Path) -> Path:
    node = await filled(tmp_path / "store")
    await node.stop()
    return node.path


def states(store: Offline) -> list[bytes]:
    """What its checkpoints hold, newest first."""
    found = []
    for row in store.reader.checkpoints(Filter()):
        its = opened(row, store.reader.content(row.key))
        found.append(
            its.inline_part(0) if its.inline is not None else b"".join(store.parts.pieces(store.reader, its.parts[0]))
        )
    return found


def tree(path: Path) -> dict[str, tuple[int, int]]:
    return {str(one): ((its := one.stat()).st_size, its.st_mtime_ns) for one in path.rglob("*")}


async def test_what_was_committed_last_is_seen_though_it_is_in_the_log_alone(node: Node, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(node.path, copy, ignore=shutil.ignore_patterns("lock", "*-shm"))
    assert (copy / "catalog.db-wal").stat().st_size > 0
    before = tree(copy)
    with open_offline(copy) as store:
        assert states(store) == [LARGE, SMALL]
    assert tree(copy) == before, "nothing is written beside it"


def test_a_clean_store_is_read_where_it_lies(closed: Path) -> None:
    before = tree(closed)
    with open_offline(closed) as store:
        assert states(store) == [LARGE, SMALL]
        with pytest.raises(ReadOnly):
            store.catalog.set("k", 1)
    assert tree(closed) == before


def test_it_is_not_opened_beside_a_daemon_nor_a_daemon_beside_it(closed: Path) -> None:
    medium = occupy(closed)
    with pytest.raises(Busy, match=rf"a daemon \(pid {os.getpid()}\) has the store"):
        open_offline(closed)
    medium.release()
    with open_offline(closed), open_offline(closed) as store:
        assert states(store) == [LARGE, SMALL]
        with pytest.raises(StartRefused, match="has the store"):
            occupy(closed)
    occupy(closed).release()


def test_what_is_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NoStore):
            open_offline(path)


def test_a_catalog_that_cannot_be_opened_is_damaged(closed: Path) -> None:
    (closed / "catalog.db").write_bytes(b"no catalog at all" * 400)
    with pytest.raises(Damaged, match="can't be read"):
        open_offline(closed)
    occupy(closed).release()


async def test_a_newer_format_is_named(node: Node, tmp_path: Path) -> None:
    await node.inside.context.backend.tend(lambda catalog: catalog.set("format", 99))
    copy = tmp_path / "copy"
    shutil.copytree(node.path, copy)
    with pytest.raises(VersionMismatch, match="format 99"):
        open_offline(copy)
