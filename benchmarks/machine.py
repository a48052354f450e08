"""What the figures depend on beside the programs: kernel, cores, file system, and how fast the machine is just now."""

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.timing import now, timed

UNSYNCED = frozenset({"tmpfs", "ramfs", "devtmpfs"})  # where an fsync costs nothing, and no figure means anything


@dataclass(frozen=True)
class Mount:
    """The mount that a path lies on."""

    point: str
    filesystem: str
    source: str


def mount_of(path: Path) -> Mount:
    """The mount that holds `path`, which must exist."""
    resolved = str(path.resolve())
    found = Mount("", "unknown", "unknown")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4]
        filesystem, source = right.split()[:2]
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(found.point):
            found = Mount(point, filesystem, source)
    return found


def cpu_model() -> str:
    """The name that the processor gives itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory_gib() -> float:
    """Physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def describe(data: Path) -> dict[str, str]:
    """The machine, as the report prints it."""
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "processor": f"{len(os.sched_getaffinity(0))} cores, {cpu_model()}",
        "memory": f"{memory_gib():.1f} GiB",
        "file system": mount_of(data).filesystem,
        "python": platform.python_version(),
    }


def probe(directory: Path) -> dict[str, float]:
    """How fast the machine is at this moment: a fixed Python loop, and a 4 KiB append made durable."""
    cpu_seconds = timed(lambda: sum(i * i for i in range(1_000_000)))
    latencies = []
    path = directory / "probe"
    with path.open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(4096))
            begin = now()
            os.fsync(file.fileno())
            latencies.append(now() - begin)
    path.unlink()
    return {"probe_cpu_ms": cpu_seconds * 1e3, "probe_fsync_us": statistics.median(latencies) * 1e6}


def allocated_bytes(root: Path) -> int:
    """What everything below `root` takes on disk: blocks, not apparent sizes."""
    total = 0
    for base, _, names in os.walk(root):
        for name in (".", *names):
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(base, name)).st_blocks * 512
    return total


def resident_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _stat(path: Path) -> list[str]:
    """The fields of a stat file behind the name, which may hold anything: state, parent, ... (proc(5), from 3 on)."""
    return path.read_text().rpartition(")")[2].split()


def _seconds(ticks: Iterable[str]) -> float:
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, user and system, its ended children's that it waited for included.

    Its own by its clock (clock_getcpuclockid(3)), which counts nanoseconds: /proc counts hundredths of a second, and a
    server that forks for each connection would be rounded away.
    """
    clock = ~pid << 3 | 2  # CPUCLOCK_SCHED of a process
    return time.clock_gettime(clock) + _seconds(_stat(Path(f"/proc/{pid}/stat"))[13:15])


def thread_cpu_seconds(pid: int) -> dict[int, float]:
    """The same for each of its threads that live, to hundredths, by thread id; the first has the process's id."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            found[int(task.name)] = _seconds(_stat(task / "stat")[11:13])
    return found


def tree_cpu_seconds(pid: int) -> float:
    """Processor time of a process and everything below it: a server that forks for each connection counts whole."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parents[int(entry.parent.name)] = int(_stat(entry)[1])
    total = 0.0
    for one in parents:
        above: int | None = one
        while above is not None and above != pid:
            above = parents.get(above)
        if above == pid:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                total += cpu_seconds(one)
    return total
