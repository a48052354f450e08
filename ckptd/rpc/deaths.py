"""Notices that workers died, and how; owns the watching of pidfds.

A pidfd is readable from the moment that the last thread of its process has exited. The reason is told later: by the
pidfd (PIDFD_INFO_EXIT, Linux 6.15) once the parent has reaped its child, and by /proc while the zombie waits, to who
may trace it. So we ask, and ask again a few times within the 100 ms in which a death is to be known; then it is
reported without a reason. Connections of one OS process share one pidfd. When the last of them has ended the pidfd is
kept, because a lost connection is no death and the next word may be the last: as many as there may be connections,
the longest departed first to go, for whom the grace period decides. The service manager keeps each pidfd too, where
there is one, so that a daemon that is started again also learns how a worker ended while there was none.
Not for: what a death means for a process (`service.processes`).
"""

import asyncio
import fcntl
import os
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ckptd import limits
from ckptd.core.attempts import Death
from ckptd.core.ids import Holder
from ckptd.observe import log
from ckptd.rpc.peer import boot_id, has_exited, start_time, stat_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LOG = log.get(__name__)

PIDFD_INFO_EXIT: Final = 1 << 3
_INFO: Final = struct.Struct("QQ11Ii")
"""struct pidfd_info of linux/pidfd.h, first version: mask, cgroupid, eleven ids, exit_code as wait(2) gives it."""

PIDFD_GET_INFO: Final = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
"""_IOWR(0xFF, 11, struct pidfd_info)."""

NAME_PREFIX: Final = "worker."
"""Of the names under which the manager keeps pidfds."""

Worker = tuple[int, int]
"""An OS process of this boot: pid and start time."""


@dataclass(slots=True)
class _Watch:
    holder: Holder
    pidfd: int
    connections: int
    polls: int = 0


class Keeper(Protocol):
    """Where descriptors outlive this process: the service manager, as `ckptd.sd` reaches it."""

    def store(self, name: str, fds: "Iterable[int]") -> bool:
        """Keep them under a name, for the next daemon."""

    def unstore(self, name: str) -> bool:
        """Keep them no longer."""


class Deaths:
    """Watches the workers that are connected, or were; `told` hears of each death once, on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, departed_count_max: int, keeper: Keeper | None = None) -> None:
        self.told: Callable[[Holder, Death], object] = lambda _holder, _death: None
        """Set once, before the first connection: who hears of deaths also asks us who lives."""
        self._loop = loop
        self._departed_count_max = departed_count_max
        self._keeper = keeper
        self._left: dict[str, int] = {}
        self._watches: dict[Worker, _Watch] = {}
        self._departed: OrderedDict[Worker, None] = OrderedDict()

    def take_over(self, left: "Mapping[str, int]") -> None:
        """The pidfds that an earlier daemon left with the manager, by name; ours from here on. `watch` finds them."""
        self._left.update(left)

    def let_go(self) -> None:
        """Close what of it nobody asked for."""
        while self._left:
            name, pidfd = self._left.popitem()
            os.close(pidfd)
            self._unstore(name)

    @property
    def watched_count(self) -> int:
        """OS processes whose death will be noticed."""
        return len(self._watches)

    def connected(self, holder: Holder, pidfd: int) -> None:
        """A connection of this worker begins; the pidfd is ours from here on."""
        worker = (holder.pid, holder.start)
        watch = self._watches.get(worker)
        if watch is None:
            self._watch(worker, _Watch(holder, pidfd, 1))
            self._store(holder, pidfd)
        else:
            os.close(pidfd)
            watch.connections += 1
            self._departed.pop(worker, None)

    def disconnected(self, holder: Holder) -> None:
        """A connection of this worker ended."""
        worker = (holder.pid, holder.start)
        watch = self._watches.get(worker)
        if watch is None:
            return  # it is dead, and that was told
        watch.connections -= 1
        if watch.connections == 0:
            self._depart(worker)

    def watched(self, holder: Holder) -> bool:
        """Whether this worker's death will be told by itself."""
        return (holder.pid, holder.start) in self._watches and holder.boot_id == boot_id()

    def alive(self, holder: Holder) -> bool | None:
        """Whether the worker lives; None where nobody can tell."""
        return True if self.watched(holder) else self._look(holder, keep=False)

    def watch(self, holder: Holder) -> bool | None:
        """Watch a worker that an earlier daemon knew; answers as `alive`.

        One that is gone already isn't told, unless the manager kept its pidfd, which tells how: then the answer is
        True, and its death is told as any other.
        """
        if self.watched(holder):
            return True
        left = self._left.pop(name_of(holder), None) if holder.boot_id == boot_id() else None
        if left is None:
            return self._look(holder, keep=True)
        self._watch_departed(holder, left)
        return True

    def _look(self, holder: Holder, *, keep: bool) -> bool | None:
        try:
            pidfd = open_worker(holder)
        except ProcessLookupError:
            return False
        except OSError:
            return None
        if keep:
            self._watch_departed(holder, pidfd)
            self._store(holder, pidfd)
        else:
            os.close(pidfd)
        return True

    def close(self) -> None:
        """Stop watching; nothing is told from here on. The manager keeps what it has, for the next daemon."""
        for worker in tuple(self._watches):
            self._forget(worker)

    def _watch_departed(self, holder: Holder, pidfd: int) -> None:
        worker = (holder.pid, holder.start)
        self._watch(worker, _Watch(holder, pidfd, 0))
        self._depart(worker)

    def _watch(self, worker: Worker, watch: _Watch) -> None:
        self._watches[worker] = watch
        self._loop.add_reader(watch.pidfd, self._exited, worker)

    def _depart(self, worker: Worker) -> None:
        self._departed[worker] = None
        if len(self._departed) > self._departed_count_max:
            self._unstore(name_of(self._forget(next(iter(self._departed)))))

    def _forget(self, worker: Worker) -> Holder:
        watch = self._watches.pop(worker)
        self._departed.pop(worker, None)
        self._loop.remove_reader(watch.pidfd)
        os.close(watch.pidfd)
        return watch.holder

    def _store(self, holder: Holder, pidfd: int) -> None:
        if self._keeper is not None:
            self._keeper.store(name_of(holder), (pidfd,))

    def _unstore(self, name: str) -> None:
        if self._keeper is not None:
            self._keeper.unstore(name)

    def _exited(self, worker: Worker) -> None:
        watch = self._watches.get(worker)
        if watch is None:
            return
        self._loop.remove_reader(watch.pidfd)
        self._ask(worker)

    def _ask(self, worker: Worker) -> None:
        watch = self._watches.get(worker)
        if watch is None:
            return  # we were closed, or it was pushed out meanwhile
        status = wait_status(watch.pidfd, watch.holder.pid)
        watch.polls += 1
        if status is None and watch.polls < len(limits.death_polls):
            self._loop.call_later(limits.death_polls[watch.polls], self._ask, worker)
            return
        self._unstore(name_of(self._forget(worker)))
        death = reason(watch.holder.pid, status)
        LOG.debug("worker gone", pid=watch.holder.pid, signal=death.signal, status=death.status)
        self.told(watch.holder, death)


