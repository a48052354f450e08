"""Pickles become plain data, and nothing that they name is called."""

import array
import pickle  # noqa: TID251  (what is to be read)
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, strategies as st
from typing_extensions import override

from ckptclient.errors import Encoding
from ckptd.ctl.original.plain import load
from tests.ckptd.ctl.original.stores import AT, original_classes, state

VALUES: list[object] = [
    None, True, 2**70, 0.5, 1 + 2j, "ü", b"\x00", bytearray(b"x"), [1, [2]], (1, ()), {"a": {1: 2}}, {1, 2}, frozenset({3}),
    range(3), slice(1, 2), OrderedDict(a=1), Counter("aab"), deque([1, 2], maxlen=3), defaultdict(list, a=[1]),
    datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=1))), date(2024, 2, 29), time(1, 2),
    timedelta(1, 2, 3), Decimal("0.10"), UUID(int=7), PurePosixPath("a/b"), array.array("d", [0.5]),
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_data_is_itself_in_every_protocol(value: object, protocol: int) -> None:
    found = load(pickle.dumps(value, protocol=protocol))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="<f4").reshape(2, 3),
        np.asfortranarray(np.ones((2, 3))),
        np.array([b"a"]),
        np.array(["2024"], dtype="M8[D]"),
    ],
    ids=repr,
)
def test_arrays_are_themselves(array: Any, protocol: int) -> None:
    found: Any = load(pickle.dumps({"x": array, "y": np.float32(0.5)}, protocol=protocol))
    assert (found["x"].dtype, found["x"].tolist(), found["y"]) == (array.dtype, array.tolist(), np.float32(0.5))


def test_an_object_that_nobody_knows_is_the_dict_of_its_fields() -> None:
    with original_classes() as module:
        raw = pickle.dumps({"state": state(), "status": module.CheckpointStatus.ACTIVE})
    found: Any = load(raw)
    assert found["status"] == "active"
    assert (found["state"]["completed_steps"], found["state"]["last_update"]) == (40, AT)


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [
        ("CheckpointStatus", "ACTIVE", "active"),
        ("CheckpointType", "MODEL_STATE", "model_state"),
        ("Mood", "GLAD", "GLAD"),
    ],
)
def test_a_member_that_python_3_11_2_named_by_getattr(kind: str, member: str, value: str) -> None:
    assert load(f"cbuiltins\ngetattr\n(ccheckpoint_system\n{kind}\nS'{member}'\ntR.".encode()) == value


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self) -> None:
        self.a, self.b = 1, [2]


class Odd:
    @override
    def __reduce__(self) -> Any:
        return Odd, (1, 2)


def test_fields_in_slots_are_fields() -> None:
    assert load(pickle.dumps(Slotted())) == {"a": 1, "b": [2]}


def test_what_is_no_plain_data_is_said() -> None:
    with pytest.raises(Encoding, match=r"holds a .*\.Odd, which is no plain data"):
        load(pickle.dumps([Odd()]))


@pytest.mark.parametrize(
    "raw",
    [
        b"cos\nsystem\n(S'touch /tmp/pwned'\nI1\ntR.",
        b"cbuiltins\neval\n(S'1+1'\nS''\ntR.",
        b"cbuiltins\ngetattr\n(cbuiltins\nstr\nS'format'\ntR.",
        b"csubprocess\nPopen\n(S'id'\nS'x'\ntR.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x8c\x01x\x86R.",
        b"Pid\n.",
        b"",
        b"garbage",
    ],
)
def test_what_a_pickle_names_is_not_called(raw: bytes) -> None:
    with pytest.raises((Encoding, EOFError)):
        load(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_data_or_one_of_the_expected_errors(raw: bytes) -> None:
    from ckptd.ctl.original.cell import _STRANGE

    try:
        load(raw)
    except (Encoding, *_STRANGE):
        pass
