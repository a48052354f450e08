"""The listening socket and its accept loop.

The socket is ours or systemd's. It is never given to asyncio's server, which from Python 3.13 on removes the path when
it closes: for a socket that systemd owns that would mean that nobody can connect any more. Our own path is removed
only while it is still the file that we made. Whoever is refused hears why in the answer to its hello, within bounds.
Not for: who may connect (the file's mode and group, and `peer`), nor for what is said (`session`).
"""

import contextlib
import errno
import grp
import os
import socket
import stat
from functools import partial
from pathlib import Path
from typing import Final

from ckptclient.errors import CkptdError
from ckptd import limits
from ckptd.errors import StartRefused
from ckptd.observe import log
from ckptd.rpc.hub import Hub
from ckptd.rpc.peer import Peer, Roles, identify
from ckptd.rpc.session import Session
from ckptd.service.caller import Role

LOG = log.get(__name__)

EX_TEMPFAIL: Final = 75


class Listener:
    """Accepts connections of one socket for a hub. `roles` may be replaced while it runs."""

    def __init__(self, hub: Hub, listening: socket.socket, roles: Roles, made: "Made | None" = None) -> None:
        self.roles = roles
        self.name: Final = str(listening.getsockname())
        """Its path."""
        self._hub = hub
        self._listening = listening
        self._made = made
        self._accepting = False

    def open(self) -> None:
        """Begin to accept."""
        self._accepting = True
        self._hub.loop.add_reader(self._listening.fileno(), self._acceptable)

    def close(self) -> None:
        """Accept no more. A socket of systemd's goes on listening, and who connects waits for our successor."""
        if self._accepting:
            self._accepting = False
            self._hub.loop.remove_reader(self._listening.fileno())
        if self._made is not None:
            self._made.remove()
        self._listening.close()

    def _acceptable(self) -> None:
        for _ in range(limits.accepts_count_max):
            try:
                sock, _address = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # the peer gave up while it waited
            except OSError as error:
                self._pause(error)
                return
            sock.setblocking(False)
            self._serve(sock)

    def _pause(self, error: OSError) -> None:
        # A reader would be called again at once, and nothing has changed: no descriptor is free.
        LOG.warning("can't accept connections", why=error.strerror, hint="raise LimitNOFILE")
        self._hub.loop.remove_reader(self._listening.fileno())
        self._accepting = False
        self._hub.loop.call_later(limits.accept_pause_seconds, self._go_on)

    def _go_on(self) -> None:
        if not self._accepting and self._listening.fileno() >= 0:
            self.open()

    def _serve(self, sock: socket.socket) -> None:
        hub = self._hub
        try:
            peer = identify(sock)
        except OSError as error:
            LOG.debug("a peer can't be identified", why=error.strerror)
            sock.close()
            return
        role = Role.WORKER
        try:
            role = self.roles.of(peer)
            hub.slots.take(peer.uid, role)
        except CkptdError as refusal:
            self._turn_away(sock, peer, refusal)
            return
        hub.metrics.gauge("connections", hub.slots.taken)
        Session(hub, sock, peer, role, partial(self._freed, peer.uid, role))

    def _freed(self, uid: int, role: Role) -> None:
        self._hub.slots.give(uid, role)
        self._hub.metrics.gauge("connections", self._hub.slots.taken)

    def _turn_away(self, sock: socket.socket, peer: Peer, refusal: CkptdError) -> None:
        hub = self._hub
        LOG.debug("a connection was refused", uid=peer.uid, pid=peer.pid, why=refusal.message)
        hub.metrics.count("connections_refused_total")
        if hub.refusals >= limits.refusals_count_max:
            if peer.pidfd is not None:
                os.close(peer.pidfd)
            sock.close()
            return
        hub.refusals += 1
        Session(hub, sock, peer, Role.WORKER, self._turned_away, refusal)

    def _turned_away(self) -> None:
        self._hub.refusals -= 1


class Made:
    """A socket file of our making, known by its inode: another daemon's under the same name is left alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = _identity(path)

    def remove(self) -> None:
        """Remove the file, where it is still ours."""
        if self._identity is not None and _identity(self._path) == self._identity:
            # What can't be removed is stale, and the next daemon's to remove: the store has still to be closed.
            with contextlib.suppress(OSError):
                self._path.unlink()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def adopt(fd: int) -> socket.socket | None:
    """The listening Unix socket behind a descriptor that systemd passed; None where it is something else."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return None
    found = socket.socket(fileno=fd)
    if found.family != socket.AF_UNIX or not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        found.detach()
        return None
    found.setblocking(False)
    return found


def bind(path: Path, group: str) -> tuple[socket.socket, Made]:
    """Make the socket and listen; the caller holds the store's lock. Mode 0600, or 0660 for a group that is named.

    Raises StartRefused where the path can't be used: another daemon listens there, it is no socket, or its directory
    is not ours to trust.
    """
    _prepare_directory(path.parent)
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # From its first moment nobody but us may connect: the umask makes it 0600, and it doesn't listen yet.
        umask = os.umask(0o177)
        try:
            listening.bind(os.fspath(path))
        finally:
            os.umask(umask)
        _give_to_group(path, group)
        listening.listen(limits.backlog_count_max)
    except OSError as error:
        listening.close()
        raise StartRefused(
            f"can't listen at {path}: {error.strerror}", hint="choose another --socket, or mend the directory"
        ) from error
    listening.setblocking(False)
    return listening, Made(path)


def _prepare_directory(directory: Path) -> None:
    try:
        directory.mkdir(0o700, parents=True, exist_ok=True)
        found = directory.stat()
    except OSError as error:
        raise StartRefused(
            f"can't use {directory} for the socket: {error.strerror}", hint="choose another --socket"
        ) from error
    ours = found.st_uid in (os.geteuid(), 0)
    # In a directory that others may write to, without the sticky bit, anybody could put a socket of his own in place.
    if not ours or (found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX):
        raise StartRefused(
            f"the socket's directory {directory} is not safe: others may replace what is in it",
            hint="use a directory that only you can write to",
        )


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StartRefused(f"{path} exists and is no socket", hint="remove it, or choose another --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        refused = probe.connect_ex(os.fspath(path))
    if refused != errno.ECONNREFUSED:
        raise StartRefused(
            f"another daemon listens at {path}",
            hint="stop it, or choose another --socket",
            sysexit=EX_TEMPFAIL,
        )
    # Nobody listens: a daemon that was killed left it, and none for this store can begin while we hold the lock.
    try:
        path.unlink()
    except OSError as error:
        raise StartRefused(
            f"the socket that an earlier daemon left at {path} can't be removed: {error.strerror}",
            hint="remove it, or choose another --socket",
        ) from error


def _give_to_group(path: Path, group: str) -> None:
    if not group:
        return
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(0o660)
    except (KeyError, PermissionError) as error:
        LOG.warning(
            "the socket is for our own user alone: it can't be given to its group",
            group=group,
            why="no such group" if isinstance(error, KeyError) else "not permitted",
            hint="make the group (sysusers.d/ckptd.conf does), or set socket_group to one of ours",
        )
