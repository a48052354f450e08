"""One booted systemd as a test sees it: commands in it, the units' properties, drop-ins, the journal.

Booting itself is `machine`'s; what stands in `/opt/ckptd` there is `installation`'s.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.waiting import wait_until

HERE: Final = Path(__file__).parent
MACHINE: Final = HERE / "machine"
PYTHON: Final = "/opt/ckptd/bin/python"
WORKER: Final = "/srv/worker.py"
OUT: Final = "/srv/out"
SECONDS: Final = 30.0
"""Every wait ends; none is expected to."""

Command: TypeAlias = "str | Path | int"


@dataclass(frozen=True, slots=True)
class User:
    """Whose command it is, by numbers: the machine needs no account for it."""

    uid: int
    groups: tuple[str, ...] = ()

    def command(self) -> tuple[str, ...]:
        groups = f"--groups={','.join(self.groups)}" if self.groups else "--clear-groups"
        # A change of user makes the kernel forget that the command shall die with whoever runs it.
        return "setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", groups, "--pdeathsig=KILL"


MEMBER: Final = User(4201, ("ckptd",))
STRANGER: Final = User(4202)
OPERATOR: Final = User(4203, ("ckptd", "ckptd-operators"))
ROOT: Final = User(0)


def why_not() -> str:
    """Why this machine can't boot one; empty where it can."""
    return subprocess.run([MACHINE, "check"], capture_output=True, check=False, text=True).stdout.strip()


class Program:
    """A command that goes on in the background."""

    def __init__(self, command: Sequence[Command]) -> None:
        self._process = subprocess.Popen(
            [str(one) for one in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def line(self) -> str:
        """The next line that it says; its end is a failure."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert not said.startswith("Traceback"), self._process.stdout.read()
        assert said, f"it ended with {self._process.wait(SECONDS)}"
        return said.strip()

    def finish(self) -> str:
        """Close its standard input, which is how ours are told to end, and answer the rest of what it says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        said = self._process.stdout.read()
        assert self._process.wait(SECONDS) == 0, said
        return said.strip()

    def end(self) -> None:
        """Kill it; harmless when it has ended."""
        with self._process:
            self._process.kill()


@dataclass(slots=True)
class Instance:
    """A handle of `machine`, and what the tests do with it."""

    handle: str
    out: Path
    """What the programs inside write under /srv/out, seen from here."""
    began: float = field(default_factory=time.time)
    programs: list[Program] = field(default_factory=list)

    def begin(self, *command: Command, user: User = ROOT) -> Program:
        program = Program((MACHINE, "in", self.handle, *user.command(), *command))
        self.programs.append(program)
        return program

    def run(self, *command: Command, user: User = ROOT) -> str:
        """The output of a command that must succeed."""
        done = self.attempt(*command, user=user)
        assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def attempt(self, *command: Command, user: User = ROOT) -> subprocess.CompletedProcess[str]:
        whole = [str(one) for one in (MACHINE, "in", self.handle, *user.command(), *command)]
        return subprocess.run(whole, capture_output=True, check=False, text=True, timeout=SECONDS)

    # the worker's program

    def worker(self, *arguments: Command, user: User = MEMBER) -> Program:
        return self.begin(PYTHON, WORKER, *arguments, user=user)

    def ask(self, *arguments: Command, user: User = MEMBER) -> Any:
        """What the worker's program answers to a single question."""
        return json.loads(self.run(PYTHON, WORKER, *arguments, user=user))

    # systemd

    def systemctl(self, *arguments: str) -> str:
        return self.run("systemctl", *arguments)

    def show(self, name: str, unit: str = "ckptd.service") -> str:
        return self.systemctl("show", f"--property={name}", "--value", unit)

    def main_pid(self) -> int:
        return int(self.show("MainPID"))

    def override(self, *settings: str, unit: str = "ckptd.service") -> None:
        """Change settings of the unit's own section, until the test ends."""
        section = unit.rpartition(".")[2].capitalize()
        self.drop_in("test.conf", "\n".join((f"[{section}]", *settings, "")), unit=unit)

    def drop_in(self, name: str, text: str, *, unit: str = "ckptd.service") -> None:
        """A whole drop-in, until the test ends."""
        self.write(f"/run/systemd/system/{unit}.d/{name}", text)
        self.systemctl("daemon-reload")

    def configure(self, text: str) -> None:
        self.write("/etc/ckptd/ckptd.toml", text)

    def write(self, path: str, text: str) -> None:
        self.run("sh", "-c", 'mkdir -p "${1%/*}" && printf %s "$2" >"$1"', "sh", path, text)

    def signal(self, name: str, pid: int) -> None:
        assert pid > 0, "not running"
        self.run("sh", "-c", f"kill -{name} {pid}")

    def wait_restarted(self, pid: int) -> int:
        """Wait until another process than this serves."""
        wait_until(lambda: self.main_pid() not in (pid, 0) and self.show("ActiveState") == "active", SECONDS)
        return self.main_pid()

    # the journal

    def events(self) -> list[Mapping[str, Any]]:
        """What the daemon has logged since the test began."""
        return [json.loads(line) for line in self._journal() if line.startswith("{")]

    def event(self, name: str) -> Mapping[str, Any] | None:
        """The latest of that name."""
        return next((one for one in reversed(self.events()) if one["event"] == name), None)

    def said(self, text: str) -> bool:
        """Whether systemd or the daemon said so since the test began."""
        return any(text in line for line in self._journal())

    def _journal(self) -> list[str]:
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--unit=ckptd.service", "--output=cat", f"--since=@{self.began:.6f}").splitlines()

    def end_programs(self) -> None:
        while self.programs:
            self.programs.pop().end()

    def reset(self) -> None:
        """Every test begins with the socket listening, the daemon stopped, an empty store and the units as shipped."""
        self.systemctl("stop", "ckptd.socket", "ckptd.service")
        self.run("sh", "-c", "rm -rf /run/systemd/system/ckptd.* /etc/ckptd/ckptd.toml /srv/out/* /var/lib/ckptd/*")
        self.systemctl("daemon-reload")
        self.attempt("systemctl", "reset-failed", "ckptd.service", "ckptd.socket")
        self.systemctl("start", "ckptd.socket")
        self.began = time.time()


@contextmanager
def booted(binds: Mapping[Path, str], writable: Mapping[Path, str], interpreter: Mapping[Path, str]) -> Iterator[str]:
    """Boot one with these views of the machine's files; its handle."""
    options: list[str] = []
    for option, views in (("--bind", binds), ("--bind-rw", writable), ("--python", interpreter)):
        for source, target in views.items():
            options += [option, f"{source.resolve(strict=True)}:{target}"]
    done = subprocess.run([MACHINE, "boot", *options], capture_output=True, check=False, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    handle = done.stdout.strip()
    try:
        yield handle
    finally:
        subprocess.run([MACHINE, "stop", handle], check=True, timeout=120)
