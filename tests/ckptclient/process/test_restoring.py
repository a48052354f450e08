"""From parts to a state: read when needed, put into what is there."""

from typing import Any

import numpy as np
import pytest

from ckptclient.errors import BadRequest, Encoding, NotFound
from ckptclient.payload import encode
from ckptclient.process.restoring import Content, StateOf, fill
from ckptclient.process.saving import stored
from ckptclient.results import CheckpointInfo, PartInfo
from ckptclient.wire import limits
from tests.ckptclient.process.scripted import ScriptedDaemon

INFO = CheckpointInfo(
    checkpoint_id="c", process_id="p", user="u", task_id="", seq=1, epoch=1, type="custom", status="active", created_at=0,
    expires_at=None, pinned=False, size_bytes=0, stored_bytes=0, has_state=True, journal_position=0, schema_version=0,
    checksum=b"", description="", tags=(), metadata=b"", depends=(), attempts=0,
    proven_at=None,
)  # fmt: skip


def content(state: object, daemon: ScriptedDaemon | None = None, *, inline: bool = True) -> Content:
    """A checkpoint of this state, whose buffers come along or must be read."""
    parts = stored(encode(state))
    if daemon is not None:
        daemon.answers["checkpoint.read"] = lambda packed: {
            "data": parts[packed["part"]].data[packed.get("offset", 0) :][
                : packed.get("length", limits.piece_bytes_max)
            ]
        }
    infos = [
        PartInfo(name=one.name, form=one.form, size_bytes=len(one.data), data=one.data if inline else None)
        for one in parts
    ]
    return Content(daemon or ScriptedDaemon(), INFO, infos)


STATE: dict[str, Any] = {"a": bytes(range(250)) * 10_000, "b": [bytes(70_000), 1]}


def test_parts_that_did_not_come_along_are_read_in_pieces_and_once() -> None:
    daemon = ScriptedDaemon()
    found = content(STATE, daemon, inline=False)
    assert found.state() == STATE
    reads = len(daemon.of("checkpoint.read"))
    assert reads == 1 + 3 + 1
    assert found["state/0"] == STATE["a"]
    assert len(daemon.of("checkpoint.read")) == reads


def test_only_the_parts_that_are_asked_for_are_read() -> None:
    daemon = ScriptedDaemon()
    found = content(STATE, daemon, inline=False)
    assert list(found) == ["state", "state/0", "state/1"]
    assert len(found) == 3
    assert found["state/1"] == bytes(70_000)
    assert {one["part"] for one in daemon.of("checkpoint.read")} == {2}
    with pytest.raises(KeyError):
        found["nothing"]
    with pytest.raises(NotFound):
        found.part("nothing")


def test_a_buffer_of_its_own_is_what_it_was() -> None:
    array = np.arange(20_000, dtype=np.float64).reshape(100, 200)
    for inline in (True, False):
        found = content({"w": array}, ScriptedDaemon(), inline=inline)["state/0"]
        assert isinstance(found, np.ndarray)
        assert np.array_equal(found, array)


def test_files_that_somebody_put_are_bytes_and_the_daemons_part_is_not_shown() -> None:
    parts = [
        PartInfo(name="notes.txt", form=b"\x80", size_bytes=2, data=b"hi"),
        PartInfo(name="progress", form=b"\x80", size_bytes=1, data=b"\x80"),
    ]
    found = Content(ScriptedDaemon(), INFO, parts)
    assert dict(found) == {"notes.txt": b"hi"}
    assert not found.has_document
    assert found.progress() == {}


@pytest.mark.parametrize("form", [b"\xc1", b"\x01"])
def test_a_form_that_is_none_is_refused(form: bytes) -> None:
    found = Content(ScriptedDaemon(), INFO, [PartInfo(name="state", form=form, size_bytes=1, data=b"\x80")])
    with pytest.raises(Encoding, match="form"):
        found.state()


def test_fill_keeps_the_containers_and_arrays_that_are_there() -> None:
    weights, nested, raw = np.zeros(3), {"x": [0, 0]}, bytearray(2)
    target: dict[str, Any] = {"w": weights, "n": nested, "r": raw}
    fill(target, {"w": np.ones(3), "n": {"x": [1, 2]}, "r": b"ab", "new": 5})
    assert target["w"] is weights
    assert target["n"] is nested
    assert target["r"] is raw
    assert (weights.tolist(), nested, raw, target["new"]) == ([1.0, 1.0, 1.0], {"x": [1, 2]}, bytearray(b"ab"), 5)


@pytest.mark.parametrize(
    ("target", "source", "where"),
    [
        ({"w": np.zeros(3)}, {"w": np.zeros(4)}, "into\\['w'\\]"),
        ({"n": [1]}, {"n": [1, 2]}, "into\\['n'\\]"),
        (5, 5, "into"),
    ],
)
def test_what_does_not_match_is_named(target: Any, source: Any, where: str) -> None:
    with pytest.raises(BadRequest, match=where):
        fill(target, source)


def test_a_mapping_takes_only_a_mapping() -> None:
    target = {"a": 1}
    with pytest.raises(BadRequest, match="mapping"):
        StateOf(target).set([1])
    assert target == {"a": 1}
