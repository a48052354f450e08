"""restic and borg: each version is one backup of a directory that holds the state as a JSON file, as their users have it."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from benchmarks.peers.interface import Place, SavesAtOnce
from benchmarks.server import find_program, run
from benchmarks.states import State

FILE = "state.json"


class Archiver:
    """A repository, and one program that is run for each act. `key` is one for all: a backup has a name of its own."""

    name: ClassVar[str]
    program: ClassVar[str]
    package: ClassVar[str]
    terms: ClassVar[str]

    def __init__(self, place: Place) -> None:
        self.place = place
        self.server = None
        self.repository = place.store / "repository"
        self.source = place.scratch / "source"

    @classmethod
    def missing(cls) -> str | None:
        return None if find_program(cls.program) else f"{cls.program} is missing: apt install {cls.package}"

    def start(self) -> None:
        self.source.mkdir()
        self.tool(*self.first())

    def session(self) -> "ArchiverSession":
        return ArchiverSession(self)

    def tool(self, *words: str | Path, directory: Path | None = None) -> None:
        """Run the program, and say what it said where it fails."""
        done = subprocess.run(
            [self.program, *words],
            env={
                **os.environ,
                "HOME": str(self.place.scratch),
                "TMPDIR": str(self.place.scratch),
                **self.environment(),
            },
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.program} failed: {done.stderr[-500:]}")

    def environment(self) -> dict[str, str]:
        """Where its repository is."""
        raise NotImplementedError

    def first(self) -> Sequence[str | Path]:
        """The command that makes the repository."""
        raise NotImplementedError

    def backup(self, name: str) -> Sequence[str | Path]:
        """The command that saves the source directory."""
        raise NotImplementedError

    def restore(self, name: str, target: Path) -> None:
        """Put a backup below `target`."""
        raise NotImplementedError


class ArchiverSession(SavesAtOnce):
    """Saves and loads; what W4 asks of a store isn't asked of an archive."""

    def __init__(self, archiver: Archiver) -> None:
        self.archiver = archiver
        self.last = ""

    @override
    def save(self, key: str, version: int, state: State, *, brief: bool = False) -> None:
        (self.archiver.source / FILE).write_text(json.dumps(state))
        self.last = f"{key}-{version}"
        self.archiver.tool(*self.archiver.backup(self.last))

    def load(self, key: str, version: int | None = None) -> State:
        target = self.archiver.place.scratch / "restored"
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(target)
        target.mkdir()
        self.archiver.restore(self.last if version is None else f"{key}-{version}", target)
        state: State = json.loads((target / self.archiver.source.relative_to("/") / FILE).read_text())
        return state

    def latest(self, key: str) -> int:
        raise NotImplementedError

    def latest_all(self) -> int:
        raise NotImplementedError

    def newest(self, count: int) -> int:
        raise NotImplementedError

    def expire(self, below: int) -> int:
        raise NotImplementedError

    def compact(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


class Restic(Archiver):
    name: ClassVar[str] = "restic"
    program: ClassVar[str] = "restic"
    package: ClassVar[str] = "restic"
    terms: ClassVar[str] = "a backup of one JSON file, repository version 2 (compressed)"

    @classmethod
    def version(cls) -> str:
        return run(["restic", "version"]).split(" compiled")[0]

    @override
    def environment(self) -> dict[str, str]:
        return {"RESTIC_REPOSITORY": str(self.repository), "RESTIC_PASSWORD": "bench"}

    @override
    def first(self) -> Sequence[str | Path]:
        return "init", "--repository-version", "2"

    @override
    def backup(self, name: str) -> Sequence[str | Path]:
        return "backup", "-q", "--tag", name, self.source

    @override
    def restore(self, name: str, target: Path) -> None:
        self.tool("restore", "-q", "latest", "--tag", name, "--target", target)


class Borg(Archiver):
    name: ClassVar[str] = "borg"
    program: ClassVar[str] = "borg"
    package: ClassVar[str] = "borgbackup"
    terms: ClassVar[str] = "a backup of one JSON file, not encrypted, chunks as they come (2 MiB)"
    chunker: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def version(cls) -> str:
        return run(["borg", "--version"]).strip()

    @override
    def environment(self) -> dict[str, str]:
        return {"BORG_REPO": str(self.repository), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}

    @override
    def first(self) -> Sequence[str | Path]:
        return "init", "--encryption", "none"

    @override
    def backup(self, name: str) -> Sequence[str | Path]:
        return "create", *self.chunker, f"::{name}", self.source

    @override
    def restore(self, name: str, target: Path) -> None:
        self.tool("extract", f"::{name}", directory=target)


class FineBorg(Borg):
    name: ClassVar[str] = "borg-fine"
    terms: ClassVar[str] = "as borg, with chunks of 2 KiB"
    chunker: ClassVar[tuple[str, ...]] = ("--chunker-params", "9,14,11,4095")
