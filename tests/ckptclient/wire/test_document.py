"""The document says what the code does: states, limits, codes, methods, shapes and links, row by row."""

import re

import pytest

from ckptclient import errors, results
from ckptclient.results import Answer
from ckptclient.wire import limits, params
from ckptclient.wire.connection import TABLE, State, Step
from ckptclient.wire.fields import Params
from ckptd.rpc.methods import SURFACE, Method
from tests.ckptclient.wire.document import (
    PATH,
    TEXT,
    names,
    parameter_rows,
    result_rows,
    sections,
    table,
    tables,
)

CHAPTERS = sections(2)
METHODS = sections(3, CHAPTERS["Methods"])
SHAPES = {heading.strip("`"): below for heading, below in sections(3, CHAPTERS["Shapes"]).items()}
ANSWERS: dict[str, type[Answer]] = {
    name: one
    for name, one in vars(results).items()
    if isinstance(one, type) and issubclass(one, Answer) and one is not Answer
}
BY_NAMES = {tuple(name for name, _ in result_rows(kind)): kind for kind in ANSWERS.values()}


NO_STEP = "\N{EN DASH}"


def test_the_state_table() -> None:
    header, *rows = tables(CHAPTERS["The conversation"])[0]
    assert header == ("state", *(step.value for step in Step))
    assert rows == [
        (state.value, *(TABLE[state, step].value if (state, step) in TABLE else NO_STEP for step in Step))
        for state in State
    ]


def test_the_limits() -> None:
    bounds = {name: value for name, value in vars(limits).items() if isinstance(value, int)}
    told = [(name, value) for name, value, _ in table(CHAPTERS["Limits"], "limit")]
    assert told == [(f"`{name}`", str(value)) for name, value in bounds.items()]


def test_the_codes_with_their_exit_status() -> None:
    told = {names(code)[0]: (status, retryable) for code, status, retryable, *_ in table(CHAPTERS["Codes"], "code")}
    assert told == {
        code: (str(kind.exit_code), "yes" if kind.retryable else "no") for code, kind in errors.CODES.items()
    }


def test_every_code_that_a_method_names_exists() -> None:
    named = set(re.findall(r"`([A-Z][A-Z_]+)`", TEXT)) - {"PROTOCOL_VERSION", "CKPTD_SOCKET"}
    assert named <= set(errors.CODES)


def test_the_methods_in_their_order() -> None:
    assert [names(row[0]) for row in table(CHAPTERS["Methods"], "method")] == [(row.name,) for row in SURFACE]
    assert list(METHODS) == [f"`{row.name}`" for row in SURFACE]


def result_names(cell: str) -> tuple[str, ...]:
    """The keys that a cell tells, those of a shape that it refers to among them."""
    told: list[str] = []
    for name in names(cell):
        told += [key for key, *_ in result_rows(ANSWERS[name])] if name in SHAPES else [f"`{name}`"]
    return tuple(told)


@pytest.mark.parametrize("row", SURFACE, ids=lambda row: row.name)
def test_a_row_of_the_table_of_methods(row: Method) -> None:
    told = next(cells for cells in table(CHAPTERS["Methods"], "method") if names(cells[0]) == (row.name,))
    _, parameters, role, mutates, result = told
    assert names(parameters) == tuple(column.name for column in row.params.table())
    assert role == row.role.name.lower()
    assert mutates == ("yes" if row.mutates else "no")
    assert result_names(result) == tuple(f"`{key}`" for key in row.result)


@pytest.mark.parametrize("row", SURFACE, ids=lambda row: row.name)
def test_a_method_has_its_role_parameters_and_result(row: Method) -> None:
    section = METHODS[f"`{row.name}`"]
    assert f"Role: {row.role.name.lower()}. Mutates: {'yes' if row.mutates else 'no'}.\n" in section
    assert [cells[:4] for cells in table(section, "parameter")] == list(parameter_rows(row.params))
    shape = re.search(r"^Result: (\[.+?\]\(#\w+\))", section, flags=re.MULTILINE)
    told = table(section, "result")
    keys = (*(result_names(shape[1]) if shape else ()), *(cells[0] for cells in told))
    assert keys == tuple(f"`{key}`" for key in row.result)
    if keys in BY_NAMES and not shape:
        assert [cells[:2] for cells in told] == list(result_rows(BY_NAMES[keys]))
    if not row.result:
        assert "Result: an empty map." in section


@pytest.mark.parametrize("row", SURFACE, ids=lambda row: row.name)
def test_what_mutates_carries_a_request_number(row: Method) -> None:
    assert row.mutates == any(column.name == "request" for column in row.params.table())


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape(name: str) -> None:
    kind: type[Params | Answer] = ANSWERS.get(name) or getattr(params, name)
    if issubclass(kind, Params):
        assert [cells[:4] for cells in table(SHAPES[name], "parameter")] == list(parameter_rows(kind))
    else:
        assert [cells[:2] for cells in table(SHAPES[name], "result")] == list(result_rows(kind))
    assert (" An array." in SHAPES[name]) is kind.as_array


def test_every_row_says_what_it_means() -> None:
    rows = [row for one in tables(CHAPTERS["Methods"] + CHAPTERS["Shapes"]) for row in one if len(row) in (3, 5)]
    assert rows
    assert [row for row in rows if not row[-1]] == []


def test_every_link_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", TEXT, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert {target[1:] for target in links if target.startswith("#")} <= anchors
    assert [target for target in links if not target.startswith("#") and not (PATH.parent / target).exists()] == []
