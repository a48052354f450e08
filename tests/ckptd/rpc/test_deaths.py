"""Deaths of real processes."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from ckptd.core.attempts import Death
from ckptd.core.ids import Holder
from ckptd.rpc.deaths import Deaths, reason, wait_status
from ckptd.rpc.peer import boot_id, has_exited, start_time
from tests.ckptd.rpc.serving import open_descriptors
from tests.waiting import wait_until, wait_until_async


class Child:
    """A worker that waits for a word, and ends as it is told."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import os, sys; exec(sys.stdin.readline())"], stdin=subprocess.PIPE
        )
        start, boot = start_time(self.process.pid), boot_id()
        assert start is not None
        assert boot is not None
        self.holder = Holder(boot, self.process.pid, start, b"s" * 16)

    def pidfd(self) -> int:
        return os.pidfd_open(self.process.pid)

    def ends(self, how: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(how.encode() + b"\n")
        self.process.stdin.close()


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    made.process.kill()
    with contextlib.suppress(BrokenPipeError), made.process:
        pass


class Manager:
    """Keeps descriptors, as the service manager does."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}

    def store(self, name: str, fds: Iterable[int]) -> bool:
        self.kept.update((name, os.dup(fd)) for fd in fds)
        return True

    def unstore(self, name: str) -> bool:
        if name in self.kept:
            os.close(self.kept.pop(name))
        return True


class Watching:
    """Deaths, and what they told."""

    def __init__(self, departed_count_max: int = 8) -> None:
        self.told: list[tuple[Holder, Death]] = []
        self.manager = Manager()
        self.deaths = Deaths(asyncio.get_running_loop(), departed_count_max, self.manager)
        self.deaths.told = lambda holder, death: self.told.append((holder, death))


ENDS = [
    ("os.kill(os.getpid(), 9)", signal.SIGKILL, None),
    ("os.kill(os.getpid(), 15)", signal.SIGTERM, None),
    ("os.kill(os.getpid(), 11)", signal.SIGSEGV, None),
    ("sys.exit(7)", None, 7),
]


@pytest.mark.parametrize(("how", "by", "status"), ENDS)
async def test_a_death_is_told_once_with_its_reason(child: Child, how: str, by: int | None, status: int | None) -> None:
    watching = Watching()
    watching.deaths.connected(child.holder, child.pidfd())
    assert watching.told == []
    child.ends(how)
    await wait_until_async(lambda: watching.told)
    assert watching.told == [(child.holder, Death(child.process.pid, by, status))]
    assert watching.deaths.watched_count == 0
    assert watching.manager.kept == {}
    watching.deaths.disconnected(child.holder)  # the connection's end may come after
    watching.deaths.close()


@pytest.mark.parametrize(("how", "by", "status"), [*ENDS, ("sys.exit(0)", None, 0)])
def test_the_reason_is_told_before_and_after_the_parent_has_looked(
    child: Child, how: str, by: int | None, status: int | None
) -> None:
    pidfd = child.pidfd()
    child.ends(how)
    wait_until(lambda: has_exited(pidfd))
    waiting = wait_status(pidfd, child.process.pid)
    # The end with 0 looks to /proc like one that we may not know.
    assert reason(1, waiting) == (Death(1, by, status) if status != 0 else Death(1))
    child.process.wait()
    reaped = wait_status(pidfd, child.process.pid)
    if reaped is not None:  # Linux 6.15
        assert reason(1, reaped) == Death(1, by, status)
    os.close(pidfd)


async def test_connections_of_one_worker_share_a_descriptor(child: Child) -> None:
    watching = Watching()
    before = open_descriptors()
    for _ in range(5):
        watching.deaths.connected(child.holder, child.pidfd())
    assert open_descriptors() == before + 2  # and the manager has a copy
    for _ in range(5):
        watching.deaths.disconnected(child.holder)
    assert watching.deaths.watched(child.holder)  # a lost connection is no death
    watching.deaths.close()
    assert open_descriptors() == before + 1
    watching.manager.unstore(f"worker.{child.holder.pid}.{child.holder.start}")


async def test_the_longest_departed_is_forgotten_first() -> None:
    children = [Child() for _ in range(3)]
    watching = Watching(departed_count_max=2)
    for one in children:
        watching.deaths.connected(one.holder, one.pidfd())
        watching.deaths.disconnected(one.holder)
    assert [watching.deaths.watched(one.holder) for one in children] == [False, True, True]
    watching.deaths.connected(children[1].holder, children[1].pidfd())
    watching.deaths.connected(children[0].holder, children[0].pidfd())
    watching.deaths.disconnected(children[0].holder)
    assert [watching.deaths.watched(one.holder) for one in children] == [True, True, True]
    watching.deaths.close()
    for one in children:
        one.process.kill()
        one.process.communicate()


async def test_a_worker_of_an_earlier_daemon_is_watched_again(child: Child) -> None:
    watching = Watching()
    assert watching.deaths.watch(child.holder) is True
    assert watching.deaths.alive(child.holder) is True
    child.ends("sys.exit(3)")
    await wait_until_async(lambda: watching.told)
    assert watching.told == [(child.holder, Death(child.process.pid, None, 3))]


async def test_a_worker_that_died_while_there_was_no_daemon_is_told_with_the_reason(child: Child) -> None:
    first = Watching()
    first.deaths.connected(child.holder, child.pidfd())
    first.deaths.close()
    child.ends("os.kill(os.getpid(), 11)")
    child.process.wait()

    second = Watching()
    second.deaths.take_over(first.manager.kept)
    assert second.deaths.watch(child.holder) is True
    await wait_until_async(lambda: second.told)
    # After it was reaped its reason is known from Linux 6.15 on.
    assert second.told[0][1] in (Death(child.process.pid, signal.SIGSEGV), Death(child.process.pid))


async def test_what_the_manager_kept_and_nobody_asked_for_is_let_go(child: Child) -> None:
    before = open_descriptors()
    watching = Watching()
    watching.manager.store("worker.1.1", (child.pidfd(),))
    watching.deaths.take_over({"worker.1.1": os.dup(watching.manager.kept["worker.1.1"])})
    watching.deaths.let_go()
    assert watching.manager.kept == {}
    assert open_descriptors() == before + 1  # what was handed to the manager in the first place


async def test_who_is_not_the_worker_of_then_is_dead(child: Child) -> None:
    watching = Watching()
    before = open_descriptors()
    for other in (
        replace(child.holder, start=child.holder.start + 1),  # the pid was given again
        replace(child.holder, boot_id=bytes(16)),  # the machine was booted
    ):
        assert watching.deaths.alive(other) is False
        assert watching.deaths.watch(other) is False
    child.process.kill()
    child.process.communicate()
    assert watching.deaths.alive(child.holder) is False
    assert watching.deaths.watch(child.holder) is False
    assert open_descriptors() == before - 1  # the pipe to the child
    assert watching.told == []


async def test_many_deaths_at_once_are_all_told() -> None:
    children = [Child() for _ in range(20)]
    watching = Watching()
    for one in children:
        watching.deaths.connected(one.holder, one.pidfd())
    for one in children:
        one.process.kill()
    await wait_until_async(lambda: len(watching.told) == 20)
    assert {holder for holder, _ in watching.told} == {one.holder for one in children}
    for one in children:
        one.process.communicate()
