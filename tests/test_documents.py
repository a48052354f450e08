"""Documents say what is so: links and paths lead somewhere, names are in the code, lists are whole."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ckptclient.version import __version__
from ckptclient.wire.limits import PROTOCOL_VERSION
from ckptd.store.catalog.sqlite.schema import FORMAT

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
ABOUT_THE_CODE = [DOCS / "ARCHITECTURE.md", *DECISIONS]
FOLDERS = ("ckptclient", "ckptd", "tests", "docs", "examples", "benchmarks", "systemd")
LINE_CHARACTERS_MAX = 200

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
WRITTEN_PATH = re.compile(rf"(?<![\w/.$])(?:{'|'.join(FOLDERS)})/[\w./*-]*")
WRITTEN_NAME = re.compile(r"`([\w/]+\.py):([A-Za-z_][\w.]*)`")

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
each_about_the_code = pytest.mark.parametrize("path", ABOUT_THE_CODE, ids=lambda path: path.name)
each_decision = pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)


@cache
def prose(path: Path) -> str:
    """A document without its fenced examples."""
    return FENCED.sub("", path.read_text(encoding="utf-8"))


def headings(path: Path) -> list[tuple[int, str]]:
    """(level, text) of each heading."""
    return [(len(marks), text) for marks, text in HEADING.findall(prose(path))]


def anchor(heading: str) -> str:
    """The name under which the usual renderers of Markdown make a heading a link's target."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def leads_nowhere(path: Path, link: str) -> bool:
    """Whether a link of this document has no target in the repository."""
    if "://" in link or link.startswith("mailto:"):
        return False
    name, _, part = link.partition("#")
    target = path.parent / name if name else path
    if not target.exists():
        return True
    return bool(part) and part not in {anchor(text) for _, text in headings(target)}


def rows(path: Path, heading: str) -> Iterator[list[str]]:
    """The cells of a section's table, without its head."""
    section = re.split(r"^#+ ", prose(path).split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


@cache
def names_in(module: Path) -> frozenset[str]:
    """What a module defines at its top, and of its classes the methods, fields and attributes, as `Class.name`."""
    found: set[str] = set()
    if not module.exists():
        return frozenset()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        found |= {name for name, _ in defined(node)}
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for inner in node.body for name, _ in defined(inner)}
    return frozenset(found)


def defined(node: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    """The names that a statement gives."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, node
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name, node
        case ast.Assign(targets=targets):
            for target in targets:
                yield from ((one.id, node) for one in ast.walk(target) if isinstance(one, ast.Name))
        case _:
            pass


# --- every document ---


@each_document
def test_every_link_leads_somewhere(path: Path) -> None:
    assert [link for link in LINK.findall(prose(path)) if leads_nowhere(path, link)] == []


@each_document
def test_lines_can_be_read(path: Path) -> None:
    long = [
        number
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > LINE_CHARACTERS_MAX and not line.startswith("|")
    ]
    assert long == []


@each_document
def test_a_document_begins_with_its_one_title(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert [level for level, _ in headings(path)].count(1) == 1


@each_document
def test_every_target_of_make_that_is_named_is_there(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", path.read_text(encoding="utf-8")))
    assert named <= targets


def test_every_document_is_found_from_the_readme_or_the_architecture() -> None:
    begins = [ROOT / "README.md", DOCS / "ARCHITECTURE.md", DOCS / "adr" / "README.md"]
    linked = {(path.parent / link.partition("#")[0]).resolve() for path in begins for link in LINK.findall(prose(path))}
    assert [path for path in DOCUMENTS if path not in linked and path not in begins] == []


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200


# --- the page about the code, and the decisions ---


@each_about_the_code
def test_every_path_is_there(path: Path) -> None:
    written = {found.rstrip(".") for found in WRITTEN_PATH.findall(prose(path))}
    assert [found for found in sorted(written) if not any(ROOT.glob(found.rstrip("/")))] == []


@each_about_the_code
def test_every_name_is_in_the_code(path: Path) -> None:
    written = WRITTEN_NAME.findall(prose(path))
    assert [f"{module}:{name}" for module, name in written if name not in names_in(ROOT / module)] == []


def test_the_architecture_names_names() -> None:
    assert len(WRITTEN_NAME.findall(prose(DOCS / "ARCHITECTURE.md"))) > 40


@pytest.mark.parametrize(("heading", "package"), [("The client", "ckptclient"), ("The daemon", "ckptd")])
def test_every_room_is_in_the_table_of_rooms(heading: str, package: str) -> None:
    first = " ".join(cells[0] for cells in rows(DOCS / "ARCHITECTURE.md", heading))
    told = {Path(found).relative_to(package).parts[0] for found in WRITTEN_PATH.findall(first)}
    there = {
        path.name
        for path in (ROOT / package).iterdir()
        if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists())
    }
    assert told == there - {"__init__.py"}


@pytest.mark.parametrize("heading", ["The client", "The daemon"])
def test_every_file_that_a_room_is_said_to_have_is_in_it(heading: str) -> None:
    missing = [
        (room, name)
        for cells in rows(DOCS / "ARCHITECTURE.md", heading)
        for room in WRITTEN_PATH.findall(cells[0])
        if room.endswith("/")
        for name in re.findall(r"`([a-z_]+\.py)`", cells[1])
        if not (ROOT / room / name).exists()
    ]
    assert missing == []


def test_the_contracts_are_those_of_the_linter() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    kept = {contract["id"] for contract in settings["tool"]["importlinter"]["contracts"]}
    told = {
        name
        for cells in rows(DOCS / "ARCHITECTURE.md", "The rules, and who holds them")
        for name in re.findall(r"`([\w-]+)`", cells[0])
    }
    assert told == kept


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@each_decision
def test_a_decision_has_its_four_parts_and_is_short(path: Path) -> None:
    (_, title), *parts = headings(path)
    assert title.startswith(f"{int(path.name[:4])}. ")
    assert parts == [(2, "Context"), (2, "Decision"), (2, "Consequences"), (2, "Evidence")]
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60


def test_the_list_of_decisions_is_whole() -> None:
    titles = {path.name: headings(path)[0][1].split(". ", 1) for path in DECISIONS}
    expected = [[number, f"[{title}]({name})"] for name, (number, title) in titles.items()]
    assert list(rows(DOCS / "adr" / "README.md", "Decisions")) == expected


def test_every_decision_that_is_mentioned_was_made() -> None:
    numbers = {int(path.name[:4]) for path in DECISIONS}
    texts = [*DOCUMENTS, *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
    mentioned = {
        (str(path.relative_to(ROOT)), int(number))
        for path in texts
        for number in re.findall(r"\bADR (\d+)", path.read_text(encoding="utf-8"))
    }
    assert [one for one in mentioned if one[1] not in numbers] == []


# --- the changelog ---


def test_the_changelog_begins_with_this_version_and_what_it_reads_and_writes() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.split(r"^## ", text, flags=re.MULTILINE)[1]
    assert newest.split()[0] == __version__
    assert f"Protocol {PROTOCOL_VERSION}, format {FORMAT}." in newest
