"""The copy of the key of chunk ids."""

from pathlib import Path

import pytest

from ckptd.store import chunk_key
from tests.ckptd.service.node import Node


def test_it_is_kept_and_read_back_and_written_only_when_it_differs(tmp_path: Path) -> None:
    assert chunk_key.read(tmp_path) is None
    chunk_key.keep(tmp_path, b"k" * 32)
    written = (tmp_path / "chunk-key").stat()
    assert (chunk_key.read(tmp_path), written.st_mode & 0o777) == (b"k" * 32, 0o600)
    chunk_key.keep(tmp_path, b"k" * 32)
    assert (tmp_path / "chunk-key").stat().st_ino == written.st_ino
    chunk_key.keep(tmp_path, b"n" * 32)
    assert chunk_key.read(tmp_path) == b"n" * 32


@pytest.mark.parametrize("garbage", ["", "zz", "00" * 31, "\u00e4"])
def test_what_is_no_key_is_none(tmp_path: Path, garbage: str) -> None:
    (tmp_path / "chunk-key").write_text(garbage, encoding="utf-8")
    assert chunk_key.read(tmp_path) is None


async def test_a_daemon_leaves_it_beside_its_catalog(tmp_path: Path) -> None:
    node = await Node(tmp_path / "store").start()
    key = await node.inside.context.backend.tend(lambda catalog: catalog.chunk_key)
    assert chunk_key.read(node.path) == key
    (node.path / "chunk-key").unlink()
    await node.restart()
    assert chunk_key.read(node.path) == key
    await node.stop()
