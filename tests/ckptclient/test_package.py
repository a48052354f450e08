"""What `import ckptclient` loads, and that everything public is there when it is named."""

import subprocess
import sys
from pathlib import Path

import pytest

import ckptclient

ROOT = Path(__file__).parents[2]
LOADED = "import sys; {}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}), *sys.modules)"


def modules_after(statement: str) -> set[str]:
    """The modules of a fresh interpreter, and the packages that they are in."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(statement)], check=True, cwd=ROOT, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def bare() -> set[str]:
    return modules_after("pass")


def test_the_import_alone_loads_no_part_of_the_package(bare: set[str]) -> None:
    loaded = modules_after("import ckptclient") - bare
    assert {name for name in loaded if name.startswith("ckptclient")} == {"ckptclient", "ckptclient.version"}
    assert not loaded & {"asyncio", "ckptd", "msgpack", "socket", "subprocess", "threading", "dataclasses"}


@pytest.mark.parametrize(
    ("statement", "not_loaded"),
    [
        ("from ckptclient import Client", {"asyncio", "subprocess", "numpy", "ckptclient.aio", "ckptclient.payload"}),
        ("from ckptclient import AsyncClient", {"numpy", "uvloop", "ckptclient.sync", "ckptclient.payload"}),
        ("from ckptclient import Fenced", {"msgpack", "socket", "ckptclient.sync"}),
    ],
)
def test_a_name_loads_what_it_needs(bare: set[str], statement: str, not_loaded: set[str]) -> None:
    loaded = modules_after(statement) - bare
    assert not loaded & not_loaded
    outside = {name for name in loaded if "." not in name} - sys.stdlib_module_names
    # The compiled msgpack registers what Cython needs at run time.
    assert {name for name in outside if not name.startswith("_")} <= {"ckptclient", "msgpack", "cython_runtime"}


def test_every_public_name_is_there() -> None:
    assert set(ckptclient.__all__) <= set(dir(ckptclient))
    for name in ckptclient.__all__:
        assert getattr(ckptclient, name).__name__ == name


def test_another_name_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="module 'ckptclient' has no attribute 'Cilent'"):
        _ = ckptclient.Cilent
