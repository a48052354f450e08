"""Messages go round, foreign bytes raise nothing but ProtocolError, and each limit holds at its edge."""

import contextlib

import msgpack
import pytest
from hypothesis import example, given, strategies as st

from ckptclient.errors import (
    CODES,
    BadRequest,
    CkptdError,
    Fenced,
    NotFound,
    ProtocolError,
    UnknownCheckpoint,
    UnknownProcess,
)
from ckptclient.wire import limits
from ckptclient.wire.messages import (
    Message,
    Notification,
    Reply,
    Request,
    error_from_wire,
    error_to_wire,
    pack,
    parse,
)
from tests.ckptclient.wire.streams import bodies, messages


def body_of(message: Message) -> bytes:
    return pack(message)[limits.frame_header_bytes :]


@given(messages)
def test_a_message_goes_round(message: Message) -> None:
    assert parse(body_of(message)) == message


@given(st.binary() | bodies)
@example(b"\x91" * 2000)
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xdf\x7f\xff\xff\xff")
@example(b"\xdd\x00\x00\x20\x00" * 1000)
@example(b"\xd6\xff\x00\x00\x00\x00")
@example(b"\xc7\x00\xff")
@example(b"\xc1")
@example(b"")
def test_no_bytes_raise_anything_but_a_protocol_error(body: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert isinstance(parse(body), Request | Reply | Notification)


ERROR: dict[str, object] = {"code": "BUSY", "message": "too much", "hint": None, "retryable": True, "details": {}}

NO_MESSAGES: dict[str, object] = {
    "not an array": {"method": "ping"},
    "an empty array": [],
    "an unknown kind": [3, 1, "ping", {}],
    "a kind that only equals 0": [False, 1, "ping", {}],
    "a kind that only equals 1": [1.0, 1, None, {}],
    "a request that is short": [0, 1, "ping"],
    "a request that is long": [0, 1, "ping", {}, None],
    "an id below 0": [0, -1, "ping", {}],
    "an id too large": [0, limits.message_id_max + 1, "ping", {}],
    "an id that is a string": [0, "1", "ping", {}],
    "an id that only equals 1": [0, True, "ping", {}],
    "a method that is no string": [0, 1, b"ping", {}],
    "a method without a name": [0, 1, "", {}],
    "a method too long": [0, 1, "m" * (limits.method_bytes_max + 1), {}],
    "a method that is not ASCII": [0, 1, "pïng", {}],
    "a reply with neither": [1, 1, None, None],
    "a reply with both": [1, 1, ERROR, {}],
    "a result that is no map": [1, 1, None, [1]],
    "an error that is no map": [1, 1, "BUSY", None],
    "an error without a code": [1, 1, {**ERROR, "code": None}, None],
    "an error whose message is no string": [1, 1, {**ERROR, "message": 1}, None],
    "an error whose hint is no string": [1, 1, {**ERROR, "hint": 1}, None],
    "an error that only looks retryable": [1, 1, {**ERROR, "retryable": 1}, None],
    "an error whose details are no map": [1, 1, {**ERROR, "details": []}, None],
    "a notification whose parameters are no map": [2, "closing", []],
    "a notification that is long": [2, "closing", {}, {}],
    "an extension type": [0, 1, "ping", {"at": msgpack.ExtType(5, b"x")}],
    "a timestamp": [0, 1, "ping", {"at": msgpack.Timestamp(0)}],
    "a key that is no string": [0, 1, "ping", {1: 2}],
}


@pytest.mark.parametrize("value", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_what_is_no_message_is_refused(value: object) -> None:
    with pytest.raises(ProtocolError):
        parse(msgpack.packb(value))


def test_bytes_after_the_value_are_refused() -> None:
    with pytest.raises(ProtocolError, match="one MessagePack value"):
        parse(body_of(Request(1, "ping", {})) + b"\xc0")


@pytest.mark.parametrize("params", [None, 5, "text", [1, 2]], ids=str)
def test_wrong_parameters_are_left_to_their_method(params: object) -> None:
    assert parse(body_of(Request(1, "ping", params))) == Request(1, "ping", params)


def test_unknown_keys_of_an_error_are_ignored() -> None:
    told = parse(msgpack.packb([1, 1, {**ERROR, "since": 5}, None]))
    assert told == Reply(1, ERROR, None)


def nested(levels: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("padding", [0, 8192], ids=["small", "large"])
@pytest.mark.parametrize(("over", "accepted"), [(0, True), (1, False)])
def test_the_depth_of_a_message(padding: int, over: int, accepted: bool) -> None:
    # The message is one level and its parameters' map another.
    params = {"padding": b"x" * padding, "deep": nested(limits.message_depth_max - 2 + over)}
    body = msgpack.packb([0, 1, "ping", params])
    if accepted:
        assert parse(body) == Request(1, "ping", params)
    else:
        with pytest.raises(ProtocolError, match="nested"):
            parse(body)


@pytest.mark.parametrize(("over", "accepted"), [(0, True), (1, False)])
@pytest.mark.parametrize("kind", [list, dict])
def test_the_elements_of_a_container(kind: type, over: int, accepted: bool) -> None:
    count = limits.elements_count_max + over
    params = {"many": [0] * count if kind is list else {str(at): 0 for at in range(count)}}
    body = msgpack.packb([0, 1, "ping", params])
    if accepted:
        assert parse(body) == Request(1, "ping", params)
    else:
        with pytest.raises(ProtocolError):
            parse(body)


@pytest.mark.parametrize(
    "value",
    ["\udc80", 1 << 64, object(), nested(2000)],
    ids=["text that is not UTF-8", "an integer over 64 bits", "a foreign object", "a deep value"],
)
def test_what_cannot_be_packed_is_the_callers_mistake(value: object) -> None:
    with pytest.raises(BadRequest, match="can't be packed"):
        pack(Request(1, "ping", {"value": value}))


@pytest.mark.parametrize(("over", "accepted"), [(0, True), (1, False)])
def test_a_message_fits_a_frame_or_is_refused_before_it_is_sent(over: int, accepted: bool) -> None:
    rest = len(body_of(Request(1, "ping", {"data": b"x" * 70_000}))) - 70_000
    message = Request(1, "ping", {"data": b"x" * (limits.frame_bytes_max - rest + over)})
    if accepted:
        assert len(pack(message)) == limits.frame_bytes_max + limits.frame_header_bytes
    else:
        with pytest.raises(BadRequest, match=f"a frame holds {limits.frame_bytes_max}"):
            pack(message)


@pytest.mark.parametrize("kind", CODES.values(), ids=CODES)
def test_an_error_goes_round(kind: type[CkptdError]) -> None:
    error = kind("it went wrong", hint="do it right", details={"epoch": 5})
    told = parse(body_of(Reply(1, error_to_wire(error), None)))
    assert isinstance(told, Reply)
    assert told.error is not None
    again = error_from_wire(told.error)
    assert (type(again), again.message, again.hint, again.details) == (kind, error.message, error.hint, error.details)
    assert told.error["retryable"] is kind.retryable


@pytest.mark.parametrize(
    ("kind", "what"), [(UnknownProcess, "process"), (UnknownCheckpoint, "checkpoint"), (NotFound, "item")]
)
def test_what_was_not_found_is_told_apart_by_its_details(kind: type[CkptdError], what: str) -> None:
    assert type(error_from_wire(error_to_wire(kind("not there", details={"what": what})))) is kind


def test_a_code_of_a_newer_daemon_is_still_named() -> None:
    error = error_from_wire({**error_to_wire(Fenced("no")), "code": "MELTED"})
    assert type(error) is CkptdError
    assert "MELTED" in str(error)
