"""Where the daemon's socket is, and starting a private daemon; owns the terms *place* and *private daemon*.

The first of these that is said decides, so that nobody ends in another store than the one that was named:
`CKPTD_SOCKET`, an explicit storage path, `CHECKPOINT_STORAGE_PATH`; where none is, the node's socket is tried, then the
user's own private daemon. A private daemon belongs to one store and listens in the user's runtime directory, under a
hash of the store's path (a socket's path has 108 bytes). Whoever finds it missing starts it: twenty at once start
twenty, of which the store's lock leaves one, and all wait for the socket alone. It shares nothing with its starter:
another session and parent, no descriptor, no working directory.

Nothing here waits: `Finder.attempt` tries once, and the drivers try again.
"""

import errno
import os
import socket
import stat
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ckptclient import clock
from ckptclient.errors import Unreachable

if TYPE_CHECKING:
    import subprocess

NODE_SOCKET = "/run/ckptd/ckptd.sock"
NODE_STORE = "/var/lib/ckptd"
SOCKET_PATH_BYTES_MAX = 107

DAEMON_NEEDS = ("ckptd", "apsw", "blake3", "structlog", "uvloop", "zstandard")
INSTALL = "pip install 'ckptd[daemon]'"

EXIT_ANOTHER_DAEMON = 75
"""How a daemon ends that finds the store locked: another one has it, and will answer."""
KILLED_EXITS_MIN = 128
"""From here on the shell names a signal."""
START_AGAIN_SECONDS = 5.0
LOG_BYTES_MAX = 1 << 20

NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
"""What a service manager told the worker: the private daemon must not speak in its name."""

# The shell starts the daemon behind itself and passes its exit on. It is killed as soon as the socket answers, which
# makes the daemon nobody's child: no zombie, nothing that the worker's own os.wait() could trip over.
STARTER = '"$@" & wait $!'


class NoDaemon(Unreachable):
    """No daemon answers, none can be started, and another try won't change that."""

    retryable = False


class Place(NamedTuple):
    """A socket to try; a private daemon may be started for `store`, where it has one."""

    path: str
    named: str
    store: str | None = None


