"""The small parts that figures stand on: latencies, what a machine says of itself, states, clients, the order of a run."""

import os
import threading
from cProfile import Profile
from pathlib import Path

import pytest

from benchmarks import machine, states, timing
from benchmarks.clients import in_client, in_clients
from benchmarks.profiling import shown
from benchmarks.runner import Plan
from benchmarks.workloads.interface import shortened
from benchmarks.workloads.states import middling_state

# The harness forks before it has any thread; a test runner may have one.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.mark.parametrize(
    ("count", "scale", "least", "expected"),
    [(100, 1.0, 1, 100), (100, 0.1, 1, 10), (100, 0.001, 1, 1), (100, 0.001, 3, 3)],
)
def test_what_is_shortened_is_never_nothing(count: int, scale: float, least: int, expected: int) -> None:
    assert shortened(count, scale, least) == expected


def test_latencies_in_milliseconds() -> None:
    latencies = [number / 1000 for number in range(1, 101)]
    assert timing.p50_ms(latencies) == pytest.approx(50.5)
    assert timing.p99_ms(latencies) == pytest.approx(100)
    assert timing.max_ms(latencies) == pytest.approx(100)
    assert timing.p99_ms([0.5]) == pytest.approx(500)


def test_a_repetition_ends_with_its_count_or_its_time_but_not_before_three() -> None:
    assert len(timing.repeated(lambda: None, 10)) == 10
    assert len(timing.repeated(lambda: None, 10, within_seconds=0.0)) == 3


def test_a_mount_is_the_innermost_that_holds_the_path() -> None:
    assert machine.mount_of(Path("/proc/self")).filesystem == "proc"
    assert machine.mount_of(Path("/")).point == "/"


def test_allocated_bytes_are_blocks_of_everything_below(tmp_path: Path) -> None:
    before = machine.allocated_bytes(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "full").write_bytes(os.urandom(100_000))
    with (tmp_path / "a" / "sparse").open("wb") as file:
        file.truncate(10_000_000)
    assert 100_000 <= machine.allocated_bytes(tmp_path) - before < 1_000_000


def test_processor_time_rises_with_work_and_a_tree_counts_its_children() -> None:
    pid = os.getpid()

    def burn() -> float:
        """What the tree of the test has used beyond the test's own process."""
        before = machine.cpu_seconds(os.getpid())
        while machine.cpu_seconds(os.getpid()) - before < 0.05:
            sum(range(1000))
        return machine.tree_cpu_seconds(pid) - machine.cpu_seconds(pid)

    before = machine.cpu_seconds(pid)
    burn()
    assert machine.cpu_seconds(pid) - before >= 0.05
    assert in_client(burn) >= 0.04  # the test itself works meanwhile
    threads = machine.thread_cpu_seconds(pid)
    assert pid in threads
    assert machine.resident_bytes(pid) > 5_000_000


def test_states_are_the_same_for_every_peer() -> None:
    assert states.small_state("a", 3) == states.small_state("a", 3) != states.small_state("a", 4)
    assert 1200 < len(states.pack(states.small_state("a", 3))) < 1500
    assert states.unpack(states.pack(states.small_state("a", 3))) == states.small_state("a", 3)
    fill = list(states.tiny_states(3, 2))
    assert [(key, version) for key, version, _ in fill] == [(f"job-{k:04d}", v) for v in (0, 1) for k in range(3)]


def test_a_tenth_of_a_middling_state_changes_from_version_to_version() -> None:
    before, after = middling_state(20)["records"], middling_state(21)["records"]
    assert 99_000 < sum(map(len, before.values())) <= 100_000
    assert sum(before[name] != after[name] for name in before) == 10


def test_clients_begin_together_and_the_cause_of_a_failure_is_raised() -> None:
    def work(index: int, barrier: threading.Barrier) -> int:
        barrier.wait()
        return index * index

    def fail(index: int, barrier: threading.Barrier) -> int:
        if index == 1:
            raise ValueError("this one")
        return barrier.wait()

    assert in_clients(3, work) == [0, 1, 4]
    with pytest.raises(ValueError, match="this one"):
        in_clients(3, fail)


def test_peers_alternate_and_what_is_ckptds_alone_is_asked_of_it_alone(tmp_path: Path) -> None:
    plan = Plan(["w1", "progress"], ["ckptd", "sqlite", "files"], 2, 1.0, tmp_path, "")
    assert [(number, workload.name, peer) for number, workload, peer in plan.steps()] == [
        (0, "w1", "ckptd"),
        (0, "w1", "sqlite"),
        (0, "w1", "files"),
        (0, "progress", "ckptd"),
        (1, "w1", "sqlite"),
        (1, "w1", "files"),
        (1, "w1", "ckptd"),
        (1, "progress", "ckptd"),
    ]


def test_a_profile_is_shown_for_each_save_with_waiting_apart(tmp_path: Path) -> None:
    profiler, lock = Profile(), threading.Lock()
    lock.acquire()
    with profiler:
        for _ in range(10):
            sorted(range(1000), key=str)
        lock.acquire(timeout=0.01)
    profiler.dump_stats(tmp_path / "file")
    lines = list(shown("ten saves", tmp_path / "file", 10))
    work = float(lines[1].removeprefix("ten saves: ").split()[0])
    assert 0 < work < 1e5
    assert "sorted" in lines[3]
    assert "acquire" in lines[-1]
