"""Which files the demo works on: the Python sources of this interpreter and its virtual environment."""

import os
import sysconfig
from collections.abc import Iterator, Sequence

ROOTS = ("stdlib", "platstdlib", "purelib", "platlib")
"""The folders of `sysconfig.get_paths` that are looked through."""
SKIPPED = frozenset({"__pycache__", "site-packages", "dist-packages"})
"""Folders that are not gone into: the packages of this environment are roots of their own."""


def sources() -> list[str]:
    """The path of every source file, each once, sorted."""
    found = {os.path.realpath(path) for root in ROOTS for path in _below(sysconfig.get_path(root))}
    return sorted(found)


def sample(paths: Sequence[str], count: int) -> list[str]:
    """`count` of the paths (0: all), evenly spread, so that a short run meets files of every kind."""
    if not 0 < count < len(paths):
        return list(paths)
    return [paths[place * len(paths) // count] for place in range(count)]


def passes_for(files: int, kills: int, files_per_kill: int = 20) -> int:
    """How often all files are gone through, so that there is work between the kills where there are few files."""
    return max(1, -(-kills * files_per_kill // max(1, files)))


def share(paths: Sequence[str], worker: int, workers: int, passes: int) -> list[str]:
    """What one worker goes through, in order. Every path is in one share, once a pass."""
    return list(paths[worker::workers]) * passes


def _below(root: str) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED]
        yield from (os.path.join(folder, name) for name in names if name.endswith(".py"))
