"""What can't be encoded is refused with its path in the state, the reason and what to do."""

import collections
import dataclasses
import enum
import inspect
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import msgpack
import numpy as np
import pytest
from typing_extensions import override

from ckptclient.errors import Encoding
from ckptclient.payload import DEPTH_MAX, decode_value, encode, encode_value, register_type

from .payload_values import Colour, Model, Pair, Point, Unregistered


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Bag(dict[Any, Any]):
    pass


@dataclasses.dataclass
class Plain:
    x: int


class Shade(enum.Enum):
    DARK = 1


released = memoryview(b"x")
released.release()
unset = object.__new__(Point)
extra = Model([])
extra.cache = 1  # type: ignore[attr-defined]
lock = threading.Lock()


@pytest.mark.parametrize(
    ("state", "path", "reason"),
    [
        ({"model": Model([1, 2, 3, print])}, 'state["model"].hooks[3]', "builtin_function_or_method can't be stored"),
        (lock, "state", "_thread.lock can't be stored"),
        ([0, {"a": (1, {"b": lock})}], 'state[1]["a"][1]["b"]', "can't be stored"),
        ({'q"\n': lock}, 'state["q\\"\\n"]', "can't be stored"),
        ({(1, "a"): lock}, "state[(1, 'a')]", "can't be stored"),
        ({Point(lock): 1}, "state.keys()[0].x", "can't be stored"),
        ({5: {lock}}, "state[5]{member}", "can't be stored"),
        (Pair(1, lock), "state.right", "can't be stored"),
        (collections.deque([1, lock]), "state[1]", "can't be stored"),
        (slice(1, lock), "state.stop", "can't be stored"),
        ([Text("x")], "state[0]", "Text is a subclass of str"),
        ([Number(1)], "state[0]", "Number is a subclass of int"),
        ({"a": Bag()}, 'state["a"]', "Bag is a subclass of dict"),
        (Plain(1), "state", "Plain is not registered"),
        (Shade.DARK, "state", "Shade is not registered"),
        (Unregistered(1), "state", "Unregistered is not registered"),
        (unset, "state", "field 'x' has no value"),
        ([extra], "state[0]", "attribute 'cache' is no field of Model"),
        (collections.defaultdict(lambda: 0), "state", "default factory"),
        (released, "state", "released"),
        (np.zeros(2, "c16").data, "state", "memoryview of format 'Zd'"),
        (np.array(1.0).data, "state", "memoryview of format 'd' and shape"),
        ([np.array([lock, None])], "state[0]", "elements of type object"),
        (np.zeros(1, [("a", "O")]), "state", "can't be stored"),
        (np.zeros(1, [(("title", "a"), "i4")]), "state", "can't be stored"),
        (np.array(["a"], np.dtypes.StringDType()), "state", "can't be stored"),
        (np.zeros(1, [("a", "i4")]).view(np.recarray), "state", "can't be stored"),
        (np.ma.array([1]), "state", "can't be stored"),
        (msgpack.ExtType(1, b"\x03"), "state", "not registered"),
        ([msgpack.Timestamp(1)], "state[0]", "can't be stored"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_refused_with_its_path(state: object, path: str, reason: str) -> None:
    with pytest.raises(Encoding) as caught:
        encode(state)
    assert caught.value.message.startswith(f"{path} can't be saved: ")
    assert reason in caught.value.message
    assert caught.value.details["path"] == path


def test_a_refusal_says_what_to_do() -> None:
    with pytest.raises(Encoding) as caught:
        encode({"job": Plain(1)})
    assert "register_type(Plain)" in str(caught.value)


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


WRAPPERS: list[Callable[[Any], Any]] = [
    lambda inner: [inner], lambda inner: (inner,), lambda inner: {"k": inner}, lambda inner: {(1,): inner},
    Point, Pair, lambda inner: frozenset({inner}),
]  # fmt: skip


def test_depth_has_a_limit_and_up_to_it_everything_works() -> None:
    assert decode_value(encode_value(nested(DEPTH_MAX))) == nested(DEPTH_MAX)
    with pytest.raises(Encoding, match=f"state is nested deeper than {DEPTH_MAX} levels"):
        encode(nested(DEPTH_MAX + 1))
    for wrap in WRAPPERS:
        value: Any = ()
        for _ in range(90):
            value = wrap(value)
        assert decode_value(encode_value(value)) == value
        for _ in range(100_000 if wrap is WRAPPERS[0] else 400):
            value = wrap(value)
        with pytest.raises(Encoding, match="nested deeper"):
            encode(value)


def test_a_caller_deep_in_the_stack_is_told_so() -> None:
    def descend(levels: int) -> object:
        return descend(levels - 1) if levels else encode(nested(DEPTH_MAX))

    with pytest.raises(Encoding, match="the call stack ended"):
        descend(sys.getrecursionlimit() - len(inspect.stack(0)) - DEPTH_MAX)


def test_cycles_are_named() -> None:
    loop: list[Any] = [1]
    loop.append({"back": loop})
    with pytest.raises(Encoding, match=r'^state\["a"\]\[1\]\["back"\] contains itself'):
        encode({"a": loop})
    model = Model([])
    model.hooks.append(model)
    with pytest.raises(Encoding, match=r"^state\.hooks\[0\] contains itself"):
        encode(model)


def test_what_is_shared_but_no_cycle_is_fine() -> None:
    shared = [1]
    assert decode_value(encode_value([shared, shared])) == [[1], [1]]


def test_size_has_a_limit() -> None:
    assert encode("x" * 995, bytes_max=1000)
    with pytest.raises(Encoding, match="takes 1,001 bytes as a document, and 1,000 are allowed"):
        encode("x" * 998, bytes_max=1000)
    with pytest.raises(Encoding, match=r"^result takes 103 bytes"):
        encode_value(b"x" * 101, bytes_max=64, root="result")
    assert len(encode([bytes(10**6)], bytes_max=1000)) == 2


def test_lists_in_lists_of_the_same_lists_are_stopped_before_they_fill_the_memory() -> None:
    state: Any = list(range(10))
    for _ in range(30):
        state = [state] * 10
    with pytest.raises(Encoding, match="state takes more than"):
        encode(state, bytes_max=100_000)


def test_a_state_that_changes_meanwhile_is_named() -> None:
    state: dict[Any, Any] = {}

    @register_type
    @dataclasses.dataclass
    class Grower:
        @property
        @override
        def __dict__(self) -> dict[str, object]:  # type: ignore[override]
            state[len(state)] = 1
            return {}

    state["g"] = Grower()
    state["t"] = ()
    with pytest.raises(Encoding, match="changed while it was saved"):
        encode(state)


def test_register_type_refuses_what_it_cannot_rebuild() -> None:
    @dataclasses.dataclass
    class Listed(list):  # type: ignore[type-arg]
        x: int = 0

    class Other(NamedTuple):
        x: int

    for wrong in (int, Listed, 5, Pair(1)):
        with pytest.raises(Encoding):
            register_type(wrong)  # type: ignore[type-var]
    for name in ("", "x" * 201, 5):
        with pytest.raises(Encoding, match="the name of a type"):
            register_type(Other, name)  # type: ignore[arg-type]
    with pytest.raises(Encoding, match="the name 'Colour' belongs to"):
        register_type(Other, "Colour")
    assert register_type(Colour) is Colour


def test_a_subclass_of_a_registered_class_needs_its_own_registration() -> None:
    class Sub(Point):
        __slots__ = ()

    with pytest.raises(Encoding, match="Sub is not registered"):
        encode(Sub(1))


def test_pickle_refuses_in_our_words_too() -> None:
    with pytest.raises(Encoding, match="state can't be pickled"):
        encode(lock, serializer="pickle")
    with pytest.raises(Encoding, match="unknown serializer"):
        encode(1, serializer="yaml")
