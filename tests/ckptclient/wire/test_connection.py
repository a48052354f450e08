"""The state table walked pair by pair, two machines joined in memory, and any cut of any stream."""

from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from ckptclient.errors import ProtocolError, Unreachable, VersionMismatch
from ckptclient.wire import limits
from ckptclient.wire.connection import (
    TABLE,
    TAKES,
    Connection,
    Event,
    OutOfTurn,
    PeerClosed,
    Role,
    State,
    Step,
    negotiate,
)
from ckptclient.wire.frames import encode
from ckptclient.wire.messages import Message, Notification, Reply, Request, pack
from tests.ckptclient.wire.streams import FRAME_BYTES_MAX, cut, messages, streams

ERROR: dict[str, object] = {"code": "VERSION", "message": "too new", "hint": None, "retryable": False, "details": {}}
HELLO_ID, PENDING, FRESH = 1, 2, 3
MESSAGES: dict[Step, Message] = {
    Step.HELLO: Request(HELLO_ID, "hello", {}),
    Step.WELCOME: Reply(HELLO_ID, None, {}),
    Step.REFUSAL: Reply(HELLO_ID, ERROR, None),
    Step.REQUEST: Request(FRESH, "ping", {}),
    Step.REPLY: Reply(PENDING, None, {}),
    Step.NOTIFICATION: Notification("closing", {}),
}


def reached(role: Role, state: State, *, greeted: bool = True) -> Connection:
    """A machine in this state with request PENDING in flight, or the hello where it is not answered yet."""
    connection = Connection(role)
    if state is not State.EXPECT_HELLO:
        said(connection, MESSAGES[Step.HELLO])
    if state is State.OPEN or (state in (State.CLOSING, State.CLOSED) and greeted):
        said(connection, MESSAGES[Step.WELCOME])
        said(connection, Request(PENDING, "ping", {}))
    if state is State.CLOSING:
        connection.close()
    if state is State.CLOSED:
        connection.receive(b"")
    assert connection.state is state
    return connection


def said(connection: Connection, message: Message) -> None:
    """Let whoever says this message say it."""
    if (connection.role is Role.CLIENT) is isinstance(message, Request):
        connection.send(message)
    else:
        assert connection.receive(pack(message)) == [message]


ANSWERS = (Step.WELCOME, Step.REFUSAL)


@pytest.mark.parametrize("step", MESSAGES)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
def test_every_pair_of_state_and_step_as_the_table_says(role: Role, state: State, step: Step) -> None:
    connection = reached(role, state, greeted=step not in ANSWERS)
    message, sends = MESSAGES[step], step in TAKES[role]
    # Once it was answered a hello is no longer in flight: in OPEN there is nothing to welcome.
    following = TABLE.get((state, step)) if not (step in ANSWERS and state is State.OPEN) else None
    if step in (Step.HELLO, Step.REQUEST) and sends and state in (State.CLOSING, State.CLOSED):
        with pytest.raises(Unreachable):
            connection.send(message)
    elif sends and state is State.CLOSED:
        assert connection.send(message) == b""
    elif sends and following is None:
        with pytest.raises(OutOfTurn):
            connection.send(message)
    elif sends:
        assert connection.send(message) == pack(message)
    elif following is None:
        with pytest.raises(ProtocolError):
            connection.receive(pack(message))
        following = State.CLOSED
    else:
        dropped = state is State.CLOSING and isinstance(message, Request)
        assert connection.receive(pack(message)) == ([] if dropped else [message])
    assert connection.state is (following or state)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
def test_close_and_end_as_the_table_says(role: Role, state: State) -> None:
    closing = reached(role, state)
    closing.close()
    assert closing.state is TABLE[state, Step.CLOSE]
    ending = reached(role, state)
    assert ending.receive(b"") == ([] if state is State.CLOSED else [PeerClosed(0)])
    assert ending.state is State.CLOSED


