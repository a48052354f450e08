"""What `pip install ckptd` brings: the client's one dependency, both packages with their types, both programs."""

import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import ckptclient
from tests.contracts.skeleton import ROOT
from tests.contracts.tools import run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    result = run(ROOT, "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    assert result.returncode == 0, result.stderr
    return next(folder.glob("ckptd-*.whl"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def installed_with(metadata: Message, extra: str) -> set[str]:
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    return {r.name for r in requirements if not r.marker or r.marker.evaluate({"extra": extra})}


@pytest.mark.parametrize(
    ("extra", "at_least", "none_of"),
    [
        ("", {"msgpack"}, {"click", "uvloop", "apsw", "numpy"}),
        ("ctl", {"msgpack", "click", "rich"}, {"uvloop", "apsw", "numpy"}),
        ("daemon", {"msgpack", "click", "uvloop", "apsw"}, {"numpy", "pytest"}),
    ],
)
def test_an_extra_brings_what_it_needs(extra: str, at_least: set[str], none_of: set[str], metadata: Message) -> None:
    assert installed_with(metadata, extra) >= at_least
    assert not installed_with(metadata, extra) & none_of


def test_the_client_needs_msgpack_alone(metadata: Message) -> None:
    assert installed_with(metadata, "") == {"msgpack"}


def test_the_code_knows_its_own_version(metadata: Message) -> None:
    assert ckptclient.__version__ == metadata["Version"]


def test_the_wheel_holds_the_two_packages_with_their_types(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"ckptd", "ckptclient"}
    assert {"ckptd/py.typed", "ckptclient/py.typed"} <= set(names)


def test_the_wheel_has_both_programs_and_the_license(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        texts = {name.partition(".dist-info/")[2]: name for name in archive.namelist()}
        programs = archive.read(texts["entry_points.txt"]).decode()
    assert "ckptd = ckptd.cli:main" in programs
    assert "ckptctl = ckptd.ctl.__main__:main" in programs
    assert "licenses/LICENSE" in texts
