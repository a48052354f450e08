"""A private server of a peer: started in an empty directory, waited for, killed or stopped. Never a system's service."""

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

READY_SECONDS = 30.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.005  # restarts are part of what W5 waits for


def find_program(name: str, *directories: str) -> Path | None:
    """A program on PATH, /usr/local and /usr/sbin included, else in one of the `directories` (patterns), newest first."""
    searched = [*os.get_exec_path(), "/usr/local/bin", "/usr/sbin", "/sbin"]
    places = [Path(directory) for directory in searched]
    for pattern in directories:
        places += sorted(Path("/").glob(pattern.lstrip("/")), key=_release, reverse=True)
    for place in places:
        if os.access(place / name, os.X_OK) and (place / name).is_file():
            return place / name
    return None


def _release(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parts if part.isdigit())


@dataclass(frozen=True)
class Account:
    """The user that a server runs as, where it refuses to run as root."""

    uid: int
    gid: int

    @staticmethod
    def for_server(*names: str) -> "Account | None":
        """The first of the system's users that exists, or None where we aren't root and run it as ourselves."""
        if os.getuid() != 0:
            return None
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = next(known[name] for name in names if name in known)
        return Account(entry.pw_uid, entry.pw_gid)

    def give(self, *directories: Path) -> None:
        """Make the directories its own."""
        for directory in directories:
            os.chown(directory, self.uid, self.gid)


def _as(account: Account | None) -> dict[str, object]:
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def run(command: Sequence[str | Path], account: Account | None = None) -> str:
    """Run a command to its end and give its output; what it said is in the error when it fails."""
    done = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in command], capture_output=True, text=True, cwd="/", check=False, **_as(account)
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-500:]}")
    return str(done.stdout)


@dataclass
class Server:
    """One server process. `ready` answers whether it serves; it may raise one of `not_yet` until it does."""

    command: Sequence[str | Path]
    log: Path
    ready: Callable[[], object]
    not_yet: tuple[type[Exception], ...]
    account: Account | None = None
    directory: Path = Path("/")
    stop_signal: signal.Signals = signal.SIGTERM
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self.process is None:
            raise RuntimeError("the server was not started")
        return self.process.pid

    def start(self) -> float:
        """Start it, wait until it serves, and say how many seconds that took."""
        begin = time.perf_counter()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # type: ignore[call-overload]
                [str(word) for word in self.command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, **_as(self.account),
            )  # fmt: skip
        while not self._serves():
            if self.process.poll() is not None or time.perf_counter() - begin > READY_SECONDS:
                self.stop()
                raise RuntimeError(f"{self.command[0]} did not start: {self.log.read_text()[-800:]}")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - begin

    def _serves(self) -> bool:
        try:
            self.ready()
        except self.not_yet:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Ask it to end, and kill it when it doesn't."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
