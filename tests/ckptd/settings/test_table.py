"""The table against the tree, itself, and the documents that are made from it."""

import dataclasses
import tomllib
import types
import typing
from pathlib import Path

import pytest

from ckptd.config import load
from ckptd.settings import tree
from ckptd.settings.reference import example, reference
from ckptd.settings.table import BY_KEY, RELATIONS, SECTIONS, SETTINGS, Mode, Setting

DOCS = Path(__file__).parents[3] / "docs"
ENVIRON = {"HOME": "/home/anna"}

every_setting = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)


def is_of(value: object, hint: object) -> bool:
    """Whether a value is of an annotated type, for the types that the tree uses."""
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(is_of(value, one) for one in typing.get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(is_of(one, typing.get_args(hint)[0]) for one in value)
    return isinstance(value, typing.cast("type", hint))


@every_setting
@pytest.mark.parametrize("mode", ["node", "private"])
def test_defaults_are_accepted_and_of_the_type_that_the_tree_promises(setting: Setting, mode: Mode) -> None:
    config = load(None, ENVIRON, {}, mode=mode)
    section = getattr(config, setting.section) if setting.section else config
    assert is_of(getattr(section, setting.field), typing.get_type_hints(type(section))[setting.field])


def test_every_field_has_a_row_and_every_row_a_field() -> None:
    fields = {
        *((section, field.name) for section, of in SECTIONS.items() for field in dataclasses.fields(of)),
        *(("", field.name) for field in dataclasses.fields(tree.Config) if field.name not in {*SECTIONS, "origins"}),
    }
    rows = [(setting.section, setting.field) for setting in SETTINGS]
    assert set(rows) == fields
    assert len(rows) == len(fields)


def test_names_are_unique_and_relations_known() -> None:
    for names in ([s.key for s in SETTINGS], [s.environment for s in SETTINGS], [s.flag for s in SETTINGS if s.flag]):
        assert len(names) == len(set(names))
    assert {key for relation in RELATIONS for key in relation.keys} <= set(BY_KEY)


@every_setting
@pytest.mark.parametrize("mode", ["node", "private"])
def test_what_is_shown_sets_the_same_again(setting: Setting, mode: Mode) -> None:
    shown = load(None, ENVIRON, {}, mode=mode).origins[setting.key]
    again = load(None, ENVIRON, {setting.key: shown.text}, mode=mode).origins[setting.key]
    assert (again.value, again.text) == (shown.value, shown.text)


@every_setting
def test_the_help_is_a_sentence_and_the_values_are_in_words(setting: Setting) -> None:
    assert setting.help.endswith(".")
    assert setting.kind.accepted


ACCEPTED = [
    ("socket", "/run/ckptd.sock", Path("/run/ckptd.sock")),
    ("store.path", "/srv//a/../ckptd/", Path("/srv/ckptd")),
    ("store.limit", "80 %", tree.StoreLimit(share=0.8)),
    ("store.limit", "10 GB", tree.StoreLimit(bytes_max=10**10)),
    ("store.limit", 0, tree.StoreLimit()),
    ("store.compression", True, 3),
    ("store.compression", "yes", 3),
    ("store.compression", "FALSE", 0),
    ("store.compression", 0, 0),
    ("store.compression", 1, 1),
    ("store.compression", "19", 19),
    ("archive.path", "", None),
    ("retention.ttl", "24 h", 86400.0),
    ("retention.ttl", 0, 0.0),
    ("checkpoint.interval", "auto", "auto"),
    ("checkpoint.interval", "300 s", 300.0),
    ("checkpoint.progress", "0.1 %", 0.001),
    ("process.attempts_max", 3, 3),
    ("roles.operators", ["group:ops", "user:anna"], (tree.Grant("group", "ops"), tree.Grant("user", "anna"))),
    ("roles.operators", [], ()),
    ("log.level", "debug", "debug"),
]

REFUSED = [
    ("socket", "ckptd.sock"),
    ("socket", "/" + "x" * 107),
    ("socket", 5),
    ("socket_group", "a:b"),
    ("store.path", ""),
    ("store.path", "/a\0b"),
    ("store.path", True),
    ("store.limit", 80),
    ("store.limit", "101 %"),
    ("store.limit", "0.5 %"),
    ("store.limit", "1 kB"),
    ("store.limit", -1),
    ("store.inline", "1 MiB"),
    ("store.compression", 20),
    ("store.compression", -1),
    ("store.compression", "maybe"),
    ("store.compression", []),
    ("retention.ttl", 24),
    ("retention.ttl", "24"),
    ("retention.ttl", True),
    ("retention.ttl", "1 ms"),
    ("process.lease", 0),
    ("checkpoint.interval", "sometimes"),
    ("checkpoint.progress", 5),
    ("process.attempts_max", 0),
    ("process.attempts_max", 3.0),
    ("process.attempts_max", True),
    ("process.attempts_max", "three"),
    ("roles.operators", "group:ops"),
    ("roles.operators", ["ops"]),
    ("roles.operators", ["group:"]),
    ("roles.operators", ["role:ops"]),
    ("roles.operators", [5]),
    ("log.level", "loud"),
    ("log.level", {}),
    ("limits.connection_bytes_max", "1 MiB"),
]


@pytest.mark.parametrize(("key", "raw", "value"), ACCEPTED)
def test_accepted(key: str, raw: object, value: object) -> None:
    parsed = BY_KEY[key].kind.parse(raw)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(("key", "raw"), REFUSED)
def test_refused(key: str, raw: object) -> None:
    with pytest.raises(ValueError, match=r"not|no unit|more than|invalid literal"):
        BY_KEY[key].kind.parse(raw)


@pytest.mark.parametrize(
    ("limit", "size"), [(tree.StoreLimit(share=0.8), 800), (tree.StoreLimit(bytes_max=7), 7), (tree.StoreLimit(), None)]
)
def test_a_limit_in_bytes(limit: tree.StoreLimit, size: int | None) -> None:
    assert limit.of(1000) == size


@pytest.mark.parametrize(("name", "text"), [("CONFIGURATION.md", reference()), ("ckptd.toml", example())])
def test_the_documents_are_what_the_table_makes(name: str, text: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == text, "run: python -m ckptd.settings.reference docs"


def test_the_example_is_a_file_that_sets_the_defaults(tmp_path: Path) -> None:
    as_it_stands, uncommented = tmp_path / "a.toml", tmp_path / "b.toml"
    as_it_stands.write_text(example(), encoding="utf-8")
    lines = [
        line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in example().splitlines()
    ]
    uncommented.write_text("\n".join(lines), encoding="utf-8")
    assert load(as_it_stands, {}, {}) == load(uncommented, {}, {}) == load(None, {}, {})
    document = tomllib.loads(uncommented.read_text(encoding="utf-8"))
    assert sum(len(value) if key in SECTIONS else 1 for key, value in document.items()) == len(SETTINGS)