def test_the_table_is_whole() -> None:
    assert {state for state, _ in TABLE} == set(State)
    assert {step for _, step in TABLE} == set(Step)
    assert not TAKES[Role.CLIENT] & TAKES[Role.SERVER]
    assert TAKES[Role.CLIENT] | TAKES[Role.SERVER] | {Step.CLOSE, Step.END} == set(Step)


@pytest.mark.parametrize("role", Role)
def test_what_this_role_never_receives_is_a_violation(role: Role) -> None:
    for step in TAKES[role]:
        with pytest.raises(ProtocolError):
            reached(role, State.OPEN).receive(pack(MESSAGES[step]))


def opened(role: Role, ids: tuple[int, ...] = ()) -> Connection:
    connection = Connection(role, FRAME_BYTES_MAX)
    said(connection, Request(HELLO_ID, "hello", {}))
    said(connection, Reply(HELLO_ID, None, {}))
    for number in ids:
        said(connection, Request(number, "ping", {}))
    return connection


def heard(connection: Connection, pieces: list[bytes]) -> tuple[list[Event], str | None, int]:
    """Every event, how it ended, and the most that was buffered."""
    events: list[Event] = []
    most = 0
    for piece in [*pieces, b""]:
        try:
            connection.receive(piece)
        except ProtocolError as error:
            assert connection.state is State.CLOSED
            assert connection.bytes_buffered == 0
            return events + connection.received, str(error), most
        events += connection.received
        most = max(most, connection.bytes_buffered)
    return events, None, most


BEGINNINGS: list[Callable[[], Connection]] = [
    lambda: Connection(Role.SERVER, FRAME_BYTES_MAX),
    lambda: opened(Role.SERVER),
    lambda: opened(Role.CLIENT, tuple(range(2, 10))),
]
replies_in_flight = st.builds(Reply, st.integers(0, 10), st.none(), st.just({}))
conversations = streams | st.lists(
    messages | replies_in_flight | st.builds(Request, st.integers(0, 3), st.just("ping"), st.just({}))
).map(lambda said: b"".join(map(pack, said)))


@given(st.sampled_from(BEGINNINGS), cut(conversations))
def test_any_cut_gives_the_same_events_and_the_same_end(
    beginning: Callable[[], Connection], stream_and_pieces: tuple[bytes, list[bytes]]
) -> None:
    stream, pieces = stream_and_pieces
    whole = heard(beginning(), [stream] if stream else [])
    for reads in (pieces, [bytes([byte]) for byte in stream]):
        events, end, most = heard(beginning(), reads)
        assert (events, end) == whole[:2]
        assert most <= FRAME_BYTES_MAX + limits.frame_header_bytes


def test_two_machines_joined_and_cut_at_every_byte() -> None:
    conversation: list[Message] = [
        Request(0, "hello", {"versions": [1]}),
        Reply(0, None, {"version": 1}),
        Request(1, "ping", {}),
        Request(2, "process.list", {"limit": 5}),
        Reply(2, None, {"processes": [], "next": None}),
        Notification("closing", {}),
        Reply(1, {**ERROR, "code": "BUSY"}, None),
    ]
    client, server = Connection(Role.CLIENT), Connection(Role.SERVER)
    for message in conversation:
        source, target = (client, server) if isinstance(message, Request) else (server, client)
        frame = source.send(message)
        for byte in frame[:-1]:
            assert target.receive(bytes([byte])) == []
        assert target.receive(frame[-1:]) == [message]
        assert client.state is server.state
        assert client.in_flight == server.in_flight
    assert client.state is State.OPEN
    assert client.in_flight == 0


def test_a_peer_may_die_in_the_middle_of_a_frame() -> None:
    server = opened(Role.SERVER)
    server.receive(pack(Request(2, "ping", {}))[:5])
    assert server.receive(b"") == [PeerClosed(5)]
    assert server.bytes_buffered == 0


