"""`docs/CLI_JSON_OUTPUT.md` and what the verbs print: the same keys, the same types, the same examples."""

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ckptclient import results
from ckptclient.errors import NotFound
from ckptd.ctl import documents
from ckptd.ctl.verbs import VERBS
from ckptd.store import backup
from ckptd.store.catalog.sqlite import SqliteCopies, open_catalog
from ckptd.store.medium import CATALOG_NAME
from tests.ckptd.ctl import canned
from tests.ckptd.ctl.fakes import run
from tests.ckptd.ctl.original.stores import OriginalStore
from tests.ckptd.store.export.examples import part, written

PAGE = (Path(__file__).parents[3] / "docs/CLI_JSON_OUTPUT.md").read_text(encoding="utf-8")

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
DIFFERS = {
    ("completion", "script"): "...",
    ("version", "python"): "3.11.7",
    ("export", "sha256"): "...",
    ("export", "file_bytes"): 900,
    ("selftest crash", "directory"): "/var/lib",
    ("selftest crash", "file_system"): "ext4",
    ("selftest crash", "tiers"): [
        {"tier": "kill", "points": 1, "acknowledged_count": 12, "skipped": None, "wrong": []}
    ],
    ("backup run", "name"): "20260102T030405Z-1a2b3c4d",
    ("backup run", "size_bytes"): 0,
    ("backup run", "copied_bytes"): 0,
    ("backup restore", "new_lineage"): "...",
    ("backup restore", "size_bytes"): 225280,
    ("backup verify", "size_bytes"): 225280,
    ("backup verify", "read_bytes"): 225280,
}
"""Of verb and key: what the example has in place of what depends on the machine."""

REPLIES = {"backup run": {"store.status": {**canned.STATUS, "store_path": "live"}}}
"""What the daemon says where a verb reads the store's files beside it."""


@dataclass(frozen=True)
class Section:
    """One heading with its table of keys, and for a verb the command with its example."""

    keys: dict[str, str]
    command: str
    example: Any


def sections(title: str) -> dict[str, Section]:
    text = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found = {}
    for section in text.split("\n### ")[1:]:
        command = re.search(r"^`ckptctl (.*) --json`$", section, re.MULTILINE)
        example = re.search(r"```json\n(.*?)```", section, re.DOTALL)
        found[section.partition("\n")[0]] = Section(
            dict(re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", section, re.MULTILINE)),
            command[1] if command else "",
            json.loads(example[1]) if example else None,
        )
    return found


OBJECTS = sections("Objects")
WRITTEN = sections("Verbs")


def problems(kind: str, value: object, where: str) -> list[str]:
    """What about a value is not as the page says."""
    kind, nullable = kind.removesuffix(" or null"), kind.endswith(" or null")
    if kind == "value" or (value is None and nullable):
        return []
    if kind.startswith("list of "):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [found for index, one in enumerate(value) for found in problems(kind[8:], one, f"{where}[{index}]")]
    if kind.startswith("`"):
        return object_problems(OBJECTS[kind.strip("`")].keys, value, where)
    right = {
        "text": type(value) is str,
        "integer": type(value) is int,
        "number": type(value) in (int, float),
        "boolean": type(value) is bool,
        "object": type(value) is dict,
        "time": type(value) is str and TIME.fullmatch(value) is not None,
    }
    return [] if right[kind] else [f"{where} is {value!r} and no {kind}"]


def object_problems(keys: dict[str, str], value: object, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where} is no object"]
    if keys.keys() != value.keys():
        return [f"{where}: {sorted(keys.keys() ^ value.keys())}"]
    return [found for key, kind in keys.items() for found in problems(kind, value[key], f"{where}.{key}")]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "db.sqlite").write_bytes(b"x" * 1300)
    OriginalStore(tmp_path / "old").save({}, checkpoint_id="etl-nightly_processing_state_7")
    (tmp_path / "job.export").write_bytes(written(part("state", b"x" * 1300)))
    (tmp_path / "store/packs").mkdir(parents=True)
    (tmp_path / "store/chunk-key").write_text("6b" * 32)
    monkeypatch.chdir(tmp_path)
    backed_up(tmp_path)


