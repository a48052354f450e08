"""One connection: answers, order, bounds, the end."""

import asyncio
import io
import json
import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from ckptclient.errors import Conflict, NotFound
from ckptclient.wire.params import Mutate, NamedProcess, WritePart
from ckptd.observe import log
from ckptd.rpc.hub import Ties
from ckptd.rpc.methods import Handler, Route
from ckptd.service.caller import Caller, Role
from tests.ckptd.rpc.serving import frame, open_descriptors, route, serving
from tests.fakes import FakeClock, settle
from tests.waiting import wait_until_async


def at_once(_caller: Caller, _params: object) -> dict[str, object]:
    return {"how": "at once"}


def by_future(_caller: Caller, _params: object) -> "asyncio.Future[dict[str, object]]":
    future: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()
    result: dict[str, object] = {"how": "by future"}
    future.get_loop().call_soon(future.set_result, result)
    return future


async def by_coroutine(_caller: Caller, _params: object) -> dict[str, object]:
    await settle(2)
    return {"how": "by coroutine"}


def refuses(_caller: Caller, _params: object) -> dict[str, object]:
    raise NotFound("no such thing", hint="look elsewhere", details={"what": "process"})


async def refuses_later(_caller: Caller, _params: object) -> dict[str, object]:
    raise Conflict("not now")


def has_a_bug(_caller: Caller, _params: object) -> dict[str, object]:
    raise KeyError("a secret")


async def has_a_bug_later(_caller: Caller, _params: object) -> dict[str, object]:
    raise KeyError("a secret")


def answers_too_much(_caller: Caller, _params: object) -> dict[str, object]:
    return {"data": bytes(1 << 20)}


ANSWERS: list[tuple[Handler, dict[str, object]]] = [
    (at_once, {"how": "at once"}),
    (by_future, {"how": "by future"}),
    (by_coroutine, {"how": "by coroutine"}),
    (refuses, {"code": "NOT_FOUND", "message": "no such thing", "hint": "look elsewhere", "retryable": False}),
    (refuses_later, {"code": "CONFLICT", "message": "not now", "hint": None}),
    (has_a_bug, {"code": "INTERNAL", "details": {}}),
    (has_a_bug_later, {"code": "INTERNAL", "details": {}}),
    (answers_too_much, {"code": "INTERNAL", "hint": "ask for less at a time"}),
]


@pytest.mark.parametrize(("handler", "answer"), ANSWERS)
async def test_whatever_a_handler_does_is_answered(tmp_path: Path, handler: Handler, answer: dict[str, object]) -> None:
    async with serving(tmp_path, route("it", handler), route("ping", at_once)) as served:
        client = await served.client()
        told = await client.call("it")
        assert {name: told[name] for name in answer} == answer
        assert "secret" not in str(told)
        assert await client.call("ping") == {"how": "at once"}  # and the conversation goes on
        client.close()


@pytest.mark.parametrize(
    ("method", "params", "code", "says"),
    [
        ("nothing.like.it", {}, "USAGE", "there is no method nothing.like.it"),
        ("show", {}, "USAGE", "process_id"),
        ("show", {"process_id": 7}, "USAGE", "process_id"),
        ("show", {"process_id": "a", "colour": "red"}, "USAGE", "colour"),
        ("show", [1], "USAGE", "parameters"),
        ("admins", {}, "DENIED", "role operator"),
    ],
)
async def test_what_is_asked_wrongly_is_refused_and_nothing_runs(
    tmp_path: Path, method: str, params: Any, code: str, says: str
) -> None:
    ran: list[object] = []

    def handler(_caller: Caller, given: object) -> dict[str, object]:
        ran.append(given)
        return {}

    class Workers:
        """Roles that make nobody more than a worker."""

        def of(self, _peer: object) -> Role:
            return Role.WORKER

    routes = (route("show", handler, params=NamedProcess), route("admins", handler, role=Role.OPERATOR))
    async with serving(tmp_path, *routes, roles=Workers()) as served:  # type: ignore[arg-type]
        client = await served.client()
        error = await client.call(method, params)
        assert (error["code"], says in error["message"]) == (code, True)
        assert ran == []
        client.close()


