"""`docs/FORMAT.md` explains every table and column that there is, and none that isn't."""

import re
from pathlib import Path

import apsw

from ckptd.store.catalog.sqlite.schema import SCHEMA

FORMAT = Path(__file__).parents[4] / "docs" / "FORMAT.md"
_NAME = re.compile(r"`(\w+)`")


def in_document() -> dict[str, list[str]]:
    """Table to columns: from a section of each table, and from the table of those that nothing writes yet."""
    text = FORMAT.read_text().split("\n## The catalog\n")[1].split("\n## ")[0]
    tables: dict[str, list[str]] = {}
    heading: list[str] = []
    current = ""
    for line in text.splitlines():
        first = line.split("|")[1] if line.startswith("|") else ""
        if line.startswith("### "):
            heading = _NAME.findall(line)
        elif first.startswith(" column"):
            current = (_NAME.findall(first) or heading)[0]
        elif first.startswith(" table"):
            current = ""
        elif first.startswith(" `") and current:
            tables.setdefault(current, []).extend(_NAME.findall(first))
        elif first.startswith(" `"):
            (name,) = _NAME.findall(first)
            tables[name] = _NAME.findall(line.split("|")[2])
    return tables


def in_schema() -> dict[str, list[str]]:
    connection = apsw.Connection(":memory:")
    list(connection.execute(SCHEMA))
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
    return {
        name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        for name in names
        if not name.startswith("sqlite_")
    }


def test_the_document_has_every_table_with_its_columns() -> None:
    document, schema = in_document(), in_schema()
    assert sorted(document) == sorted(schema)
    for name, columns in schema.items():
        assert sorted(document[name]) == sorted(columns), name
