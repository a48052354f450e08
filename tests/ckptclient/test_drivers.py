"""What every driver promises, shown against a daemon that drops, delays, reorders and refuses."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ckptclient import calls
from ckptclient.errors import (
    BadRequest,
    Busy,
    CkptdError,
    Fenced,
    ProtocolError,
    TimedOut,
    Unreachable,
    VersionMismatch,
)
from ckptclient.flight import Backoff
from ckptclient.link import HELLOS_LOST_MAX
from ckptclient.wire import limits, params
from ckptclient.wire.messages import Request
from tests.ckptclient.drivers import DRIVERS, Driver, Exchange
from tests.ckptclient.fake_daemon import Answer, FakeDaemon, Peer, answer_pings, params as params_of
from tests.waiting import wait_until

FAST = Backoff(first_seconds=0.001, last_seconds=0.002)
TOKEN = bytes(48)
MEBIBYTE = bytes(limits.piece_bytes_max)

Make = Callable[..., Driver]


@pytest.fixture(params=DRIVERS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    made: list[Driver] = []

    def one(**options: Any) -> Driver:
        made.append(
            DRIVERS[request.param](**{"socket_path": tmp_path / "s", "backoff": FAST, "timeout": 20.0} | options)
        )
        return made[-1]

    yield one
    for driver in made:
        driver.end()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path / "s") as fake:
        yield fake


def fenced_with(peer: Peer, request: Request) -> None:
    """Answers process.fence with the epoch that is in the process's name."""
    peer.reply(request, {"epoch": int(str(params_of(request)["process_id"]))})


def on_connection(*answers: Answer) -> Answer:
    """One behaviour for each connection, the last for all that follow."""

    def answer(peer: Peer, request: Request) -> None:
        answers[min(peer.number, len(answers) - 1)](peer, request)

    return answer


def ignore(_peer: Peer, _request: Request) -> None:
    """Never answers."""


def drop(peer: Peer, _request: Request) -> None:
    """Dies at the first request."""
    peer.drop()


def test_many_calls_go_over_one_connection(make: Make, daemon: FakeDaemon) -> None:
    driver = make()
    assert [driver.call(calls.ping()) for _ in range(3)] == [7, 7, 7]
    assert len(daemon.peers) == 1
    assert driver.client.welcome is not None
    assert driver.client.welcome.server == "ckptd 0"
    assert daemon.sessions() == [driver.client.session]


def test_an_error_arrives_as_what_it_is(make: Make, daemon: FakeDaemon) -> None:
    error = Fenced("a newer epoch exists", hint="stop", details={"epoch": 4})
    daemon.answer = lambda peer, request: peer.refuse(request, error)
    driver = make()
    with pytest.raises(Fenced) as caught:
        driver.call(calls.ping())
    assert (caught.value.message, caught.value.hint, caught.value.details) == (error.message, "stop", {"epoch": 4})


def test_replies_find_their_calls_in_any_order(make: Make, daemon: FakeDaemon) -> None:
    held: list[Request] = []

    def last_first(peer: Peer, request: Request) -> None:
        held.append(request)
        if len(held) == 3:
            for one in reversed(held):
                fenced_with(peer, one)

    daemon.answer = last_first
    driver = make()
    flown = [driver.submit(calls.fence(str(number))) for number in (11, 12, 13)]
    assert [pending.result() for pending in flown] == [11, 12, 13]
    assert all(pending.done() for pending in flown)
    assert [pending.request for pending in flown] == [1, 2, 3]


def test_full_buffers_on_both_sides_block_nobody(make: Make, daemon: FakeDaemon) -> None:
    # The daemon answers a megabyte before it reads on, and the client sends a megabyte before it reads.
    def answer(peer: Peer, request: Request) -> None:
        peer.reply(request, {"data": MEBIBYTE})

    daemon.answer = answer
    driver = make()
    write = params.WritePart(upload=1, part=0, offset=0, data=MEBIBYTE)
    both = calls.Call("part.write", write, calls.read_part("c", 0, 0, 1).read)
    flown = [driver.submit(both) for _ in range(6)]
    assert all(pending.result() == MEBIBYTE for pending in flown)
    assert len(daemon.peers) == 1


