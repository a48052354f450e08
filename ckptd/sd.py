"""What the daemon says to its service manager and takes from it: readiness, watchdog, stored descriptors.

The protocol is sd_notify(3), sd_listen_fds(3) and sd_watchdog_enabled(3) of systemd, spoken with the standard library
alone, because no package passes descriptors. Not for: deciding when to say something; that is `ckptd.daemon`.
Everything is quiet where there is no manager: what is said returns False, what is asked returns nothing.
"""

import array
import os
import select
import socket
import time
from collections.abc import Iterable, MutableMapping

FDS_FIRST = 3
"""SD_LISTEN_FDS_START: the first descriptor that is handed over."""

FDS_ONE_MESSAGE_MAX = 253
"""SCM_MAX_FD of the kernel."""

NOTIFY_SECONDS_MAX = 5.0
"""How long a manager whose queue is full may hold us up. It is less than any watchdog interval we ship."""


def notify(*assignments: str, fds: Iterable[int] = ()) -> bool:
    """Tell the manager `assignments` (`"READY=1"`, `"STATUS=..."`); False where nobody was told.

    Never raises for a manager that is absent, gone or stuck: no work of ours depends on its hearing us.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):  # vsock and the like: a machine's manager, not ours
        return False
    # A value with a line break would smuggle in an assignment of its own.
    message = "\n".join(" ".join(assignment.splitlines()) for assignment in assignments).encode()
    passed = array.array("i", fds)
    if len(passed) > FDS_ONE_MESSAGE_MAX:
        raise ValueError(f"{len(passed)} descriptors in one message, the kernel takes {FDS_ONE_MESSAGE_MAX}")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)] if passed else []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(NOTIFY_SECONDS_MAX)
            manager.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
            manager.sendmsg([message], rights, socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True


def reloading() -> bool:
    """Say that a reload has begun; `notify("READY=1")` ends it. Type=notify-reload insists on the time."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def store(name: str, fds: Iterable[int]) -> bool:
    """Leave `fds` with the manager under `name`; a restarted daemon finds them in `listen_fds`.

    FDPOLL=0 keeps the manager from dropping a pidfd whose process ended, which is the news that we want after a restart.
    """
    return notify("FDSTORE=1", f"FDNAME={_checked(name)}", "FDPOLL=0", fds=fds)


def unstore(name: str) -> bool:
    """Have the manager close all that it keeps under `name`."""
    return notify("FDSTOREREMOVE=1", f"FDNAME={_checked(name)}")


def barrier(seconds: float) -> bool:
    """Wait until the manager has worked off all that was said before; False where it has not within `seconds`.

    Blocks: only for the moments before readiness and before the end. The manager closes the pipe when it comes to it.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            told = notify("BARRIER=1", fds=[writer])
        finally:
            os.close(writer)
        poll = select.poll()
        poll.register(reader, 0)  # POLLHUP needs no asking
        return told and bool(poll.poll(seconds * 1000))
    finally:
        os.close(reader)


def listen_fds(environ: MutableMapping[str, str] = os.environ) -> dict[str, list[int]]:
    """The descriptors that the manager handed over, by name, each now close-on-exec; the caller owns them.

    The variables are removed, so that a child (or a second call) doesn't take the same numbers for its own.
    """
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "0")
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}
    found: dict[str, list[int]] = {}
    for index in range(int(count)):
        fd = FDS_FIRST + index
        os.set_inheritable(fd, False)
        name = names[index] if index < len(names) and names[index] else "unknown"  # as libsystemd calls the nameless
        found.setdefault(name, []).append(fd)
    return found


def watchdog_usec(environ: MutableMapping[str, str] = os.environ) -> int | None:
    """Microseconds within which the manager wants a `WATCHDOG=1`; None where it wants none. Ping at half of it."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID")
    if not usec.isdecimal() or pid not in (None, str(os.getpid())):
        return None
    return int(usec) or None


def _checked(name: str) -> str:
    if not 0 < len(name) <= 255 or ":" in name or not name.isascii() or not name.isprintable():
        raise ValueError(f"not a name for a stored descriptor: {name!r}")
    return name
