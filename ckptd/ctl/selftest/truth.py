"""What must be so, from the workers' logs; and what is so, from the store as it answers. Pure: no store, no socket.

* Nothing acknowledged is lost: every acknowledged save is there with its bytes, every acknowledged record is there.
* Nothing half done is visible: whatever is there is exactly what somebody asked for.
* Nothing is applied twice: one request makes at most one checkpoint, one item at most one record.
* One owner per epoch: no two registrations were given the same epoch of one incarnation, and nothing that was asked
  after a higher epoch had been acknowledged was acknowledged under a lower one.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What the store has. `checkpoints`: id to (process, sha256, in the trash); `records`: process to items."""

    checkpoints: Mapping[str, tuple[str, str | None, bool]]
    records: Mapping[str, Sequence[str]]
    incarnations: Mapping[str, str]
    """The current life of each process: records of earlier lives aren't shown."""


@dataclass(slots=True)
class Asked:
    """The logs, sorted."""

    saves: dict[str, Line] = field(default_factory=dict)
    saved: dict[str, Line] = field(default_factory=dict)
    records: dict[str, Line] = field(default_factory=dict)
    recorded: list[Line] = field(default_factory=list)
    deletes: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    registered: list[Line] = field(default_factory=list)
    cleans: bool = False
    """Whether a cleanup was asked for: with a trash that keeps nothing, what was deleted is gone then."""
    acknowledged: list[tuple[Line, Line]] = field(default_factory=list)
    """(asked, answered) of everything that was written under an epoch."""


def lines(path: Path) -> list[Line]:
    """A worker's notes; the last line of a killed worker may be cut off."""
    found = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return found


def asked_in(logs: Iterable[Sequence[Line]], counts: Callable[[Line], bool] = lambda line: True) -> Asked:
    """The lines of all logs, sorted: those that count."""
    asked = Asked()
    for log in logs:
        begun: dict[str, Line] = {}
        for line in filter(counts, log):
            _sort(line, begun, asked)
    return asked


def read_logs(paths: Iterable[Path]) -> Asked:
    """The lines of all logs, sorted."""
    return asked_in(map(lines, paths))


def _sort(line: Line, begun: dict[str, Line], asked: Asked) -> None:
    if line["what"].endswith("?"):
        begun[line["id"]] = line
        _sort_question(line, asked)
        return
    _sort_answer(line, asked)
    if line["what"] in ("save", "record", "end"):
        asked.acknowledged.append((begun[line["id"]], line))


def _sort_question(line: Line, asked: Asked) -> None:
    match line["what"]:
        case "save?":
            asked.saves[line["sha256"]] = line
        case "record?":
            asked.records |= dict.fromkeys(line["items"], line)
        case "delete?":
            asked.deletes.add(line["checkpoint"])
        case "clean?":
            asked.cleans = True
        case _:
            pass  # what leaves nothing that could be looked for


def _sort_answer(line: Line, asked: Asked) -> None:
    match line["what"]:
        case "save":
            asked.saved[line["checkpoint"]] = line
        case "record":
            asked.recorded.append(line)
        case "delete":
            asked.deleted.add(line["checkpoint"])
        case "register":
            asked.registered.append(line)
        case _:
            pass


def faults(asked: Asked, found: Found) -> list[str]:
    """What is wrong, a sentence each; empty when all holds."""
    return [*_saves(asked, found), *_records(asked, found), *_epochs(asked)]


def _saves(asked: Asked, found: Found) -> Iterable[str]:
    yield from _missing(asked, found)
    yield from _unasked(asked, found)


def _missing(asked: Asked, found: Found) -> Iterable[str]:
    for name, line in asked.saved.items():
        there = found.checkpoints.get(name)
        if there is None:
            if not (asked.cleans and name in asked.deletes):
                yield f"acknowledged save {name} is lost"
        elif there[1] is not None and there[1] != line["sha256"]:
            yield f"acknowledged save {name} has other bytes"
        elif there[2] and name not in asked.deletes:
            yield f"acknowledged save {name} is in the trash, and nobody put it there"
        elif not there[2] and name in asked.deleted:
            yield f"acknowledged deletion of {name} is undone"


def _unasked(asked: Asked, found: Found) -> Iterable[str]:
    seen: dict[str, str] = {}
    for name, (process, digest, _) in found.checkpoints.items():
        if digest is None:
            continue
        line = asked.saves.get(digest, {})
        if line.get("process") != process:
            yield f"checkpoint {name} is what nobody asked for"
        if digest in seen:
            yield f"checkpoints {seen[digest]} and {name} are one save, applied twice"
        seen[digest] = name


def _records(asked: Asked, found: Found) -> Iterable[str]:
    for line in asked.recorded:
        process = line["process"]
        if found.incarnations.get(process) == line["incarnation"]:
            missing = set(line["items"]).difference(found.records.get(process, ()))
            if missing:
                yield f"acknowledged records of {process} are lost: {sorted(missing)[:3]}"
    for process, items in found.records.items():
        if len(set(items)) != len(items):
            yield f"an item of {process} is recorded twice"
        for item in items:
            if asked.records.get(item, {}).get("process") != process:
                yield f"item {item} of {process} is what nobody asked for"


def _epochs(asked: Asked) -> Iterable[str]:
    given: dict[tuple[str, str, int], str] = {}
    for line in asked.registered:
        key = (line["process"], line["incarnation"], line["epoch"])
        if key in given:
            yield f"epoch {key[2]} of {key[0]} was given to {given[key]} and to {line['id']}"
        given[key] = line["id"]
    for begun, line in asked.acknowledged:
        for other in asked.registered:
            same = other["process"] == line["process"] and other["incarnation"] == line["incarnation"]
            if same and other["epoch"] > line["epoch"] and other["at"] < begun["at"]:
                yield f"{line['what']} {line['id']} was acknowledged under an epoch that was fenced before it was asked"