class Finder:
    """Finds the daemon once, and the same one again after that."""

    def __init__(
        self,
        socket_path: str | os.PathLike[str] | None = None,
        storage_path: str | os.PathLike[str] | None = None,
        settings: tuple[tuple[str, str], ...] = (),
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`socket_path` is the only place then. `settings` (key, value) go to a private daemon that is started."""
        self._environ = environ
        self._settings = settings
        self._places = places(environ, socket_path, storage_path)
        self._failures: list[str] = []
        self._starter: subprocess.Popen[bytes] | None = None
        self._started_at: float | None = None
        self.starting = False
        """A private daemon is on its way: it makes sense to try again soon."""

    def attempt(self) -> socket.socket:
        """Try every place once; raises UNREACHABLE with all of them, having started a private daemon where allowed."""
        self._failures = []
        missing = True
        for place in self._places:
            failure = self._connect(place)
            if isinstance(failure, socket.socket):
                self._places = (place,)
                self._let_go()
                return failure
            self._failures.append(f"{place.path} ({place.named}): {os.strerror(failure)}")
            missing = missing and failure in (errno.ENOENT, errno.ENOTDIR)
            # It is there, and busy or between two lives: going on would split this worker's checkpoints over two stores.
            if failure == errno.EAGAIN or (failure == errno.ECONNREFUSED and place.store is None):
                break
        else:
            self._start(self._places[-1], missing)
        raise Unreachable(f"no daemon answers; {self.looked()}", hint="start it, or say where it is with CKPTD_SOCKET")

    def looked(self) -> str:
        """Every place that the last attempt tried and why each failed, for an error."""
        return f"looked at {', '.join(self._failures)}" if self._failures else "it was connected before"

    def close(self) -> None:
        """Leave a private daemon that is still starting to itself."""
        self._let_go()

    def forked(self) -> None:
        """In a forked child: what was started is the parent's to care for."""
        if self._starter is not None:
            self._starter.returncode = 0
        self._starter, self.starting = None, False

    def _connect(self, place: Place) -> socket.socket | int:
        if place.store is not None and not _own(os.path.dirname(place.path)):
            return errno.ENOENT if not os.path.lexists(os.path.dirname(place.path)) else errno.EPERM
        connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connecting.setblocking(False)
            connecting.connect(place.path)
        except OSError as error:
            connecting.close()
            return error.errno or errno.ENAMETOOLONG  # a path over the limit has no number
        except BaseException:
            connecting.close()
            raise
        return connecting

    def _start(self, place: Place, missing: bool) -> None:
        if place.store is None or self._environ.get("CKPTD_AUTOSTART") == "0":
            return
        if self._starter is not None:
            ended = self._starter.poll()
            if ended is None:
                return
            if ended != EXIT_ANOTHER_DAEMON and 0 <= ended < KILLED_EXITS_MIN:
                self._let_go()
                raise NoDaemon(
                    f"the private daemon for {place.store} ended with {ended}: {_last_line(_log(place))}",
                    hint=f"its log is {_log(place)}",
                )
            if self._started_at is not None and clock.monotonic() < self._started_at + START_AGAIN_SECONDS:
                return
        absent = _absent()
        if absent and missing:
            raise NoDaemon(
                f"no daemon answers, and a private one needs {', '.join(absent)}; {self.looked()}",
                hint=f"{INSTALL}, or start the node's daemon",
            )
        if not absent:
            self._starter = start_private(place, self._settings, self._environ)
            self._started_at = clock.monotonic()
            self.starting = True

    def _let_go(self) -> None:
        if self._starter is not None:
            self._starter.kill()
            self._starter.wait()
        self._starter, self.starting = None, False


def places(
    environ: Mapping[str, str],
    socket_path: str | os.PathLike[str] | None = None,
    storage_path: str | os.PathLike[str] | None = None,
) -> tuple[Place, ...]:
    """Where to look, in order; a private daemon may be started for the last one that has a store."""
    if socket_path is not None:
        return (Place(os.fspath(socket_path), "as it was given"),)
    if environ.get("CKPTD_SOCKET"):
        return (Place(environ["CKPTD_SOCKET"], "CKPTD_SOCKET"),)
    if storage_path is not None:
        return (_of_store(environ, os.fspath(storage_path), "the storage path's"),)
    if environ.get("CHECKPOINT_STORAGE_PATH"):
        return (_of_store(environ, environ["CHECKPOINT_STORAGE_PATH"], "CHECKPOINT_STORAGE_PATH's"),)
    data = environ.get("XDG_DATA_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local/share")
    return (
        Place(NODE_SOCKET, "the node's"),
        _of_store(environ, os.path.join(data, "ckptd"), "the user's own"),
    )


def _of_store(environ: Mapping[str, str], path: str, named: str) -> Place:
    store = os.path.realpath(os.path.expanduser(path))
    if store == NODE_STORE:
        return Place(NODE_SOCKET, f"{named}, which is the node's store")
    from hashlib import sha256  # with OpenSSL behind it: for the workers that come this far

    name = f"ckptd-{sha256(os.fsencode(store)).hexdigest()[:16]}.sock"
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if not _own(runtime) or len(os.fsencode(os.path.join(runtime, name))) > SOCKET_PATH_BYTES_MAX:
        runtime = f"/tmp/ckptd-{os.geteuid()}"
    return Place(os.path.join(runtime, name), named, store)


def start_private(
    place: Place, settings: tuple[tuple[str, str], ...], environ: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start the daemon of a place's store; the process returned is a shell that ends as the daemon does."""
    import subprocess  # 5 ms that only the first worker of a store pays

    directory = os.path.dirname(place.path)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError as error:
        raise NoDaemon(f"the directory of the socket can't be made: {error}") from error
    if not _own(directory):
        raise NoDaemon(f"{directory} is not a directory that only this user can write", hint="remove it")
    command = [sys.executable, "-m", "ckptd", "--private", "--store", str(place.store), "--socket", place.path]
    for key, value in settings:
        command += ["--set", f"{key}={value}"]
    log = os.open(_log(place), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(log).st_size > LOG_BYTES_MAX:
            os.truncate(log, 0)
        return subprocess.Popen(
            ["/bin/sh", "-c", STARTER, "ckptd-start", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(environ),
            start_new_session=True,
        )
    finally:
        os.close(log)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name not in NOT_INHERITED}
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if "site-packages" not in root and "dist-packages" not in root:
        # A source tree that was found through the working directory, which the daemon doesn't share.
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (root, kept.get("PYTHONPATH"))))
    return kept


def _absent() -> list[str]:
    from importlib.util import find_spec

    return [name for name in DAEMON_NEEDS if find_spec(name) is None]


def _own(directory: str) -> bool:
    """Whether it is a real directory of this user's that nobody else can write."""
    try:
        status = os.lstat(directory)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _log(place: Place) -> str:
    return place.path.removesuffix(".sock") + ".log"


def _last_line(path: str) -> str:
    try:
        with open(path, errors="replace") as log:
            lines = log.read().strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing"
