"""What threads and forks add to a driver: who leads, who follows, and what a child may not use."""

import gc
import itertools
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typing_extensions import override

from ckptclient import calls
from ckptclient.errors import TimedOut
from ckptclient.flight import Backoff
from ckptclient.link import Link
from ckptclient.sync import Client
from ckptclient.wire.messages import Request
from tests.ckptclient.fake_daemon import FakeDaemon, Peer, params
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


def epoch_of(request: Request) -> dict[str, object]:
    """The answer to process.fence that a test can tell: the number in the process's name."""
    return {"epoch": int(str(params(request)["process_id"]))}


def test_each_of_many_threads_gets_its_own_answer(tmp_path: Path) -> None:
    workers, turns = 8, 50
    held: list[Request] = []
    rounds = itertools.count()

    def reordered(peer: Peer, request: Request) -> None:
        """Waits until every worker has asked, and begins with another one each time."""
        held.append(request)
        if len(held) == workers:
            first = next(rounds) % workers
            for one in (*held[first:], *held[:first]):
                peer.reply(one, epoch_of(one))
            held.clear()

    def ask(client: Client, worker: int) -> list[int]:
        return [client.call(calls.fence(str(1000 * worker + turn))) for turn in range(turns)]

    with FakeDaemon(tmp_path / "s", reordered) as daemon, Client(tmp_path / "s") as client:
        with ThreadPoolExecutor(workers) as pool:
            asked = list(pool.map(ask, [client] * workers, range(workers)))
        assert asked == [[1000 * worker + turn for turn in range(turns)] for worker in range(workers)]
        assert len(daemon.peers) == 1


class Interrupted(BaseException):
    """As KeyboardInterrupt: at any moment, in the thread that waits."""


class InterruptedOnce(Client):
    """The first thread that has waited for the socket is interrupted."""

    armed = threading.Event()

    @override
    def _poll(self, link: Link | None, seconds: float) -> None:
        super()._poll(link, seconds)
        if link is not None and self.armed.is_set():
            self.armed.clear()
            raise Interrupted


@pytest.mark.parametrize("how", ["late", "answered", "interrupted"])
def test_when_the_leader_leaves_another_leads(tmp_path: Path, how: str) -> None:
    asked: dict[str, tuple[Peer, Request]] = {}

    def hold(peer: Peer, request: Request) -> None:
        asked[str(params(request).get("process_id"))] = (peer, request)

    def answer(name: str) -> None:
        peer, request = asked[name]
        peer.reply(request, epoch_of(request))

    with (
        FakeDaemon(tmp_path / "s", hold) as daemon,
        InterruptedOnce(tmp_path / "s") as client,
        ThreadPoolExecutor() as pool,
    ):
        leader = pool.submit(client.call, calls.fence("1"), 0.1 if how == "late" else 20)
        wait_until(lambda: "1" in asked)
        followers = [pool.submit(client.call, calls.fence(name)) for name in ("2", "3")]
        wait_until(lambda: len(client._turns) == 2 and asked.keys() == {"1", "2", "3"})
        if how == "answered":
            answer("1")
            assert leader.result(20) == 1
        if how == "interrupted":
            client.armed.set()
            answer("1")
            with pytest.raises(Interrupted):
                leader.result(20)
        if how == "late":
            with pytest.raises(TimedOut):
                leader.result(20)
        wait_until(lambda: len(client._turns) == 1)
        answer("2")
        answer("3")
        assert [follower.result(20) for follower in followers] == [2, 3]
        assert len(daemon.peers) == 1


def test_an_answer_is_seen_without_waiting_for_it(tmp_path: Path) -> None:
    with FakeDaemon(tmp_path / "s"), Client(tmp_path / "s") as client:
        pending = client.submit(calls.ping())
        wait_until(pending.done)
        assert pending.result(timeout=0.0) == 7


def test_reconnecting_and_closing_leave_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with FakeDaemon(tmp_path / "s") as daemon, Client(tmp_path / "s", backoff=Backoff(0.001, 0.002)) as client:
        for _ in range(3):
            assert client.call(calls.ping()) == 7
            daemon.restart()
    assert os.listdir("/proc/self/fd") == before


def test_a_client_that_is_dropped_leaves_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    Client(tmp_path / "s")
    gc.collect()
    assert os.listdir("/proc/self/fd") == before


FORK = """
import json, os, sys, threading
from ckptclient import calls
from ckptclient.errors import CkptdError
from ckptclient.sync import Client

def sockets():
    names = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return sum(os.path.exists(name) and os.readlink(name).startswith("socket:") for name in names)

client = Client(sys.argv[1], timeout=20)
before = client.session
pending = client.submit(calls.fence("held"))
threading.Thread(target=client.call, args=(calls.fence("led"),), daemon=True).start()
while len(client._flights) < 2 or not client._leading:
    pass
child = os.fork()
if child == 0:
    facts = {"sockets": sockets(), "same session": client.session == before}
    try:
        pending.result()
    except CkptdError as error:
        facts["pending"] = str(error)
    facts["ping"] = client.call(calls.ping())
    facts["request"] = client.submit(calls.fence("held")).request
    print(json.dumps(facts), flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert client.call(calls.ping()) == 7
assert client.session == before
os._exit(0)
"""


def test_a_forked_child_has_a_session_and_a_connection_of_its_own(tmp_path: Path) -> None:
    def pings_alone(peer: Peer, request: Request) -> None:
        if request.method == "ping":
            peer.reply(request, {"now": 7})

    with FakeDaemon(tmp_path / "s", pings_alone) as daemon:
        done = subprocess.run(
            [sys.executable, "-c", FORK, tmp_path / "s"],
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "sockets": 0,
            "same session": False,
            "pending": "the call was made before the fork [USAGE]; its answer goes to the parent",
            "ping": 7,
            "request": 1,
        }
        assert [number for number, method in daemon.methods() if method == "ping"] == [1, 0]
        assert len(set(daemon.sessions())) == 2