def test_what_was_left_unsent_goes_on_while_others_wait(make: Make, daemon: FakeDaemon) -> None:
    reads_on = threading.Event()

    def busy(_peer: Peer, request: Request) -> None:
        if request.method == "ping":
            assert reads_on.wait(20)

    daemon.answer = busy
    driver = make()
    driver.start(calls.ping())
    wait_until(daemon.methods)
    large = driver.start_submit(calls.write_part(1, 0, 0, MEBIBYTE, 0))
    wait_until(lambda: driver.client._link is not None and driver.client._link.unsent)
    reads_on.set()
    large.result(20)
    wait_until(lambda: len(daemon.methods()) == 2)


@pytest.mark.parametrize("connection", ["the first", "another"])
def test_a_submission_is_done_when_it_is_sent_whoever_connects(make: Make, tmp_path: Path, connection: str) -> None:
    driver, daemon = make(), FakeDaemon(tmp_path / "s", ignore)
    if connection == "another":
        daemon.start()
    driver.start(calls.ping())
    if connection == "another":
        wait_until(daemon.methods)
        daemon.stop()
        daemon.path.unlink()
    submitted = driver.start_submit(calls.ping())
    wait_until(lambda: len(driver.client._flights) >= 2)
    with daemon:
        submitted.result(20)


def test_what_fits_no_frame_harms_nobody(make: Make, daemon: FakeDaemon) -> None:
    driver = make()
    beside = driver.submit(calls.ping())
    with pytest.raises(BadRequest, match="a frame holds"):
        driver.call(calls.write_part(1, 0, 0, bytes(limits.frame_bytes_max), 0))
    assert (beside.result(), driver.call(calls.ping()), len(daemon.peers)) == (7, 7, 1)


def test_after_a_loss_the_unanswered_go_again_in_order_under_their_numbers(make: Make, daemon: FakeDaemon) -> None:
    def second_only(peer: Peer, request: Request) -> None:
        if params_of(request)["process_id"] == "2":
            fenced_with(peer, request)
        if params_of(request)["process_id"] == "4":
            peer.drop()

    daemon.answer = on_connection(second_only, fenced_with)
    driver = make()
    flown = [driver.submit(calls.fence(str(number))) for number in (1, 2, 3, 4)]
    assert [pending.result() for pending in flown] == [1, 2, 3, 4]
    assert daemon.numbers() == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 3), (1, 4)]
    assert daemon.sessions() == [driver.client.session] * 2


@pytest.mark.parametrize("on_unavailable", ["block", "raise"])
@pytest.mark.parametrize("cut", ["in the middle of a reply", "while it says hello again"])
def test_a_connection_may_end_at_any_moment(make: Make, daemon: FakeDaemon, cut: str, on_unavailable: str) -> None:
    def half(peer: Peer, request: Request) -> None:
        peer.socket.sendall(b"\x00\x00\x00\x09\x94")
        peer.drop()

    def gone_already(peer: Peer, request: Request) -> None:
        raise AssertionError("the hello was cut off")

    daemon.answer = on_connection(half, answer_pings)
    if cut == "while it says hello again":
        daemon.answer = on_connection(drop, gone_already, answer_pings)
        daemon.hello = on_connection(daemon.hello, drop, daemon.hello)
    assert make(on_unavailable=on_unavailable).call(calls.ping()) == 7


def test_who_does_not_wait_gives_up_a_daemon_that_always_goes_away(make: Make, daemon: FakeDaemon) -> None:
    daemon.hello = drop
    with pytest.raises(Unreachable, match="gave no answer to hello"):
        make(on_unavailable="raise").call(calls.ping())
    assert len(daemon.peers) == HELLOS_LOST_MAX + 1


def test_hooks_come_before_what_is_sent_again(make: Make, daemon: FakeDaemon) -> None:
    attached = {"epoch": 5, "state": "running", "due": {"due": False, "stop": False}}

    def attach(peer: Peer, request: Request) -> None:
        if request.method == "process.attach":
            peer.reply(request, attached)
        else:
            answer_pings(peer, request)

    daemon.answer = on_connection(drop, attach)
    driver = make()
    epochs: list[int] = []
    driver.on_reconnect(lambda exchange: epochs.append(exchange(calls.attach(TOKEN)).epoch))
    assert driver.call(calls.ping()) == 7
    assert epochs == [5]
    assert daemon.methods() == [(0, "ping"), (1, "process.attach"), (1, "ping")]


