"""The golden vectors: the code writes and reads these very bytes, and the document shows them.

A vector may be added, never changed: what it holds is what clients in other languages were written against.
"""

import json
from pathlib import Path
from typing import cast

import msgpack
import pytest

from ckptclient import payload
from ckptclient.errors import ProtocolError, VersionMismatch
from ckptclient.wire.connection import HELLO, Connection, Role, negotiate
from ckptclient.wire.messages import Message, Notification, Reply, Request, error_to_wire, pack
from ckptd.rpc.methods import SURFACE
from tests.ckptclient.wire.document import hex_blocks

FOLDER = Path(__file__).parents[2] / "wire_vectors"
Vector = dict[str, object]
VECTORS: dict[str, Vector] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
ACCEPTED = {name: vector for name, vector in VECTORS.items() if not vector.get("refused")}
REFUSED = {name: vector for name, vector in VECTORS.items() if vector.get("refused")}


def from_json(value: object) -> object:
    """The value that a vector means: JSON has no bytes, so they are a map of hexadecimal digits."""
    if isinstance(value, dict):
        if set(value) == {"$bin"}:
            return bytes.fromhex(value["$bin"])
        return {name: from_json(one) for name, one in value.items()}
    return [from_json(one) for one in value] if isinstance(value, list) else value


def message_of(vector: Vector) -> Message:
    kind, *rest = cast("list[object]", from_json(vector["message"]))
    kinds: dict[object, type[Message]] = {0: Request, 1: Reply, 2: Notification}
    return kinds[kind](*rest)  # type: ignore[arg-type]


def frame_of(vector: Vector) -> bytes:
    return bytes.fromhex(cast("str", vector["frame"]))


def awaiting(message: Message) -> Connection:
    """The end that may receive this message now."""
    connection = Connection(Role.SERVER if isinstance(message, Request) else Role.CLIENT)
    greeting = isinstance(message, Request) and message.method == HELLO
    if isinstance(message, Request) and not greeting:
        connection.receive(pack(Request(99, HELLO, {})))
        connection.send(Reply(99, None, {}))
    elif isinstance(message, Reply) and message.id == 0:
        connection.send(Request(0, HELLO, {}))
    elif not greeting:
        connection.send(Request(99, HELLO, {}))
        connection.receive(pack(Reply(99, None, {})))
        if isinstance(message, Reply):
            connection.send(Request(message.id, "ping", {}))
    return connection


def test_the_document_shows_exactly_these() -> None:
    assert hex_blocks() == {name: frame_of(vector) for name, vector in VECTORS.items()}


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_says_what_it_is(name: str) -> None:
    assert VECTORS[name]["name"] == name
    assert VECTORS[name]["what"]


@pytest.mark.parametrize("name", ACCEPTED)
def test_it_is_written(name: str) -> None:
    assert pack(message_of(ACCEPTED[name])) == frame_of(ACCEPTED[name])


@pytest.mark.parametrize("name", ACCEPTED)
def test_it_is_read(name: str) -> None:
    message = message_of(ACCEPTED[name])
    assert ACCEPTED[name]["from"] == ("client" if isinstance(message, Request) else "daemon")
    assert awaiting(message).receive(frame_of(ACCEPTED[name])) == [message]


@pytest.mark.parametrize("name", [name for name in ACCEPTED if name.endswith("-request")])
def test_its_parameters_are_those_of_its_method(name: str) -> None:
    message = message_of(ACCEPTED[name])
    assert isinstance(message, Request)
    (kind,) = (row.params for row in SURFACE if row.name == message.method)
    assert kind.unpack(message.params).pack() == message.params


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_the_end_that_gets_it(name: str) -> None:
    before_hello = name == "refused-before-hello"
    for role in Role:
        connection = awaiting(
            Request(1, HELLO if before_hello else "ping", {}) if role is Role.SERVER else Reply(1, None, {})
        )
        with pytest.raises(ProtocolError):
            connection.receive(frame_of(REFUSED[name]))


def test_the_refusal_of_a_version_is_what_negotiation_says() -> None:
    with pytest.raises(VersionMismatch) as refusal:
        negotiate((2,), (1,))
    assert message_of(VECTORS["hello-refused"]) == Reply(0, error_to_wire(refusal.value), None)


def test_the_part_in_the_save_is_what_the_state_is_encoded_to() -> None:
    message = message_of(VECTORS["save-request"])
    assert isinstance(message, Request)
    parts = [[part.name, msgpack.packb(part.form), part.data] for part in payload.encode({"step": 5})]
    assert cast("dict[str, object]", message.params)["parts"] == parts