def name_of(holder: Holder) -> str:
    """Under which name the manager keeps a worker's pidfd."""
    return f"{NAME_PREFIX}{holder.pid}.{holder.start}"


def open_worker(holder: Holder) -> int:
    """A pidfd of a living worker, owned by the caller.

    Raises ProcessLookupError where the worker is gone for certain, another OSError where nobody can tell.
    """
    boot = boot_id()
    if boot is None:
        raise PermissionError("this boot has no name that can be seen")
    if boot != holder.boot_id:
        raise ProcessLookupError("the machine was booted since")
    pidfd = os.pidfd_open(holder.pid)
    try:
        start = start_time(holder.pid)
        # Dead first: the start time of who is reaped can't be read, which else would mean a hidden /proc.
        if has_exited(pidfd) or start not in (None, holder.start):
            raise ProcessLookupError("it exited")
        if start is None:
            raise PermissionError("its start time can't be seen")
    except OSError:
        os.close(pidfd)
        raise
    return pidfd


def wait_status(pidfd: int, pid: int) -> int | None:
    """How a dead process ended, as wait(2) encodes it; None where nobody tells (yet)."""
    answer = bytearray(_INFO.size)
    _INFO.pack_into(answer, 0, PIDFD_INFO_EXIT, *[0] * 13)
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, answer)
    except OSError:
        pass  # before Linux 6.13 there is no such call; ESRCH: reaped before the kernel kept the reason
    else:
        told = _INFO.unpack(answer)
        if told[0] & PIDFD_INFO_EXIT:
            return int(told[-1])
    # A zombie keeps its pid, so this can't be another process; one that was reaped is not there.
    fields = stat_fields(pid)
    if fields is None or fields[0] != b"Z":
        return None
    # Zero also stands for "you may not know".
    return int(fields[-1]) or None


def reason(pid: int, status: int | None) -> Death:
    """A wait status in the words of `core.attempts`."""
    if status is None:
        return Death(pid)
    if os.WIFSIGNALED(status):
        return Death(pid, signal=os.WTERMSIG(status))
    return Death(pid, status=os.WEXITSTATUS(status))
