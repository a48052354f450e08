"""Every class of parameters goes round, within its own limits and within a frame's."""

from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given, strategies as st

from ckptclient.errors import BadRequest
from ckptclient.wire import limits, params
from ckptclient.wire.fields import Bin, Choice, Flag, Int, Many, Nested, Number, Params, Text
from ckptclient.wire.messages import Request, pack, parse

CLASSES: dict[str, type[Params]] = {
    name: one
    for name, one in vars(params).items()
    if isinstance(one, type) and issubclass(one, Params) and one is not Params
}


def plausible(check: Callable[[object], object]) -> st.SearchStrategy[object]:
    """Values that the check accepts, as they stand behind the edge."""
    match check:
        case Int(low, high):
            return st.integers(low, high)
        case Number(low, high):
            return st.floats(low, high)
        case Flag():
            return st.booleans()
        case Text(high, low):
            return st.text("aé7/@", min_size=low, max_size=min(high // 2, 12))
        case Bin(high, low):
            return st.binary(min_size=low, max_size=min(high, low + 12))
        case Choice(words):
            return st.sampled_from(words)
        case Many(item, count):
            return st.lists(plausible(item), max_size=min(count, 3)).map(tuple)
        case Nested(kind):
            return built(kind)
        case _:
            raise AssertionError(f"no values for {check!r}")


def built(kind: type[Params]) -> st.SearchStrategy[Params]:
    required: dict[str, st.SearchStrategy[object]] = {}
    optional: dict[str, st.SearchStrategy[object]] = {}
    for column in kind.table():
        values = st.none() | plausible(column.check) if column.nullable else plausible(column.check)
        (required if column.required else optional)[column.name] = values
    return st.fixed_dictionaries(required, optional=optional).map(lambda chosen: kind(**chosen))


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_goes_round_through_a_frame(name: str) -> None:
    kind = CLASSES[name]

    @given(built(kind))
    def goes_round(value: Params) -> None:
        message = parse(pack(Request(1, "method", value.pack()))[limits.frame_header_bytes :])
        assert isinstance(message, Request)
        assert kind.unpack(message.params) == value

    goes_round()


@pytest.mark.parametrize("name", CLASSES)
def test_every_default_is_accepted_and_every_check_refuses_something(name: str) -> None:
    for column in CLASSES[name].table():
        default = CLASSES[name].defaults.get(column.name)
        assert column.words
        if default is not None:
            raw = list(default) if isinstance(default, tuple) else default
            assert column.check(raw) == default


@pytest.mark.parametrize("name", CLASSES)
def test_no_class_accepts_what_it_does_not_know(name: str) -> None:
    with pytest.raises(BadRequest):
        CLASSES[name].unpack({"surely_not_a_field": 1})


def test_a_mutation_that_carries_a_number_needs_one() -> None:
    numbered = [kind for kind in CLASSES.values() if any(column.name == "request" for column in kind.table())]
    assert numbered
    for kind in numbered:
        column = next(column for column in kind.table() if column.name == "request")
        assert column.required
        assert column.check is not None
        assert "from 1 to" in column.words


TOKEN = b"t" * 48
LARGEST: dict[str, Params] = {
    "a piece of an upload": params.WritePart(
        upload=(1 << 63) - 1, part=limits.parts_count_max, offset=(1 << 63) - 1, data=b"x" * limits.piece_bytes_max
    ),
    "one record": params.AppendRecords(
        request=(1 << 63) - 1,
        token=TOKEN + b"m" * 16,
        records=(
            params.Record(kind=0, ordinal=1, item=b"i" * limits.item_bytes_max, result=b"r" * limits.result_bytes_max),
        ),
        progress=params.Progress(
            total=(1 << 63) - 1,
            completed=(1 << 63) - 1,
            step="s" * limits.description_bytes_max,
            batch="b" * limits.description_bytes_max,
            metadata=b"m" * limits.metadata_bytes_max,
        ),
    ),
    "a save without parts": params.Save(
        request=(1 << 63) - 1,
        token=TOKEN,
        description="d" * limits.description_bytes_max,
        tags=("t" * limits.tag_bytes_max,) * limits.tags_count_max,
        depends=("c" * limits.checkpoint_id_bytes_max,) * limits.dependencies_count_max,
        metadata=b"m" * limits.metadata_bytes_max,
        error="e" * limits.error_bytes_max,
        upload=1,
    ),
}


@pytest.mark.parametrize("value", LARGEST.values(), ids=LARGEST)
def test_the_largest_of_its_kind_fits_a_frame(value: Params) -> None:
    frame = pack(Request(limits.message_id_max, "m" * limits.method_bytes_max, value.pack()))
    message = parse(frame[limits.frame_header_bytes :])
    assert isinstance(message, Request)
    assert type(value).unpack(message.params) == value


def test_what_comes_by_the_thousand_crosses_as_an_array() -> None:
    record = params.Record(kind=1, ordinal=-1, item=b"key", result=None)
    assert record.pack() == [1, -1, b"key", None]
    thousand = params.AppendRecords(request=1, token=TOKEN, records=(record,) * limits.records_count_max)
    assert len(msgpack.packb(thousand.pack())) < 16_000


@pytest.mark.parametrize(("size", "accepted"), [(47, False), (48, True), (64, True), (65, False)])
def test_the_size_of_a_token(size: int, accepted: bool) -> None:
    if accepted:
        assert params.Attach.unpack({"token": b"t" * size}).token == b"t" * size
    else:
        with pytest.raises(BadRequest) as refusal:
            params.Attach.unpack({"token": b"t" * size})
        assert refusal.value.details["field"] == "token"
