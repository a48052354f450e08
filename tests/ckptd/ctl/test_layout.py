"""Tables and facts as text: aligned in a pipe, narrowed on a terminal."""

import pytest
from rich.cells import cell_len

from ckptclient.errors import BadRequest
from ckptd.ctl.answer import Column, Facts, Lines, Table
from ckptd.ctl.layout import Look, cells_of, plain
from ckptd.ctl.shown import View
from ckptd.ctl.terminal import rich

VIEW = View(0)
ROWS = [("name-of-a-process", 3, "long words about it " * 3), ("名前", 20, "")]
COLUMNS: tuple[Column[tuple[str, int, str]], ...] = (
    Column("name", lambda r, _: r[0], lambda r: r[0], 0, width_min=20, mark=lambda r: "bad" if r[1] > 9 else ""),
    Column("count", lambda r, _: str(r[1]), lambda r: r[1], 2, right=True),
    Column("words", lambda r, _: r[2], lambda r: r[2] or None, 1, width_min=8),
    Column("extra", lambda r, _: "x", lambda r: 0, wide=True),
)
TABLE = Table(COLUMNS, ROWS)


def test_a_pipe_gets_everything_aligned() -> None:
    assert plain([Table(COLUMNS[:2], ROWS)], Look(VIEW)) == (
        "NAME               COUNT\n"
        "name-of-a-process      3\n"
        "名前                  20\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("look", "first_words"),
    [
        (Look(VIEW), ["NAME", "name-of-a-process", "名前"]),
        (Look(VIEW, header=False), ["name-of-a-process", "名前"]),
        (Look(VIEW, sort="-count"), ["NAME", "名前", "name-of-a-process"]),
        (Look(VIEW, sort="words"), ["NAME", "name-of-a-process", "名前"]),
        (Look(VIEW, sort="-words"), ["NAME", "name-of-a-process", "名前"]),  # who has none comes last either way
        (Look(VIEW, columns=("count", "NAME")), ["COUNT", "3", "20"]),
    ],
)
@pytest.mark.parametrize("draw", [plain, rich])
def test_what_is_asked_for(draw: object, look: Look, first_words: list[str]) -> None:
    assert callable(draw)
    assert [line.split()[0] for line in draw([TABLE], look).splitlines()] == first_words


@pytest.mark.parametrize("look", [Look(VIEW, columns=("nix",)), Look(VIEW, sort="-nix")])
def test_a_column_that_there_is_not_is_refused_with_those_there_are(look: Look) -> None:
    with pytest.raises(BadRequest, match="nix names no column") as raised:
        plain([TABLE], look)
    assert raised.value.hint == "there are name, count, words, extra"


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (120, "NAME COUNT WORDS"),
        (50, "NAME COUNT WORDS"),
        (33, "NAME WORDS"),
        (27, "NAME WORDS"),
        (26, "NAME"),
        (20, "NAME"),
    ],
)
def test_a_terminal_loses_whole_columns_before_cells_are_cut_too_far(width: int, titles: str) -> None:
    lines = rich([TABLE], Look(VIEW, width)).splitlines()
    assert " ".join(lines[0].split()) == titles
    assert max(map(cell_len, lines)) <= width


def test_wide_cuts_nothing() -> None:
    lines = rich([TABLE], Look(VIEW, 20, wide=True)).splitlines()
    assert lines[0].split() == ["NAME", "COUNT", "WORDS", "EXTRA"]
    assert ROWS[0][2].strip() in lines[1]


@pytest.mark.parametrize("colour", [True, False])
def test_colour_is_only_where_it_is_wanted(colour: bool) -> None:
    assert ("\x1b[" in rich([TABLE], Look(VIEW, 80, colour))) is colour


@pytest.mark.parametrize("draw", [plain, rich])
def test_blocks_stand_apart_and_what_they_hold_is_harmless(draw: object) -> None:
    assert callable(draw)
    blocks = [Facts((("a", "1\x1b[2J"), ("longer", "2")), "title"), Lines("words"), Table(COLUMNS, (), "no rows")]
    assert draw(blocks, Look(VIEW, 80)) == "title\na       1\\x1b[2J\nlonger  2\n\nwords\n\nno rows\n"


@pytest.mark.parametrize("text", ["plain", "名前-進捗", "größe", "e\u0301"])
def test_widths_are_those_of_a_terminal(text: str) -> None:
    assert cells_of(text) == cell_len(text)
