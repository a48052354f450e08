"""What an event loop adds to a driver: cancellation, and that a client belongs to one loop and one OS process."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from ckptclient import calls
from ckptclient.aio import AsyncClient
from ckptclient.errors import BadRequest
from ckptclient.flight import Backoff
from ckptclient.wire.messages import Request
from tests.ckptclient.fake_daemon import FakeDaemon, Peer, answer_pings
from tests.waiting import wait_until_async

ROOT = Path(__file__).parents[2]
FAST = Backoff(first_seconds=0.001, last_seconds=0.002)


def pings_alone(peer: Peer, request: Request) -> None:
    """Everything else stays unanswered."""
    if request.method == "ping":
        answer_pings(peer, request)


async def test_a_cancelled_call_is_forgotten_and_the_others_go_on(tmp_path: Path) -> None:
    with FakeDaemon(tmp_path / "s", pings_alone) as daemon:
        async with AsyncClient(tmp_path / "s", backoff=FAST) as client, asyncio.TaskGroup() as group:
            cancelled = group.create_task(client.call(calls.fence("p")))
            await wait_until_async(daemon.methods)
            beside = group.create_task(client.call(calls.ping()))
            cancelled.cancel()
            assert await beside == 7
            daemon.peers[0].drop()
            assert await client.call(calls.ping()) == 7
    assert [method for number, method in daemon.methods() if number == 1] == ["ping"]


async def test_a_cancelled_call_leaves_the_connecting_to_another(tmp_path: Path) -> None:
    async with AsyncClient(tmp_path / "s", backoff=FAST) as client, asyncio.TaskGroup() as group:
        connecting, waiting = (group.create_task(client.call(calls.ping())) for _ in range(2))
        await wait_until_async(lambda: "No such file" in client._finder.looked())
        connecting.cancel()
        with FakeDaemon(tmp_path / "s"):
            assert await waiting == 7


async def test_a_pending_call_can_be_awaited_more_than_once(tmp_path: Path) -> None:
    with FakeDaemon(tmp_path / "s"):
        async with AsyncClient(tmp_path / "s") as client:
            pending = await client.submit(calls.ping())
            assert [await pending, await pending, await pending.result()] == [7, 7, 7]


async def test_no_task_stays_behind(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    with FakeDaemon(tmp_path / "s"):
        async with AsyncClient(tmp_path / "s") as client:
            assert await client.call(calls.ping()) == 7
            assert asyncio.all_tasks() == before


def test_a_client_belongs_to_one_loop(tmp_path: Path) -> None:
    with FakeDaemon(tmp_path / "s"), asyncio.Runner() as first, asyncio.Runner() as second:
        client = AsyncClient(tmp_path / "s")
        assert first.run(client.call(calls.ping())) == 7
        with pytest.raises(BadRequest, match="belongs to another event loop"):
            second.run(client.call(calls.ping()))
        first.run(client.close())


FORK = """
import asyncio, os, sys
from ckptclient import calls
from ckptclient.aio import AsyncClient

async def main():
    async with AsyncClient(sys.argv[1]) as client:
        print(await client.call(calls.ping()), flush=True)
        child = os.fork()
        if child == 0:
            try:
                await client.call(calls.ping())
            except ValueError as error:
                print(error, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print(await client.call(calls.ping()))

asyncio.run(main())
"""


def test_a_client_belongs_to_one_os_process(tmp_path: Path) -> None:
    with FakeDaemon(tmp_path / "s") as daemon:
        done = subprocess.run(
            [sys.executable, "-c", FORK, tmp_path / "s"],
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.splitlines() == [
            "7",
            "the client belongs to another OS process [USAGE]; make one where it is used",
            "7",
        ], done.stderr
        assert len(daemon.peers) == 1