async def test_hello_says_who_both_are(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        client = await served.client(hello=False)
        welcome = await client.hello(session=b"s" * 16)
        assert welcome == {
            "version": 1,
            "server": "ckptd test",
            "lineage": b"L" * 16,
            "role": "admin",
            "uid": os.getuid(),
            "limits": {"frame_bytes_max": 1 << 20, "requests_max": 64},
            "pid": os.getpid(),
        }
        [(word, caller)] = served.said
        assert word == "connected"
        assert (caller.uid, caller.pid, caller.session) == (os.getuid(), os.getpid(), b"s" * 16)
        assert caller.holder is not None
        assert caller.holder.pid == os.getpid()
        client.close()
        await wait_until_async(lambda: len(served.said) == 2)
        assert served.said[1] == ("gone", caller)


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"versions": [7]}, "VERSION"), ({"versions": []}, "VERSION"), ({"session": b"short"}, "USAGE")],
)
async def test_a_refused_hello_is_answered_and_ends_the_connection(
    tmp_path: Path, changed: dict[str, object], code: str
) -> None:
    async with serving(tmp_path) as served:
        client = await served.client(hello=False)
        assert (await client.hello(**changed))["code"] == code
        assert await client.receive() is None
        assert served.said == []
        client.close()


async def test_a_bug_in_the_greeting_ends_the_connection_with_an_answer(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:

        def stumbles(_caller: Caller) -> None:
            raise KeyError("a secret")

        served.hub.ties = Ties(stumbles, served.hub.ties.disconnected)  # type: ignore[misc]
        client = await served.client(hello=False)
        assert (await client.hello())["code"] == "INTERNAL"
        assert await client.receive() is None
        assert served.hub.slots.taken == 0
        client.close()


async def test_who_says_nothing_is_let_go(tmp_path: Path) -> None:
    async with serving(tmp_path, hello_seconds=0.02) as served:
        silent = await served.client(hello=False)
        assert await silent.receive() is None
        silent.close()


async def test_replies_come_in_any_order(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def slow(_caller: Caller, _params: object) -> dict[str, object]:
        await gate.wait()
        return {"how": "slowly"}

    async with serving(tmp_path, route("slow", slow), route("fast", at_once)) as served:
        client = await served.client()
        first = await client.request("slow")
        assert await client.call("fast") == {"how": "at once"}
        gate.set()
        assert await client.receive() == [1, first, None, {"how": "slowly"}]
        client.close()


async def test_requests_begin_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    begun: list[str] = []

    async def later(_caller: Caller, _params: object) -> dict[str, object]:
        begun.append("later")
        return {}

    def now(_caller: Caller, _params: object) -> dict[str, object]:
        begun.append("now")
        return {}

    async with serving(tmp_path, route("later", later), route("now", now)) as served:
        client = await served.client()
        names = ["later", "now", "now", "later", "later", "now"] * 20
        await client.send(b"".join(frame([0, 100 + n, name, {}]) for n, name in enumerate(names)))
        for _ in names:
            assert await client.receive() is not None
        assert begun == names
        client.close()


async def test_requests_beyond_the_bound_wait_and_are_no_error(tmp_path: Path) -> None:
    gate = asyncio.Event()
    running = peak = 0

    async def slow(_caller: Caller, _params: object) -> dict[str, object]:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await gate.wait()
        running -= 1
        return {}

    async with serving(tmp_path, route("slow", slow), requests_max=3) as served:
        client = await served.client()
        await client.send(b"".join(frame([0, 100 + n, "slow", {}]) for n in range(10)))
        await wait_until_async(lambda: running == 3)
        gate.set()
        answered = {answer[1] for _ in range(10) if (answer := await client.receive())}
        assert answered == {100 + n for n in range(10)}
        assert peak == 3
        client.close()


async def test_few_large_replies_are_in_hand_at_a_time(tmp_path: Path) -> None:
    running = peak = 0

    async def large(_caller: Caller, _params: object) -> dict[str, object]:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await settle(2)
        running -= 1
        return {"data": bytes(900_000)}

    async with serving(tmp_path, route("large", large, bulky=True), connection_bytes_max=4 << 20) as served:
        client = await served.client()
        await client.send(b"".join(frame([0, 100 + n, "large", {}]) for n in range(12)))
        for _ in range(12):
            answer = await client.receive()
            assert answer is not None
            assert len(answer[3]["data"]) == 900_000
        assert peak == 2
        client.close()


async def test_what_was_begun_is_finished_when_its_connection_ends_unless_it_only_reads(tmp_path: Path) -> None:
    gate = asyncio.Event()
    ends: list[str] = []

    async def waits(kind: str) -> dict[str, object]:
        try:
            await gate.wait()
            ends.append(f"{kind} finished")
        except asyncio.CancelledError:
            ends.append(f"{kind} was given up")
            raise
        return {}

    routes = (
        route("write", lambda _caller, _params: waits("write"), params=Mutate, mutates=True),
        route("read", lambda _caller, _params: waits("read")),
    )
    async with serving(tmp_path, *routes) as served:
        client = await served.client()
        await client.request("write", {"request": 1})
        await client.request("read")
        await wait_until_async(lambda: served.hub.reads and served.hub.mutations)
        client.close()
        await wait_until_async(lambda: not served.hub.sessions)
        await wait_until_async(lambda: not served.hub.reads)
        gate.set()
        await wait_until_async(lambda: not served.hub.mutations)
        assert ends == ["read was given up", "write finished"]


async def test_a_stop_answers_what_is_in_hand_and_refuses_what_is_new(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def write(_caller: Caller, _params: object) -> dict[str, object]:
        await gate.wait()
        return {"how": "in time"}

    async def wait(_caller: Caller, _params: object) -> dict[str, object]:
        await asyncio.get_running_loop().create_future()
        return {}

    routes = (route("write", write, params=Mutate, mutates=True), route("wait", wait), route("ping", at_once))
    async with serving(tmp_path, *routes) as served:
        client = await served.client()
        write_id = await client.request("write", {"request": 1})
        wait_id = await client.request("wait")
        await wait_until_async(lambda: served.hub.reads and served.hub.mutations)
        stopping = asyncio.get_running_loop().create_task(served.hub.stop(20.0))
        await wait_until_async(lambda: served.hub.dispatch.draining)
        assert (await client.call("ping"))["code"] == "DRAINING"
        gate.set()
        answers = {answer[1]: answer for _ in range(2) if (answer := await client.receive())}
        assert answers[write_id][3] == {"how": "in time"}
        assert answers[wait_id][2]["code"] == "DRAINING"
        assert answers[wait_id][2]["retryable"] is True
        assert await client.receive() is None
        assert await stopping is True
        client.close()


async def test_a_stop_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    async def write(_caller: Caller, _params: object) -> dict[str, object]:
        await asyncio.get_running_loop().create_future()
        return {}

    async with serving(tmp_path, route("write", write, params=Mutate, mutates=True)) as served:
        client = await served.client()
        await client.request("write", {"request": 1})
        await wait_until_async(lambda: served.hub.mutations)
        assert await served.hub.stop(0.02) is False
        client.close()


@pytest.mark.parametrize("count", [1, 5, 40])
async def test_descriptors_that_nobody_asked_for_are_closed(tmp_path: Path, count: int) -> None:
    async with serving(tmp_path, route("ping", at_once)) as served:
        client = await served.client()
        await client.call("ping")
        before = open_descriptors()
        socket.send_fds(client.socket, [frame([0, 9, "ping", {}])], [client.socket.fileno()] * count)
        assert await client.receive() is None
        # The accepted socket is gone; nothing else came or went.
        await wait_until_async(lambda: not served.hub.sessions)
        assert open_descriptors() == before - 1
        client.close()


async def test_a_requests_log_lines_share_its_id_and_show_no_payload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = io.StringIO()
    ours = log.get("test")

    def now(_caller: Caller, _params: object) -> dict[str, object]:
        ours.info("now")
        raise KeyError("a payload")

    async def later(_caller: Caller, _params: object) -> dict[str, object]:
        ours.info("later, first step")
        await settle(2)
        ours.info("later, second step")
        return {"data": object()}

    for name in ("level", "write"):  # put back what `configure` changes
        monkeypatch.setattr(log._Output, name, getattr(log._Output, name))
    monkeypatch.setattr(logging.root, "handlers", logging.root.handlers)
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    log.configure("info", "json", FakeClock(), lines)
    async with serving(tmp_path, route("now", now), route("later", later)) as served:
        client = await served.client()
        await client.call("now")
        await client.call("later")
        client.close()
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    ids = [(line["event"], line.get("request", "").partition("-")[2]) for line in told]
    assert ids == [
        ("now", "2"),
        ("a request met a bug", "2"),
        ("later, first step", "3"),
        ("later, second step", "3"),
        ("a reply can't be sent", "3"),
    ]
    assert "object at" not in lines.getvalue()


class Gate:
    """A handler that waits until the gate is open, and counts who came."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.came = 0

    async def __call__(self, _caller: Caller, _params: object) -> dict[str, object]:
        self.came += 1
        await self.open.wait()
        return {}


def write(gate: Gate) -> Route:
    return route("write", gate, params=WritePart)


async def test_a_peer_that_sends_faster_than_it_is_served_waits_itself(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, route("slow", gate), requests_max=1) as served:
        client = await served.client()
        count = 20_000
        data = b"".join(frame([0, 100 + n, "slow", {}]) for n in range(count))
        sending = asyncio.get_running_loop().create_task(client.send(data))
        await wait_until_async(lambda: gate.came == 1)
        await settle(100)
        [session] = served.hub.sessions
        # What one read brought, and no more: the rest waits in the kernel, and with it the peer.
        assert len(session._waiting) * len(frame([0, 100, "slow", {}])) <= 64 << 10  # type: ignore[attr-defined]
        assert not sending.done()
        gate.open.set()
        answered = 0
        while answered < count:
            assert await client.receive() is not None
            answered += 1
        await sending
        client.close()


async def test_who_doesnt_read_is_answered_no_more_than_may_be_kept(tmp_path: Path) -> None:
    called = 0

    def large(_caller: Caller, _params: object) -> dict[str, object]:
        nonlocal called
        called += 1
        return {"data": bytes(100_000)}

    async with serving(tmp_path, route("large", large), connection_bytes_max=2 << 20) as served:
        client = await served.client()
        await client.send(b"".join(frame([0, 100 + n, "large", {}]) for n in range(300)))
        await wait_until_async(lambda: called > 5)
        await settle(100)
        assert called < 20  # one direction keeps 1 MiB, and the kernel has a buffer
        for _ in range(300):
            assert await client.receive() is not None
        assert called == 300
        client.close()


async def test_large_requests_in_hand_are_bounded_by_their_bytes(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, write(gate), connection_bytes_max=2 << 20) as served:
        client = await served.client()
        piece = {"upload": 1, "part": 0, "offset": 0, "data": bytes(400_000)}
        data = b"".join(frame([0, 100 + n, "write", piece]) for n in range(10))
        sending = asyncio.get_running_loop().create_task(client.send(data))
        await wait_until_async(lambda: gate.came == 3)
        await settle(100)
        assert gate.came == 3  # two of them are less than 1 MiB, three are enough
        gate.open.set()
        for _ in range(10):
            assert await client.receive() is not None
        await sending
        client.close()


async def test_who_said_hello_may_be_silent(tmp_path: Path) -> None:
    async with serving(tmp_path, route("ping", at_once), hello_seconds=0.05) as served:
        client = await served.client()
        silent = await served.client(hello=False)
        assert await silent.receive() is None  # its time is over, and the other's would be
        assert await client.call("ping") == {"how": "at once"}
        client.close()
        silent.close()


async def test_one_that_asks_much_at_once_takes_turns_with_the_others(tmp_path: Path) -> None:
    served_to: list[int] = []

    def handler(caller: Caller, _params: object) -> dict[str, object]:
        served_to.append(caller.connection)
        return {}

    async with serving(tmp_path, route("it", handler)) as served:
        greedy, modest = await served.client(), await served.client()
        asked = frame([0, 9, "it", {}])
        assert greedy.socket.send(b"".join(frame([0, 100 + n, "it", {}]) for n in range(1000))) > 1000 * len(asked)
        assert modest.socket.send(asked) == len(asked)
        for _ in range(1000):
            assert await greedy.receive() is not None
        assert await modest.receive() is not None
        assert len(served_to) == 1001
        assert served_to.index(2) < 200
        greedy.close()
        modest.close()