@pytest.mark.parametrize(("fds", "truncated"), [(1, False), (0, True), (16, True)])
def test_descriptors_are_a_violation_in_version_1(fds: int, truncated: bool) -> None:
    server = opened(Role.SERVER)
    with pytest.raises(ProtocolError, match="descriptors"):
        server.receive(pack(Request(2, "ping", {})), fds, truncated=truncated)
    assert server.state is State.CLOSED
    assert server.received == []


@pytest.mark.parametrize(
    "stream",
    [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", encode(b"\xc1"), pack(Request(2, "ping", {}))],
    ids=["an empty frame", "a length over the limit", "no message", "an id that is in flight"],
)
def test_a_violation_closes_for_good(stream: bytes) -> None:
    server = opened(Role.SERVER, (2,))
    with pytest.raises(ProtocolError):
        server.receive(stream)
    assert server.finished
    with pytest.raises(ProtocolError, match="after the end"):
        server.receive(pack(Request(3, "ping", {})))
    assert server.send(Reply(2, None, {})) == b""
    assert server.receive(b"") == []


def test_what_came_before_a_violation_in_the_same_read_is_not_lost() -> None:
    server = opened(Role.SERVER)
    first = Request(2, "ping", {})
    with pytest.raises(ProtocolError):
        server.receive(pack(first) + encode(b"\xc1"))
    assert server.received == [first]


def test_a_reply_that_was_not_asked_for_is_a_violation() -> None:
    with pytest.raises(ProtocolError, match="message id 9"):
        opened(Role.CLIENT, (2,)).receive(pack(Reply(9, None, {})))


def test_a_reply_twice_is_a_bug_of_the_sender() -> None:
    server = opened(Role.SERVER, (2,))
    server.send(Reply(2, None, {}))
    with pytest.raises(OutOfTurn, match="message id 2"):
        server.send(Reply(2, None, {}))
    with pytest.raises(OutOfTurn, match="message id 2"):
        opened(Role.CLIENT, (2,)).send(Request(2, "ping", {}))


@pytest.mark.parametrize("number", [HELLO_ID, FRESH])
def test_an_id_is_free_again_once_it_was_answered(number: int) -> None:
    server = opened(Role.SERVER)
    for _ in range(3):
        server.receive(pack(Request(number, "ping", {})))
        assert server.in_flight == 1
        assert server.send(Reply(number, None, {})) == pack(Reply(number, None, {}))
        assert server.in_flight == 0


def test_closing_is_finished_when_all_is_answered() -> None:
    server = opened(Role.SERVER, (2, 3))
    server.close()
    finished = [server.finished]
    for number in (3, 2):
        server.send(Reply(number, None, {}))
        finished.append(server.finished)
    assert finished == [False, False, True]
    assert server.state is State.CLOSING


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [((1,), (1,), 1), ((1, 2, 3), (1, 2), 2), ((3, 1), (1, 2, 3), 3), ((7, 1, 7), (1,), 1)],
)
def test_the_newest_common_version_is_chosen(offered: tuple[int, ...], spoken: tuple[int, ...], chosen: int) -> None:
    assert negotiate(offered, spoken) == chosen


@pytest.mark.parametrize(
    ("offered", "spoken", "hint"),
    [
        ((1,), (2, 3), "use a client that speaks version 2, 3"),
        ((4, 5), (2, 3), "upgrade the daemon, or use a client that speaks version 2, 3"),
        ((), (1,), "upgrade the daemon, or use a client that speaks version 1"),
    ],
)
def test_without_a_common_version_it_says_which_is_needed(
    offered: tuple[int, ...], spoken: tuple[int, ...], hint: str
) -> None:
    with pytest.raises(VersionMismatch) as refusal:
        negotiate(offered, spoken)
    assert refusal.value.hint == hint
    assert refusal.value.details == {"spoken": list(spoken), "offered": list(offered)}
