"""A process locks itself in: from then on it can read what is open, write what is open, have memory, and end.

Nothing else: no file is opened, no socket made, no process begun or signalled, whatever runs in it and whoever it runs as.
The kernel holds that by a seccomp filter, a list of system calls of which every other fails with EPERM; it needs no
privilege, and can't be taken off. Linux on x86_64 and aarch64; elsewhere `Unlockable`, and nothing is unpickled there.
The numbers are those of the kernel's tables (`syscall_64.tbl`, `asm-generic/unistd.h`), the filter's shape that of
seccomp(2).
"""

import ctypes
import errno
import os
import platform
import resource
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

CPU_SECONDS_MAX: Final = 600

_NO_NEW_PRIVILEGES: Final = 38
_SET_MODE_FILTER: Final = 1
_ALL_THREADS: Final = 1

# BPF: load a word of the call's description, jump where it equals, return a verdict.
_LOAD, _EQUALS, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _MACHINE_AT = 0, 4
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_INSTRUCTION: Final = struct.Struct("=HBBI")


class Unlockable(Exception):
    """This machine can't lock a process in; the text says why."""


CALLS: Final[Mapping[str, tuple[int, int]]] = {
    "read": (0, 63),
    "write": (1, 64),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "exit": (60, 93),
    "futex": (202, 98),
    "clock_gettime": (228, 113),
    "exit_group": (231, 94),
    "getrandom": (318, 278),
}
"""The calls that stay, with their numbers on x86_64 and aarch64. Memory is mapped, but no file can be: none is opened."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of processor: what the kernel calls it, the number of seccomp(2), and those of the calls that stay."""

    audit: int
    seccomp: int
    calls: Sequence[int]


MACHINES: Final[Mapping[str, Machine]] = {
    "x86_64": Machine(0xC000003E, 317, [number for number, _ in CALLS.values()]),
    "aarch64": Machine(0xC00000B7, 277, [number for _, number in CALLS.values()]),
}


def bound(memory_bytes: int) -> None:
    """Give this process so much memory and no more, a bound on its time, and files of no size."""
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, CPU_SECONDS_MAX),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        _, most = resource.getrlimit(limit)
        wanted = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (wanted, wanted))


def lock() -> None:
    """Lock this process in, all of its threads. Raises `Unlockable`."""
    machine = MACHINES.get(platform.machine())
    if machine is None:
        raise Unlockable(f"there is no list of system calls for {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    program = ctypes.create_string_buffer(_filter(machine))
    count = (len(program) - 1) // _INSTRUCTION.size
    described = ctypes.create_string_buffer(struct.pack("@HP", count, ctypes.addressof(program)))
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise Unlockable(f"prctl: {os.strerror(ctypes.get_errno())}")
    if libc.syscall(machine.seccomp, _SET_MODE_FILTER, _ALL_THREADS, ctypes.c_void_p(ctypes.addressof(described))):
        raise Unlockable(f"seccomp: {os.strerror(ctypes.get_errno())}")


def _filter(machine: Machine) -> bytes:
    """Another machine's calls have other numbers, so who makes them is killed; then one comparison for each that stays."""
    calls = machine.calls
    steps = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUALS, 1, 0, machine.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    steps += [(_EQUALS, len(calls) - place, 0, call) for place, call in enumerate(calls)]
    steps += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(_INSTRUCTION.pack(*step) for step in steps)
