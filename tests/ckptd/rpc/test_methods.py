"""The table of methods says of each what is so."""

from collections.abc import Mapping
from typing import cast

import pytest

from ckptclient.wire.fields import Params
from ckptd.rpc.methods import SURFACE, Method, methods
from ckptd.service.caller import Caller, Role
from tests.fakes import EPOCH, FakeClock

ROWS = pytest.mark.parametrize("row", SURFACE, ids=lambda row: row.name)


class Everything:
    """Services whose every method exists."""

    def __getattr__(self, name: str) -> "Everything":
        return self

    def __call__(self, *_: object) -> Mapping[str, object]:
        return {}


@ROWS
def test_what_changes_something_carries_a_request_number(row: Method) -> None:
    names = {column.name for column in row.params.table()}
    assert ("request" in names) == row.mutates


@ROWS
def test_only_operators_reach_what_is_everybodys(row: Method) -> None:
    of_all = row.name.startswith(("config.", "backup.")) or row.name in ("store.verify", "store.damage", "store.scrub")
    assert (row.role >= Role.OPERATOR) == of_all


def test_no_name_stands_twice() -> None:
    names = [row.name for row in SURFACE]
    assert len(names) == len(set(names))


def test_every_class_of_parameters_is_some_methods() -> None:
    def named(kind: type[Params]) -> set[type[Params]]:
        found = {kind}
        for below in kind.__subclasses__():
            found |= named(below)
        return found

    nested = {"Policy", "Progress", "Record", "PartData", "PartPlan"}
    ours = {kind.__name__ for kind in named(Params) if kind.__module__ == "ckptclient.wire.params"}
    assert ours - nested == {row.params.__name__ for row in SURFACE}


def test_the_table_has_everything_but_the_hello() -> None:
    table = methods(Everything(), FakeClock())  # type: ignore[arg-type]
    assert set(table) == {row.name for row in SURFACE} - {"hello"}
    assert all(route.method.name == name for name, route in table.items())


def test_a_ping_tells_the_time() -> None:
    table = methods(Everything(), FakeClock())  # type: ignore[arg-type]
    assert table["ping"].handler(cast("Caller", None), None) == {"now": EPOCH}


@pytest.mark.parametrize(
    ("name", "bulky"),
    [("checkpoint.get", True), ("checkpoint.read", True), ("journal.read", True), ("process.list", True),
     ("checkpoint.save", False), ("journal.append", False), ("process.progress", False), ("ping", False)],
)  # fmt: skip
def test_replies_that_may_fill_a_frame_are_known(name: str, bulky: bool) -> None:
    assert next(row for row in SURFACE if row.name == name).bulky is bulky
