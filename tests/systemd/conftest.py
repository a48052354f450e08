"""Boots one systemd for the whole run, and skips with the reason where that can't be."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.installation import ROOT, install, interpreter
from tests.systemd.instance import HERE, OUT, PYTHON, WORKER, Instance, booted, why_not


@pytest.fixture(scope="session")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make install-systemd` puts under DESTDIR."""
    target = tmp_path_factory.mktemp("destdir")
    subprocess.run(
        ["make", "--no-print-directory", "install-systemd", f"DESTDIR={target}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return target


@pytest.fixture(scope="session")
def machine(units: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    if reason := why_not():
        pytest.skip(f"no systemd can be booted here: {reason}")
    directory = tmp_path_factory.mktemp("systemd")
    environment, store, out = (directory / name for name in ("environment", "store", "out"))
    install(environment)
    for writable, mode in ((store, 0o700), (out, 0o1777)):
        writable.mkdir()
        writable.chmod(mode)
    files = {path: f"/{path.relative_to(units)}" for path in units.rglob("*") if path.is_file()}
    binds = {environment: "/opt/ckptd", HERE / "worker.py": WORKER, **files}
    # The store lies on a real disk, so that a sync costs what it costs.
    with booted(binds, {store: "/var/lib/ckptd", out: OUT}, interpreter()) as handle:
        found = Instance(handle, out)
        found.run(PYTHON, "-c", "import ckptd.daemon")  # an installation that can't work fails once, not in each test
        yield found
    shutil.rmtree(directory)  # pytest would keep three of them, 70 MB each


@pytest.fixture
def instance(machine: Instance) -> Iterator[Instance]:
    """The booted one, with the units as shipped and an empty store."""
    machine.reset()
    yield machine
    machine.end_programs()
