"""Every method of the table, asked of a real daemon: its answer has the keys that the document tells, and no other."""

import socket as sockets
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgpack
import pytest

from ckptclient import results
from ckptclient.errors import CkptdError
from ckptclient.results import Answer
from ckptclient.wire import limits
from ckptclient.wire.connection import Connection, PeerClosed, Role
from ckptclient.wire.messages import Reply, Request, error_from_wire
from ckptd.rpc.methods import SURFACE, Method
from ckptd.service.caller import Role as Rank

Map = dict[str, object]
FORM = msgpack.packb({"kind": "document", "encoding": "msgpack"})
SHAPES: dict[tuple[str, ...], type[Answer]] = {
    kind.names: kind
    for kind in vars(results).values()
    if isinstance(kind, type) and issubclass(kind, Answer) and kind is not Answer
}
OPERATORS: dict[str, Map] = {
    "config.show": {},
    "config.reload": {},
    "store.verify": {},
    "store.damage": {},
    "store.scrub": {"act": "resume"},
}
MUTATING = {row.name for row in SURFACE if row.mutates}


class Wire:
    """A client with nothing between the test and the messages."""

    def __init__(self, path: Path) -> None:
        self._socket = sockets.socket(sockets.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        self._connection = Connection(Role.CLIENT)
        self._id = self._number = 0
        self.answers: dict[str, Map] = {}
        self.ask("hello", versions=[1], client="test", session=bytes(limits.session_bytes))

    def ask(self, method: str, **params: object) -> Map:
        self._id += 1
        if method in MUTATING:
            self._number += 1
            params["request"] = self._number
        self._socket.sendall(self._connection.send(Request(self._id, method, params)))
        while not (events := self._connection.receive(self._socket.recv(1 << 16))):
            pass
        (reply,) = events
        assert not isinstance(reply, PeerClosed), "the daemon closed the connection"
        assert isinstance(reply, Reply)
        if reply.error is not None:
            raise error_from_wire(reply.error)
        self.answers[method] = cast("Map", reply.result)
        return self.answers[method]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def wire(socket: Path) -> Iterator[Wire]:
    """A client that has asked everything once, in an order in which it is accepted."""
    wire = Wire(socket)
    wire.ask("ping")
    token = wire.ask("process.register", process_id="all")["token"]
    wire.ask("journal.sequence", token=token, digest=b"d", length=3)
    wire.ask("process.progress", token=token, progress={"total": 3, "completed": 0})
    wire.ask("item.announce", token=token, ordinal=0, item=b"\x00")
    wire.ask("journal.append", token=token, records=[[0, 0, b"\x00", None], [1, -1, b"key", b"\x01"]])
    wire.ask("journal.read", process_id="all")
    wire.ask("journal.ordinals", token=token)
    wire.ask("journal.digests", token=token)
    wire.ask("process.member", token=token)
    wire.ask("process.attach", token=token)
    wire.ask("process.end", token=token, state="paused")
    token = wire.ask("process.register", process_id="state")["token"]
    saved = wire.ask("checkpoint.save", token=token, parts=[["state", FORM, b"\x80"]])["checkpoint_id"]
    wire.ask("process.recover", process_id="state")
    token = wire.answers["process.recover"]["token"]
    wire.ask("checkpoint.restore", token=token)
    wire.ask("checkpoint.get", checkpoint_id=saved)
    wire.ask("checkpoint.read", checkpoint_id=saved, part=0)
    wire.ask("checkpoint.wait", checkpoint_id=saved)
    wire.ask("checkpoint.list", process_id="state")
    upload = wire.ask("upload.open", parts=[["state", FORM, 1]])["upload"]
    wire.ask("part.write", upload=upload, part=0, offset=0, data=b"\x80")
    wire.ask("upload.close", upload=upload)
    wire.ask("staging.release", buffer=1)
    upload = wire.ask("upload.open", parts=[["state", FORM, 1]])["upload"]
    wire.ask("part.write", upload=upload, part=0, offset=0, data=b"\x80")
    staged = wire.ask("checkpoint.stage", token=token, upload=upload)["checkpoint_id"]
    wire.ask("checkpoint.wait", checkpoint_id=staged)
    wire.ask("checkpoint.pin", checkpoint_id=saved)
    wire.ask("checkpoint.unpin", checkpoint_id=saved)
    wire.ask("process.prove", process_id="state")
    wire.ask("process.stop", process_id="state")
    wire.ask("process.show", process_id="state")
    wire.ask("process.list")
    wire.ask("process.fence", process_id="state")
    wire.ask("checkpoint.delete", checkpoint_id=saved)
    wire.ask("checkpoint.revive", checkpoint_id=saved)
    token = wire.ask("process.register", process_id="ended")["token"]
    ended = wire.ask("checkpoint.save", token=token, parts=[["state", FORM, b"\x80"]], ends="completed")[
        "checkpoint_id"
    ]
    wire.ask("checkpoint.archive", checkpoint_id=ended)
    wire.ask("checkpoint.unarchive", checkpoint_id=ended)
    wire.ask("store.status")
    wire.ask("store.stats")
    wire.ask("health.report")
    wire.ask("store.cleanup")
    wire.ask("events.read")
    for method, given in OPERATORS.items():
        try:
            wire.ask(method, **given)
        except CkptdError as refusal:
            if refusal.code != "DENIED":
                raise
    yield wire
    wire.close()


def answer(wire: Wire, row: Method) -> Map:
    if row.role > Rank.WORKER and row.name not in wire.answers:
        pytest.skip("this user is no operator")
    return wire.answers[row.name]


@pytest.mark.parametrize("row", SURFACE, ids=lambda row: row.name)
def test_the_answer_has_the_keys_that_the_document_tells(wire: Wire, row: Method) -> None:
    assert set(answer(wire, row)) == set(row.result)


@pytest.mark.parametrize("row", [row for row in SURFACE if row.result in SHAPES], ids=lambda row: row.name)
def test_the_answer_has_the_types_that_the_document_tells(wire: Wire, row: Method) -> None:
    told = answer(wire, row)
    read = SHAPES[row.result].read(told)
    assert all(getattr(read, name) is not None for name, value in told.items() if value is not None)