def test_a_hook_that_is_refused_holds_nobody_up(make: Make, daemon: FakeDaemon) -> None:
    def fenced(peer: Peer, request: Request) -> None:
        if request.method == "process.attach":
            peer.refuse(request, Fenced("a newer epoch exists"))
        else:
            answer_pings(peer, request)

    daemon.answer = on_connection(drop, fenced)
    driver = make()

    def hook(exchange: Exchange) -> None:
        exchange(calls.attach(TOKEN))

    driver.on_reconnect(hook)
    assert driver.call(calls.ping()) == 7


def test_a_blocked_call_goes_on_when_the_daemon_comes(make: Make, tmp_path: Path) -> None:
    driver = make()
    waiting = driver.start(calls.ping())
    with FakeDaemon(tmp_path / "s"):
        assert waiting.result(20) == 7


def test_calls_go_on_over_a_restart(make: Make, daemon: FakeDaemon) -> None:
    driver = make()
    assert driver.call(calls.ping()) == 7
    for _ in range(3):
        daemon.restart()
        assert driver.call(calls.ping()) == 7
    assert len(daemon.peers) == 4


def test_nobody_there_says_where_it_looked(make: Make, tmp_path: Path) -> None:
    for options, words in (
        ({}, "within 0.02 s; looked at"),
        ({"on_unavailable": "raise"}, "no daemon answers; looked at"),
    ):
        with pytest.raises(Unreachable, match=words) as caught:
            make(**options).call(calls.ping(), timeout=0.02)
        assert f"{tmp_path}/s (as it was given): No such file or directory" in caught.value.message


def test_an_answer_that_is_late_can_be_waited_for_again(make: Make, daemon: FakeDaemon) -> None:
    asked: list[tuple[Peer, Request]] = []
    daemon.answer = lambda peer, request: asked.append((peer, request))
    pending = make().submit(calls.ping())
    with pytest.raises(TimedOut, match=r"ping was not answered within 0.01 s") as caught:
        pending.result(timeout=0.01)
    assert "may still happen" in (caught.value.hint or "")
    assert not pending.done()
    wait_until(lambda: asked)
    asked[0][0].reply(asked[0][1], {"now": 9})
    assert pending.result() == 9


def test_a_call_that_was_given_up_is_not_sent_again(make: Make, daemon: FakeDaemon) -> None:
    daemon.answer = on_connection(ignore, answer_pings)
    driver = make()
    with pytest.raises(TimedOut):
        driver.call(calls.fence("p"), timeout=0.01)
    wait_until(daemon.methods)
    daemon.peers[0].drop()
    assert driver.call(calls.ping()) == 7
    assert daemon.methods() == [(0, "process.fence"), (1, "ping")]


def test_raise_says_whether_it_may_have_happened(make: Make, daemon: FakeDaemon) -> None:
    def die(peer: Peer, _request: Request) -> None:
        daemon.path.unlink()
        peer.drop()

    daemon.answer = on_connection(die)
    driver = make(on_unavailable="raise")
    with pytest.raises(Unreachable, match=r"process.fence was sent and not answered; no daemon answers") as caught:
        driver.call(calls.fence("p"))
    assert caught.value.details == {"request": 1}
    with pytest.raises(Unreachable, match=r"^no daemon answers"):
        driver.call(calls.fence("p"))


def test_raise_takes_a_daemon_that_came_back_meanwhile(make: Make, daemon: FakeDaemon) -> None:
    driver = make(on_unavailable="raise")
    assert driver.call(calls.ping()) == 7
    daemon.restart()
    assert driver.call(calls.ping()) == 7