LINEAGE = b"lineagelineagel1"
MADE_AT = 1_767_323_045_000_000


def backed_up(path: Path) -> None:
    """An empty store, as it is found beside its daemon, and a backup of it."""
    (path / "live" / "packs").mkdir(parents=True)
    open_catalog(path / "live" / CATALOG_NAME, LINEAGE, b"k" * 32, canned.NOW).close()
    target = backup.Destination(path / "made")
    with target.occupied():
        source = backup.Source(Path("live"), live=False)
        made = backup.run(source, target, SqliteCopies(), at=MADE_AT, random=bytes.fromhex("1a2b3c4d"), keep=1)
        assert made.manifest.lineage == LINEAGE.hex()


def test_the_page_has_every_verb_in_the_order_of_the_table() -> None:
    assert list(WRITTEN) == [verb.name for verb in VERBS]


@pytest.mark.parametrize("verb", list(WRITTEN))
@pytest.mark.usefixtures("directory")
def test_a_verb_prints_what_the_page_says(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    section = WRITTEN[verb]
    with tempfile.TemporaryDirectory(prefix="ckptd-") as short:
        if verb == "selftest crash":  # whose daemons' sockets must have a name that fits
            monkeypatch.chdir(short)
        ran = run(*section.command.split(), "--json", replies=REPLIES.get(verb))
    assert (ran.code, ran.err, ran.out.count("\n")) == (0, "", 1)
    printed = json.loads(ran.out)
    assert printed.pop("schema") == documents.SCHEMA
    assert object_problems(section.keys, printed, verb) == []
    for (of, key), shown in DIFFERS.items():
        if of == verb:
            printed[key] = shown
    for one in printed.get("backups", ()):
        one["size_bytes"] = 225280
    assert {"schema": 1, **printed} == section.example


BARE = canned.process(
    task_id="", description="", mode="unknown", holder=None, last_checkpoint=None, state="registered",
    progress=canned.progress(total=None, percent=None, per_second=None, eta=None, step="", metadata=b"", updated_at=0),
)  # fmt: skip
PLAIN = canned.checkpoint(task_id="", description="", expires_at=None, tags=[])


@pytest.mark.parametrize(
    ("name", "emitted"),
    [
        ("process", documents.process(results.ProcessInfo.read(BARE), canned.NOW)),
        ("checkpoint", documents.checkpoint(results.CheckpointInfo.read(PLAIN))),
        (
            "store",
            documents.store(results.StoreStatus.read({**canned.STATUS, "limit_bytes": None, "last_cleanup": None})),
        ),
        ("event", documents.event(results.EventInfo.read([1, 1, "cleaned", None, None, {}]))),
        ("error", documents.error(NotFound("nothing"))),
    ],
)
def test_what_is_unknown_is_null_where_the_page_says_so(name: str, emitted: dict[str, object]) -> None:
    assert object_problems(OBJECTS[name].keys, emitted, name) == []


@pytest.mark.parametrize(("topic", "keys"), [
    ("store.limit", {"kind", "name", "text", "accepted", "default", "private_default", "environment", "flag", "reloadable"}),
    ("13", {"kind", "name", "text", "error_codes"}),
])  # fmt: skip
def test_what_explain_has_of_other_kinds(topic: str, keys: set[str]) -> None:
    assert json.loads(run("explain", topic, "--json").out).keys() - {"schema"} == keys


def test_followed_events_are_a_document_a_line() -> None:
    def read(packed: dict[str, object]) -> object:
        if packed["wait_seconds"]:
            raise KeyboardInterrupt
        return canned.events_since(packed)

    ran = run("events", "--follow", "--json", replies={"events.read": read})
    assert ran.code == 130
    assert [len(json.loads(line)["events"]) for line in ran.out.splitlines()] == [2]
