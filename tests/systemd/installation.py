"""What `pip install 'ckptd[daemon]'` makes of a virtual environment, made without an index: the packages are here.

The development environment itself won't do: it holds ten times as much, points at the working tree, and may lie where
an unprivileged daemon can't read it.
"""

import compileall
import shutil
import sys
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
PREFIX: Final = "/opt/ckptd"
BASE: Final = "/opt/python"
"""Where the instance sees the interpreter's installation, unless that is the system's own."""

SCRIPTS: Final = {"ckptd": "ckptd.cli", "ckptctl": "ckptd.ctl.__main__"}


def install(target: Path) -> None:
    """Make the environment that will be seen as PREFIX."""
    venv.EnvBuilder(symlinks=True).create(target)
    packages = next((target / "lib").glob("python3*/site-packages"))
    for name in _needed(Requirement("ckptd[daemon]"), set()):
        _copy(name, packages)
    for package in ("ckptd", "ckptclient"):
        shutil.copytree(ROOT / package, packages / package, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(packages / package, quiet=2)
    for command, module in SCRIPTS.items():
        script = target / "bin" / command
        script.write_text(f"#!{PREFIX}/bin/python\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
        script.chmod(0o755)
    _leave_home(target)
    target.chmod(0o755)


def interpreter() -> dict[Path, str]:
    """The view of the interpreter's installation that the instance needs, if any."""
    return {} if sys.base_prefix == "/usr" else {Path(sys.base_prefix): BASE}


def _needed(requirement: Requirement, seen: set[tuple[str, str]]) -> Iterator[str]:
    """The names of a requirement and of all that it needs."""
    for extra in ("", *sorted(requirement.extras)):
        if (key := (canonicalize_name(requirement.name), extra)) in seen:
            continue
        if not extra:
            yield requirement.name
        seen.add(key)
        for line in metadata.requires(requirement.name) or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                yield from _needed(needed, seen)


def _copy(name: str, packages: Path) -> None:
    """Copy an installed distribution's files; of an editable one that is its metadata."""
    for file in metadata.files(name) or ():
        source = Path(str(file.locate()))
        if ".." not in file.parts and file.suffix != ".pth" and source.is_file():
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, packages / file)


def _leave_home(target: Path) -> None:
    """The interpreter may lie in a home directory, out of reach of another user and of ProtectHome=."""
    for base in interpreter():
        settings = target / "pyvenv.cfg"
        lines = settings.read_text().splitlines()
        settings.write_text(
            "\n".join(f"home = {BASE}/bin" if line.startswith("home") else line for line in lines) + "\n"
        )
        for link in (target / "bin").glob("python*"):
            found = link.readlink()
            if found.is_absolute():
                link.unlink()
                link.symlink_to(f"{BASE}/bin/{found.resolve().relative_to(base.resolve() / 'bin')}")
