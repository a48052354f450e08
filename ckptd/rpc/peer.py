"""Who is at the other end of a connection, by what the kernel says; owns the term *peer*.

SO_PEERCRED is fixed when the peer connects: a later setuid, or a descriptor handed on, changes nothing. Authority goes
by uid and groups alone. The pid names the OS process of a holder, never a right, and a number may be in use again by
the time that we look: so a pidfd comes first, then the start time is read, and then the pidfd must still be alive.
Where the process can't be named (another pid namespace, a hidden /proc) the peer is served, and the grace period of a
lost connection decides instead of its death.
"""

import errno
import grp
import os
import pwd
import select
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from ckptclient.errors import Denied
from ckptd.observe import log
from ckptd.service.caller import Role

LOG = log.get(__name__)

SO_PEERGROUPS: Final = 59
SO_PEERPIDFD: Final = 77
"""linux/socket.h of most architectures; Python has no name for either. SO_PEERPIDFD came with Linux 6.5."""

_UCRED: Final = struct.Struct("iII")
_GROUPS_BYTES_MAX: Final = 1024
"""What `getsockopt` of Python takes; a peer in more groups than 256 counts by its own group alone."""

_START_FIELD: Final = 22 - 3
"""starttime of proc_pid_stat(5), counted from the field after the command."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A connected process. `pidfd` is owned by whoever holds the peer; both it and `start` are None where unknown."""

    uid: int
    gid: int
    pid: int
    groups: frozenset[int]
    start: int | None
    pidfd: int | None


def identify(connection: socket.socket) -> Peer:
    """Ask the kernel; the caller owns the pidfd. Raises OSError where the peer can't even be asked about."""
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    pidfd = _open_pidfd(connection, pid) if pid > 0 else None
    start = None
    if pidfd is not None:
        start = start_time(pid)
        if start is None or has_exited(pidfd):
            os.close(pidfd)
            start = pidfd = None
    return Peer(uid, gid, pid, _groups(connection) | {gid}, start, pidfd)


def _open_pidfd(connection: socket.socket, pid: int) -> int | None:
    try:
        return int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD, 4), "little")
    except OSError as error:
        # A peer that was reaped has no pidfd any more, and its number may be another's: only an older kernel is asked
        # by number, and may be wrong about a peer that died before we accepted it.
        if error.errno != errno.ENOPROTOOPT:
            return None
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None


def _groups(connection: socket.socket) -> frozenset[int]:
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, _GROUPS_BYTES_MAX)
    except OSError:
        return frozenset()
    return frozenset(memoryview(raw).cast("I"))


def start_time(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None where /proc doesn't show it."""
    fields = stat_fields(pid)
    return None if fields is None else int(fields[_START_FIELD])


def stat_fields(pid: int) -> Sequence[bytes] | None:
    """The fields of /proc/PID/stat from the state on; None where there is no such process to be seen."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command stands in brackets and may hold brackets and spaces itself: what comes after the last one is plain.
    return raw[raw.rindex(b")") + 2 :].split()


def has_exited(pidfd: int) -> bool:
    """Whether the process is dead; a zombie counts as dead."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


@cache
def boot_id() -> bytes | None:
    """The id of this boot, which keeps a pid and its start time apart from those before a reboot; None where hidden."""
    try:
        return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").replace("-", ""))
    except (OSError, ValueError):
        return None


def overflow_uid(uid_map: str, overflow: str) -> int | None:
    """The uid behind which a user namespace hides those that it doesn't map; None where every uid is mapped.

    The arguments are the texts of /proc/self/uid_map and /proc/sys/kernel/overflowuid. Outside a user namespace the
    number (65534) is a user of its own, `nobody`, and as good as any other; inside one it may be anybody.
    """
    mapped = sum(int(line.split()[2]) for line in uid_map.splitlines())
    return None if mapped >= (1 << 32) - 1 else int(overflow)


def refused_uid() -> int | None:
    """`overflow_uid` of this process."""
    try:
        uid_map = Path("/proc/self/uid_map").read_text(encoding="ascii")
    except OSError:
        return None  # a kernel without user namespaces
    try:
        overflow = Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii")
    except OSError:
        overflow = "65534"
    return overflow_uid(uid_map, overflow)


class Grant(Protocol):
    """A user or a group of this machine, by name, to which the configuration gives a role."""

    @property
    def kind(self) -> str:
        """`user` or `group`."""

    @property
    def name(self) -> str:
        """As the machine's user database has it."""


class Roles:
    """Which role a peer has: root and the daemon's own user every one, others as the configuration grants."""

    def __init__(self, operators: Iterable[Grant], admins: Iterable[Grant], own_uid: int) -> None:
        self._full = frozenset({0, own_uid})
        self._granted = tuple((role, *_resolved(grants)) for role, grants in (
            (Role.ADMIN, admins), (Role.OPERATOR, operators),
        ))  # fmt: skip
        self._refused = refused_uid()

    def of(self, peer: Peer) -> Role:
        """The peer's role; raises `Denied` for a uid that may be anybody's."""
        if peer.uid == self._refused:
            raise Denied(
                "your user is not mapped into the daemon's user namespace",
                hint="run the daemon without PrivateUsers=, or map your user into its container",
            )
        if peer.uid in self._full:
            return Role.ADMIN
        for role, users, groups in self._granted:
            if peer.uid in users or not groups.isdisjoint(peer.groups):
                return role
        return Role.WORKER


def _resolved(grants: Iterable[Grant]) -> tuple[frozenset[int], frozenset[int]]:
    """The uids and gids behind names; a name that the machine doesn't know grants nothing and is warned of."""
    users: set[int] = set()
    groups: set[int] = set()
    for grant in grants:
        try:
            if grant.kind == "user":
                users.add(pwd.getpwnam(grant.name).pw_uid)
            else:
                groups.add(grp.getgrnam(grant.name).gr_gid)
        except KeyError:
            LOG.info("a role is granted to a name that this machine doesn't know", kind=grant.kind, name=grant.name)
    return frozenset(users), frozenset(groups)
