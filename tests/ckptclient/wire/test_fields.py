"""Each check at its edges, and refusals that name the field and what is accepted."""

import math
from collections.abc import Callable
from typing import Annotated, ClassVar

import pytest

from ckptclient.errors import BadRequest
from ckptclient.wire.fields import Bin, Choice, Flag, Int, Many, Nested, Number, Params, Rejected, Text, parameters


@parameters
class Leaf(Params):
    """A class inside another, that crosses as an array."""

    as_array: ClassVar[bool] = True
    name: Annotated[str, Text(8, 1)]
    size: Annotated[int, Int(0, 9)] | None


@parameters
class Tree(Params):
    """A class with a field of every sort."""

    root: Annotated[str, Text(8)]
    leaves: Annotated[tuple[Leaf, ...], Many(Nested(Leaf), 2)] = ()
    leaf: Annotated[Leaf, Nested(Leaf)] | None = None
    height: Annotated[float, Number(0.0, 1.0)] = 0.5
    tags: Annotated[tuple[str, ...], Many(Text(4), 2)] = ()


Check = Callable[[object], object]

ACCEPTED: list[tuple[Check, object]] = [
    (Int(), 0),
    (Int(), (1 << 63) - 1),
    (Int(-1, 5), -1),
    (Int(-1, 5), 5),
    (Number(0.0, 2.0), 0),
    (Number(0.0, 2.0), 2.0),
    (Flag(), True),
    (Flag(), False),
    (Text(4), ""),
    (Text(4), "four"),
    (Text(4), "éé"),
    (Text(4, lines=True), "a\nb"),
    (Bin(3, 1), b"x"),
    (Bin(3, 1), b"xyz"),
    (Choice(("a", "b")), "b"),
    (Many(Int(), 2), []),
]


@pytest.mark.parametrize(("check", "value"), ACCEPTED)
def test_accepted_up_to_the_edge(check: Check, value: object) -> None:
    assert check(value) == (tuple(value) if isinstance(value, list) else value)


REFUSED: list[tuple[Check, object, str]] = [
    (Int(), -1, "an integer from 0 to 9223372036854775807"),
    (Int(), 1 << 63, "an integer from 0 to 9223372036854775807"),
    (Int(-1, 5), 6, "an integer from -1 to 5"),
    (Int(), True, "an integer from 0 to 9223372036854775807"),
    (Int(), 1.0, "an integer from 0 to 9223372036854775807"),
    (Number(0.0, 2.0), 2.5, "a number from 0 to 2"),
    (Number(), math.nan, "a number from 0 to 1e+18"),
    (Number(), math.inf, "a number from 0 to 1e+18"),
    (Number(), False, "a number from 0 to 1e+18"),
    (Flag(), 1, "true or false"),
    (Text(4), "fives", "a string of 0 to 4 bytes without control characters"),
    (Text(4), "ééé", "a string of 0 to 4 bytes without control characters"),
    (Text(4, 1), "", "a string of 1 to 4 bytes without control characters"),
    (Text(4), "a\nb", "a string of 0 to 4 bytes without control characters"),
    (Text(4), "\x1b[m", "a string of 0 to 4 bytes without control characters"),
    (Text(4), b"four", "a string of 0 to 4 bytes without control characters"),
    (Text(4, lines=True), "a\nbcd", "a string of 0 to 4 bytes"),
    (Bin(3, 1), b"", "1 to 3 bytes of binary"),
    (Bin(3, 1), b"four", "1 to 3 bytes of binary"),
    (Bin(3, 1), "xyz", "1 to 3 bytes of binary"),
    (Choice(("a", "b")), "c", "one of a, b"),
    (Choice(("a", "b")), ["a"], "one of a, b"),
    (Many(Int(), 2), [1, 2, 3], "an array of up to 2"),
    (Many(Int(), 2), (1, 2), "an array of up to 2"),
    (Many(Flag(), 2), [True, 0], "true or false"),
    (Nested(Tree), [], "a map of root, leaves, leaf, height, tags"),
    (Nested(Leaf), ["a"], "an array of name, size"),
]


@pytest.mark.parametrize(("check", "value", "words"), REFUSED)
def test_refused_beyond_it_with_what_is_accepted(check: Check, value: object, words: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check(value)
    assert refusal.value.words == words


FIELDS: list[tuple[object, str, str]] = [
    (None, "", "a map of root, leaves, leaf, height, tags"),
    ({}, "root", "a string of 0 to 8 bytes without control characters (it is missing)"),
    ({"root": 5}, "root", "a string of 0 to 8 bytes without control characters"),
    ({"root": None}, "root", "a string of 0 to 8 bytes without control characters"),
    ({"root": "", "branch": 1}, "branch", "only root, leaves, leaf, height, tags"),
    ({"root": "", b"leaf": 1}, "b'leaf'", "only root, leaves, leaf, height, tags"),
    ({"root": "", "height": None}, "height", "a number from 0 to 1"),
    ({"root": "", "leaf": 5}, "leaf", "an array of name, size, or nil"),
    ({"root": "", "leaf": ["", 1]}, "leaf.name", "a string of 1 to 8 bytes without control characters"),
    ({"root": "", "leaves": [["a", 1], ["b", 10]]}, "leaves[1].size", "an integer from 0 to 9, or nil"),
    ({"root": "", "tags": ["a", 1]}, "tags[1]", "a string of 0 to 4 bytes without control characters"),
]


@pytest.mark.parametrize(("raw", "field", "accepted"), FIELDS)
def test_a_refusal_names_the_field_and_what_is_accepted(raw: object, field: str, accepted: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        Tree.unpack(raw)
    assert refusal.value.details == {"field": field, "accepted": accepted}
    assert refusal.value.hint == f"accepted: {accepted}"
    assert field in refusal.value.message


def test_the_name_of_an_unknown_field_is_cut() -> None:
    with pytest.raises(BadRequest) as refusal:
        Tree.unpack({"x" * 5000: 1})
    assert len(refusal.value.message) < 200


TREES: list[tuple[Tree, dict[str, object]]] = [
    (Tree(root="oak"), {"root": "oak"}),
    (Tree(root="oak", height=0.0, leaf=None, tags=()), {"root": "oak", "height": 0.0}),
    (
        Tree(
            root="",
            leaves=(Leaf(name="a", size=1), Leaf(name="b", size=None)),
            leaf=Leaf(name="c", size=0),
            tags=("t",),
        ),
        {"root": "", "leaves": [["a", 1], ["b", None]], "leaf": ["c", 0], "tags": ["t"]},
    ),
]


@pytest.mark.parametrize(("tree", "raw"), TREES)
def test_what_has_its_default_is_left_out(tree: Tree, raw: dict[str, object]) -> None:
    assert tree.pack() == raw
    assert Tree.unpack(raw) == tree


def test_nil_is_accepted_where_it_means_something() -> None:
    assert Tree.unpack({"root": "", "leaf": None}) == Tree(root="")
