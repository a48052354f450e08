"""A real daemon, as anybody would start it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_until

SECONDS = 60


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a real daemon with an empty store."""
    folder = tmp_path_factory.mktemp("daemon")
    path, archive = folder / "ckptd.sock", folder / "archive"
    archive.mkdir()
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ckptd",
                "--private",
                "--store",
                str(folder / "store"),
                "--socket",
                str(path),
                "--set",
                f"archive.path={archive}",
            ],
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[2],
        )
    try:
        wait_until(lambda: path.exists() or daemon.poll() is not None, SECONDS)
        assert daemon.poll() is None, (folder / "log").read_text()
        yield path
    finally:
        daemon.terminate()
        assert daemon.wait(SECONDS) == 0, (folder / "log").read_text()
