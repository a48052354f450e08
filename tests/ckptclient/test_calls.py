"""Every builder makes parameters that its method accepts."""

import pytest

from ckptclient import calls
from ckptclient.calls import Call
from ckptclient.wire import params
from ckptclient.wire.fields import Params

TOKEN = bytes(48)
NAMED: dict[str, object] = {"process_id": "p"}
HELD: dict[str, object] = {"token": TOKEN}
CHECKPOINT: dict[str, object] = {"checkpoint_id": "c"}
PROGRESS = params.Progress(completed=3)
RECORD = params.Record(kind=0, ordinal=2, item=b"i", result=None)
SAVE = params.Save(request=calls.UNNUMBERED, token=TOKEN)
UPLOADED = params.Save(request=calls.UNNUMBERED, token=TOKEN, upload=4)
LIST = params.ListCheckpoints(process_id="p", tag="t")

TABLE: list[tuple[Call[object], str, bool, dict[str, object]]] = [
    (calls.ping(), "ping", False, {}),
    (
        calls.register("p", task_id="t", takeover=True),
        "process.register",
        True,
        {**NAMED, "task_id": "t", "takeover": True},
    ),
    (calls.register("p", progress=PROGRESS), "process.register", True, {**NAMED, "progress": {"completed": 3}}),
    (calls.recover("p"), "process.recover", True, NAMED),
    (calls.attach(TOKEN), "process.attach", False, HELD),
    (calls.advance(TOKEN, PROGRESS), "process.progress", False, {**HELD, "progress": {"completed": 3}}),
    (calls.end(TOKEN, "failed", error="e"), "process.end", True, {**HELD, "state": "failed", "error": "e"}),
    (calls.member(TOKEN), "process.member", True, HELD),
    (calls.fence("p"), "process.fence", True, NAMED),
    (calls.stop("p"), "process.stop", False, NAMED),
    (calls.show("p"), "process.show", False, NAMED),
    (calls.processes(states=("running",)), "process.list", False, {"states": ["running"]}),
    (calls.append(TOKEN, (RECORD,)), "journal.append", True, {**HELD, "records": [[0, 2, b"i", None]]}),
    (calls.records("p", after=5), "journal.read", False, {**NAMED, "after": 5}),
    (calls.ordinals(TOKEN, first=8), "journal.ordinals", False, {**HELD, "first": 8}),
    (calls.digests(TOKEN), "journal.digests", False, HELD),
    (calls.sequence(TOKEN, b"d", 9), "journal.sequence", True, {**HELD, "digest": b"d", "length": 9}),
    (calls.announce(TOKEN, -1, b"i"), "item.announce", False, {**HELD, "ordinal": -1, "item": b"i"}),
    (
        calls.open_upload((params.PartPlan(name="n", form=b"", size_bytes=9),), 0),
        "upload.open",
        False,
        {"parts": [["n", b"", 9]]},
    ),
    (calls.write_part(4, 0, 9, b"x", 0), "part.write", False, {"upload": 4, "part": 0, "offset": 9, "data": b"x"}),
    (calls.close_upload(4, 0), "upload.close", False, {"upload": 4}),
    (
        calls.stage_save(params.Stage(**vars(UPLOADED), position=2), 0, 7),
        "checkpoint.stage",
        True,
        {**HELD, "upload": 4, "position": 2},
    ),
    (calls.release_buffer(3, 0), "staging.release", False, {"buffer": 3}),
    (calls.save(SAVE), "checkpoint.save", True, HELD),
    (calls.save(UPLOADED, 0), "checkpoint.save", True, {**HELD, "upload": 4}),
    (calls.get("c", data=False), "checkpoint.get", False, {**CHECKPOINT, "data": False}),
    (calls.read_part("c", 1, 2, 3), "checkpoint.read", False, {**CHECKPOINT, "part": 1, "offset": 2, "length": 3}),
    (calls.restore(TOKEN), "checkpoint.restore", True, HELD),
    (calls.checkpoints(LIST), "checkpoint.list", False, {**NAMED, "tag": "t"}),
    (calls.delete("c"), "checkpoint.delete", True, CHECKPOINT),
    (calls.pin("c"), "checkpoint.pin", True, CHECKPOINT),
    (calls.unpin("c"), "checkpoint.unpin", True, CHECKPOINT),
    (calls.revive("c"), "checkpoint.revive", True, CHECKPOINT),
    (calls.get("c", lend=True), "checkpoint.get", False, {**CHECKPOINT, "lend": True}),
    (calls.restore(TOKEN, lend=True), "checkpoint.restore", True, {**HELD, "lend": True}),
    (
        calls.stage_parts((params.PartPlan(name="n", form=b"", size_bytes=9),), 0),
        "upload.open",
        False,
        {"parts": [["n", b"", 9]], "staging": True},
    ),
    (calls.wait("c"), "checkpoint.wait", False, CHECKPOINT),
    (calls.status(), "store.status", False, {}),
    (calls.stats(), "store.stats", False, {}),
    (calls.cleanup(), "store.cleanup", True, {}),
    (calls.verify(deep=True, place=(4, 1, 152)), "store.verify", False, {"deep": True, "place": [4, 1, 152]}),
    (calls.damage(), "store.damage", False, {}),
    (calls.scrub("start"), "store.scrub", True, {"act": "start"}),
    (calls.backup_begin(), "backup.begin", True, {}),
    (
        calls.backup_end(3, b"c" * 32, "b", "/b"),
        "backup.end",
        True,
        {"backup": 3, "checksum": b"c" * 32, "name": "b", "path": "/b"},
    ),
    (calls.health(), "health.report", False, {}),
    (calls.config_show(), "config.show", False, {}),
    (calls.config_reload(), "config.reload", True, {}),
    (calls.events(7, wait_seconds=5.0), "events.read", False, {"since": 7, "wait_seconds": 5.0}),
]


@pytest.mark.parametrize(
    ("call", "method", "mutates", "crosses"), TABLE, ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_builder_makes_what_its_method_accepts(
    call: Call[object], method: str, mutates: bool, crosses: dict[str, object]
) -> None:
    assert (call.method, call.mutates) == (method, mutates)
    packed = call.bind(5).packed()
    assert ("request" in packed) is mutates
    unpack = type(call.params).unpack
    assert unpack(packed) == unpack({**crosses, "request": 5} if mutates else crosses)


def test_every_class_of_parameters_has_a_builder() -> None:
    inside = {params.Policy, params.Progress, params.Record, params.PartData, params.PartPlan}
    used = {type(call.params) for call, *_ in TABLE} | {type(calls.hello(bytes(16)).params)}
    declared = {one for one in vars(params).values() if isinstance(one, type) and issubclass(one, Params)}
    assert declared - {Params} == used | inside


def test_hello_offers_the_versions_and_the_session() -> None:
    hello = params.Hello.unpack(calls.hello(bytes(16)).packed())
    assert (hello.versions, hello.session) == ((1,), bytes(16))


def test_binding_changes_the_number_alone() -> None:
    call = calls.fence("p")
    assert call.packed()["request"] == calls.UNNUMBERED
    assert call.bind(3).bind(4).packed() == {**call.packed(), "request": 4}


def test_a_wait_for_events_may_take_as_long_as_it_waits() -> None:
    assert calls.events(wait_seconds=60.0).timeout_seconds == 60.0 + calls.EVENTS_GRACE_SECONDS
    assert calls.events().timeout_seconds is None