@pytest.mark.parametrize(("on_unavailable", "tries"), [("block", 3), ("raise", 1)])
def test_a_busy_daemon_is_asked_again_under_the_same_number(
    make: Make, daemon: FakeDaemon, on_unavailable: str, tries: int
) -> None:
    def busy_twice(peer: Peer, request: Request) -> None:
        if len(daemon.methods()) < 3:
            peer.refuse(request, Busy("too much at once"))
        else:
            fenced_with(peer, request)

    daemon.answer = busy_twice
    driver = make(on_unavailable=on_unavailable)
    if on_unavailable == "block":
        assert driver.call(calls.fence("6")) == 6
    else:
        with pytest.raises(Busy):
            driver.call(calls.fence("6"))
    assert daemon.numbers() == [(0, 1)] * tries


@pytest.mark.parametrize(("error", "connections"), [(VersionMismatch("too old"), 1), (Busy("no place"), 2)])
def test_a_refused_hello(make: Make, daemon: FakeDaemon, error: CkptdError, connections: int) -> None:
    welcomed = daemon.hello
    daemon.hello = on_connection(lambda peer, request: peer.refuse(request, error), welcomed)
    driver = make()
    if error.retryable:
        assert driver.call(calls.ping()) == 7
    else:
        with pytest.raises(type(error), match=error.message):
            driver.call(calls.ping())
    assert len(daemon.peers) == connections


def test_garbage_is_a_protocol_error_and_the_next_call_connects_anew(make: Make, daemon: FakeDaemon) -> None:
    daemon.answer = on_connection(lambda peer, _request: peer.socket.sendall(b"HTTP/1.1 400 Bad\r\n"), answer_pings)
    driver = make()
    with pytest.raises(ProtocolError):
        driver.call(calls.ping())
    assert driver.call(calls.ping()) == 7
    assert len(daemon.peers) == 2


def test_an_upload_ends_with_its_connection(make: Make, daemon: FakeDaemon) -> None:
    driver = make()
    assert driver.call(calls.ping()) == 7
    connection = driver.client.connection
    daemon.answer = on_connection(drop, answer_pings)
    with pytest.raises(Unreachable, match=r"part.write belongs to a connection that was lost"):
        driver.call(calls.write_part(1, 0, 0, b"x", connection))
    assert driver.call(calls.ping()) == 7
    with pytest.raises(Unreachable, match=r"upload.close belongs to a connection that was lost"):
        driver.call(calls.close_upload(1, connection))
    assert driver.call(calls.ping()) == 7
    assert daemon.methods() == [(0, "ping"), (0, "part.write"), (1, "ping"), (1, "ping")]


def test_a_mutation_too_many_waits_for_the_oldest(make: Make, daemon: FakeDaemon) -> None:
    daemon.answer = ignore
    driver = make()
    flown = [driver.submit(calls.fence(str(number))) for number in range(limits.request_ids_kept)]
    with pytest.raises(Busy, match=r"waited 0.01 s for others in flight"):
        driver.submit(calls.fence("1"), timeout=0.01)
    late = driver.start(calls.fence("99"))
    wait_until(lambda: len(daemon.methods()) == limits.request_ids_kept)
    daemon.answer = fenced_with
    fenced_with(*first_of(daemon))
    assert late.result(20) == 99
    assert flown[0].result() == 0
    assert daemon.numbers()[-1] == (0, limits.request_ids_kept + 1)


def first_of(daemon: FakeDaemon) -> tuple[Peer, Request]:
    number, request = next(one for one in daemon.seen if one[1].method != "hello")
    return daemon.peers[number], request


def test_closing_ends_what_is_under_way(make: Make, daemon: FakeDaemon) -> None:
    daemon.answer = ignore
    driver = make()
    pending = driver.submit(calls.ping())
    waiting = driver.start(calls.ping())
    wait_until(lambda: len(daemon.methods()) == 2)
    driver.close()
    driver.close()
    for result in (pending.result, lambda: waiting.result(20), lambda: driver.call(calls.ping())):
        with pytest.raises(BadRequest, match="the client is closed"):
            result()
    wait_until(lambda: daemon.peers[0].socket.fileno() == -1)


def test_closing_ends_a_call_that_waits_for_a_daemon(make: Make) -> None:
    driver = make(backoff=Backoff(first_seconds=15.0, last_seconds=15.0))
    waiting = driver.start(calls.ping())
    wait_until(lambda: "No such file" in driver.client._finder.looked())
    driver.close()
    with pytest.raises(BadRequest, match="the client is closed"):
        waiting.result(10)
