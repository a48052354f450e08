"""House rules that no linter sees: names, docstrings, what an import loads, what no file may contain, the lock."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FOLDERS = ("ckptclient", "ckptd", "tests", "examples", "benchmarks")
MODULES = sorted(path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PURE_PLACES = ("ckptd/core/", "ckptclient/wire/", "ckptclient/calls", "ckptclient/flight", "ckptclient/results")
PURE = [path for path in MODULES if path.as_posix().startswith(PURE_PLACES)]
NAMES_THAT_SAY_NOTHING = {"util", "utils", "helper", "helpers", "common", "misc", "shared", "stuff"}
LOCK = ROOT / "requirements.lock"


def plain_names(path: Path) -> set[str]:
    """Find every plain name that a module uses: a builtin is used without an import, so no import rule sees it."""
    return {node.id for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.Name)}


def text_files() -> list[Path]:
    """List the project's files that git tracks or would: what it ignores is made, not written."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()]


def test_pure_modules_use_no_builtin_that_touches_the_world() -> None:
    touching = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
    assert [(str(path), found) for path in PURE if (found := plain_names(path) & touching)] == []


def test_there_are_pure_modules_to_look_at() -> None:
    assert {path.parts[:2] for path in PURE} >= {("ckptd", "core"), ("ckptclient", "wire")}


def test_every_module_says_what_it_is_for() -> None:
    assert [path for path in MODULES if not ast.get_docstring(ast.parse((ROOT / path).read_text()))] == []


def test_every_module_is_named_for_what_it_does() -> None:
    assert [path for path in MODULES if NAMES_THAT_SAY_NOTHING & {path.stem, *path.parts[:-1]}] == []


LOADED = """
import importlib, json, pkgutil, sys
FOR_A_LIBRARY_THAT_THE_CALLER_BRINGS = ("ckptclient.integrations", "ckptclient.payload.arrays")
before = set(sys.modules)
import ckptclient
at_import = set(sys.modules) - before
for name in getattr(ckptclient, "__all__", ()):
    getattr(ckptclient, name)
for module in pkgutil.walk_packages(ckptclient.__path__, "ckptclient."):
    if not module.name.startswith(FOR_A_LIBRARY_THAT_THE_CALLER_BRINGS):
        importlib.import_module(module.name)
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items() if name not in before}
print(json.dumps([sorted(at_import), files]))
"""


@pytest.fixture(scope="module")
def loaded() -> tuple[list[str], dict[str, str]]:
    """In a fresh interpreter: what `import ckptclient` loads, and what all of the client does, with the files."""
    result = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, check=False, text=True)
    assert result.returncode == 0, result.stderr
    at_import, files = json.loads(result.stdout)
    return at_import, files


def test_the_client_loads_nothing_of_the_daemon(loaded: tuple[list[str], dict[str, str]]) -> None:
    _, files = loaded
    assert [name for name in files if name.partition(".")[0] == "ckptd"] == []


def test_the_client_loads_no_third_party_but_msgpack(loaded: tuple[list[str], dict[str, str]]) -> None:
    _, files = loaded
    third_party = {name.partition(".")[0] for name, file in files.items() if "site-packages" in file}
    assert third_party <= {"msgpack"}


def test_importing_the_client_loads_no_event_loop(loaded: tuple[list[str], dict[str, str]]) -> None:
    at_import, _ = loaded
    assert "asyncio" not in at_import, "it alone takes twice the time that the import may"


def test_no_file_names_the_machine_that_it_was_written_on() -> None:
    places = "|".join(re.escape(str(place)) for place in {ROOT, Path.home()} if len(place.parts) > 1)
    written = re.compile(rf"(?<![\w./}})\]])(?:{places})(?![\w.-])")
    assert [str(path) for path in text_files() if written.search(path.read_text(errors="replace"))] == []


def test_no_file_names_where_packages_came_from() -> None:
    # Where packages come from is the machine's configuration: whoever builds from a mirror could not build from ours.
    source = re.compile(
        r"--(extra-)?index-url|--find-links[ =]\S+:|\w+://[\w.-]*(registry|artifact|mirror|pypi|npmjs)", re.IGNORECASE
    )
    here = Path(__file__)
    found = [str(path) for path in text_files() if path != here and source.search(path.read_text(errors="replace"))]
    assert found == []


def locked_versions() -> dict[str, list[str]]:
    """Read the lock: each package's versions (there are two where one of them has left an older Python)."""
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.+!-]+)", LOCK.read_text(), re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


def test_the_lock_has_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    locked = locked_versions()
    requirements = [Requirement(line) for line in asked if not line.startswith("ckptd[")]
    missing = [
        str(requirement)
        for requirement in requirements
        if not any(requirement.specifier.contains(v) for v in locked.get(canonicalize_name(requirement.name), []))
    ]
    assert missing == [], "run `make lock`"


def test_the_lock_pins_by_hash_and_names_no_address() -> None:
    entries = re.split(r"^(?=[\w.-]+==)", LOCK.read_text(), flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.partition(" ")[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in LOCK.read_text()
