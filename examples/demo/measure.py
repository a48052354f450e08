"""The work: one source file tokenised, parsed, compiled and counted, and the running aggregate of all of them.

The aggregate carries a chain of hashes over every measure in its order. So two aggregates are equal only when the
same files were counted, each as often and in the same order: a file lost, or counted twice, shows.
"""

import ast
import hashlib
import io
import json
import tokenize
from collections.abc import Iterable, Mapping, MutableMapping
from types import CodeType
from typing import Any

Measure = Mapping[str, int]
Aggregate = MutableMapping[str, Any]

FIGURES = ("lines", "tokens", "nodes", "definitions", "instructions_bytes")
UNREADABLE = (SyntaxError, ValueError, RecursionError, tokenize.TokenError)
"""What a file raises that is no Python of this version; a few of the standard library's tests are not, on purpose."""


def measure(path: str) -> Measure:
    """Read, tokenise, parse and compile one file. Raises one of `UNREADABLE` for what is no Python."""
    with open(path, "rb") as file:
        text = file.read()
    tokens = sum(1 for _ in tokenize.tokenize(io.BytesIO(text).readline))
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    return {
        "lines": text.count(b"\n"),
        "tokens": tokens,
        "nodes": len(nodes),
        "definitions": sum(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for node in nodes),
        "instructions_bytes": _instructions(compile(tree, path, "exec", dont_inherit=True)),
    }


def _instructions(code: CodeType) -> int:
    return len(code.co_code) + sum(_instructions(one) for one in code.co_consts if isinstance(one, CodeType))


def empty() -> Aggregate:
    """The aggregate of nothing."""
    return {"files": 0, "unreadable": 0, **dict.fromkeys(FIGURES, 0), "chain": ""}


def fold(aggregate: Aggregate, path: str, one: Measure | None) -> None:
    """Count one more file, in place; None stands for one that can't be read as Python."""
    aggregate["files"] += 1
    if one is None:
        aggregate["unreadable"] += 1
    else:
        for figure in FIGURES:
            aggregate[figure] += one[figure]
    aggregate["chain"] = _hash([aggregate["chain"], path, one and dict(one)])


def digest(aggregates: Iterable[Aggregate]) -> str:
    """One hash over the aggregates of all workers, in their order."""
    return _hash([dict(one) for one in aggregates])


def total(aggregates: Iterable[Aggregate], figure: str) -> int:
    """One figure of all workers together."""
    return sum(one[figure] for one in aggregates)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
