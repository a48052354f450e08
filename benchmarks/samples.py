"""Data as programs save it, in successive versions: text, JSON, sources, files, and arrays of a real computation.

All is drawn from a seed or taken from the interpreter's own library, so that a run can be repeated.
"""

import io
import json
import random
import sysconfig
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import ml_dtypes
import msgpack
import numpy as np

from benchmarks.states import SEED, evolving_states, text

VERSIONS = 6
RECORDS = 5000

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sample:
    """One kind of data. `kind` and `dtype` are what the form of such a part says."""

    name: str
    kind: str
    versions: list[bytes]
    dtype: str = ""


def samples() -> Iterator[Sample]:
    """Each kind, made when it is asked for."""
    states = [json.loads(json.dumps(state)) for state in evolving_states(VERSIONS, RECORDS)]
    yield Sample("records, MessagePack", "document", [msgpack.packb(state) for state in states])
    yield Sample("records, JSON", "document", [json.dumps(state).encode() for state in states])
    yield Sample("a counter in each record, JSON", "document", _counters())
    yield Sample("prose that is revised", "document", _prose())
    yield Sample("the library's sources", "document", _sources())
    yield Sample("the same as a tar file", "file", _tars())
    yield Sample("a log that grows", "file", _log())
    for name, dtype, arrays in _arrays():
        yield Sample(name, "array", [np.ascontiguousarray(one).tobytes() for one in arrays], dtype)


def _counters() -> list[bytes]:
    rng = random.Random(SEED)
    rows = [{"id": n, "count": rng.randrange(1000), "text": text(rng, 40)} for n in range(12_000)]
    found = []
    for _ in range(VERSIONS):
        found.append(json.dumps(rows).encode())
        for row in rows:
            row["count"] = int(str(row["count"])) + 1
    return found


def _prose() -> list[bytes]:
    rng = random.Random(SEED)
    paragraphs = [text(rng, rng.randrange(200, 1500)) for _ in range(1500)]
    found = []
    for _ in range(VERSIONS):
        found.append("\n\n".join(paragraphs).encode())
        for place in rng.sample(range(len(paragraphs)), 30):
            words = paragraphs[place].split()
            words[rng.randrange(len(words))] = text(rng, 20)
            paragraphs[place] = " ".join(words)
        paragraphs.insert(rng.randrange(len(paragraphs)), text(rng, 800))
    return found


def _library() -> list[tuple[str, bytes]]:
    root = Path(sysconfig.get_path("stdlib"))
    files = (path for path in root.rglob("*.py") if not {"test", "tests", "site-packages"} & set(path.parts))
    return [(str(path.relative_to(root)), path.read_bytes()) for path in sorted(files)]


def _edited(files: list[tuple[str, bytes]], version: int) -> Iterator[tuple[str, bytes]]:
    """A comment in each twentieth file, at another place in each version."""
    rng = random.Random(f"{SEED}:{version}")
    for name, data in files:
        if version and rng.random() < 0.05:
            place = rng.randrange(len(data) + 1)
            yield name, data[:place] + b"# version %d\n" % version + data[place:]
        else:
            yield name, data


def _sources() -> list[bytes]:
    files = _library()
    return [msgpack.packb(dict(_edited(files, version))) for version in range(VERSIONS)]


def _tars() -> list[bytes]:
    files = _library()
    found = []
    for version in range(VERSIONS):
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w") as tar:
            for name, data in _edited(files, version):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        found.append(whole.getvalue())
    return found


def _log() -> list[bytes]:
    rng = random.Random(SEED)
    line = "{:07d} INFO request {:012x} took {} us from 10.0.{}.{}\n"
    lines = [
        line.format(n, rng.randrange(1 << 48), rng.randrange(9999), rng.randrange(256), rng.randrange(256)).encode()
        for n in range(100_000)
    ]
    return [b"".join(lines[: len(lines) * (version + 1) // VERSIONS]) for version in range(VERSIONS)]


def _arrays() -> Iterator[tuple[str, str, list[Array]]]:
    trained = training()
    bfloat16: Any = ml_dtypes.bfloat16
    for name, steps in trained.items():
        yield f"{name}, float32", "<f4", steps
        yield f"{name}, bfloat16", "bfloat16", [one.astype(bfloat16) for one in steps]
    yield "weights, float16", "<f2", [one.astype(np.float16) for one in trained["weights"]]
    yield "weights, float64", "<f8", [one.astype(np.float64) * 1.1 for one in trained["weights"]]
    rng = np.random.default_rng(SEED)
    kinds: list[tuple[str, str, Array, Callable[[Array], Array]]] = [
        ("a field, float64", "<f8", _field(), _relaxed),
        (
            "a wave, complex64",
            "<c8",
            np.exp(1j * np.linspace(0, 90, 1 << 17)).astype(np.complex64),
            lambda a: a * 1.001,
        ),
        ("tokens, int32", "<i4", rng.zipf(1.3, 1 << 18).clip(0, 50_000).astype(np.int32), _redrawn(rng)),
        ("a permutation, int64", "<i8", rng.permutation(1 << 17), lambda a: np.roll(a, 1000)),
        ("counts, uint16", "<u2", rng.poisson(20, 1 << 19).astype(np.uint16), lambda a: a + (a % 7 == 0)),
        ("an image, uint8", "|u1", _image(), lambda a: np.roll(a, 3)),
        ("a mask, bool", "|b1", rng.random(1 << 20) < 0.1, _redrawn(rng)),
        ("noise, uint64", "<u8", rng.integers(0, 1 << 63, 1 << 17, dtype=np.uint64), lambda a: a[::-1].copy()),
    ]
    for name, dtype, first, following in kinds:
        versions = [first]
        while len(versions) < VERSIONS:
            versions.append(following(versions[-1]).astype(first.dtype))
        yield name, dtype, versions


def _redrawn(rng: np.random.Generator) -> Callable[[Array], Array]:
    def following(before: Array) -> Array:
        after = before.copy()
        places = rng.integers(0, len(after), len(after) // 50)
        after[places] = after[rng.permutation(places)]
        return after

    return following


def _field() -> Array:
    x = np.linspace(0, 6, 512)
    return np.asarray(np.sin(x)[:, None] * np.cos(2 * x)[None, :] * np.exp(-x)[None, :])


def _relaxed(before: Array) -> Array:
    """A step of the heat equation."""
    after = before.copy()
    after[1:-1, 1:-1] += 0.2 * (
        before[:-2, 1:-1] + before[2:, 1:-1] + before[1:-1, :-2] + before[1:-1, 2:] - 4 * before[1:-1, 1:-1]
    )
    return after


def _image() -> Array:
    x = np.linspace(0, 20, 1024)
    noise = np.random.default_rng(SEED).normal(0, 2, (1024, 1024))
    return (127 + 60 * np.sin(x)[:, None] * np.cos(x)[None, :] + noise).astype(np.uint8)


def training(steps: int = 200) -> dict[str, list[Array]]:
    """A network of three layers that Adam teaches another one's answers: its middle layer in the last steps."""
    sizes, batch, rate = (256, 1024, 1024, 64), 64, np.float32(1e-3)
    rng = np.random.default_rng(SEED)

    def layers() -> list[Array]:
        pairs = pairwise(sizes)
        return [rng.standard_normal((m, n), dtype=np.float32) * np.float32(np.sqrt(2 / m)) for m, n in pairs]

    def answers(network: list[Array], x: Array) -> list[Array]:
        found = [x]
        for layer in network[:-1]:
            found.append(np.maximum(found[-1] @ layer, 0))
        return [*found, found[-1] @ network[-1]]

    network, teacher = layers(), layers()
    first, second = ([np.zeros_like(layer) for layer in network] for _ in range(2))
    kept: dict[str, list[Array]] = {"weights": [], "first moment": [], "second moment": []}
    for step in range(1, steps + 1):
        x = rng.standard_normal((batch, sizes[0]), dtype=np.float32)
        seen = answers(network, x)
        slope = (seen[-1] - answers(teacher, x)[-1]) * np.float32(2 / seen[-1].size)
        for n in reversed(range(len(network))):
            change = seen[n].T @ slope
            slope = (slope @ network[n].T) * (seen[n] > 0)
            first[n] = np.float32(0.9) * first[n] + np.float32(0.1) * change
            second[n] = np.float32(0.999) * second[n] + np.float32(0.001) * change * change
            sized = first[n] / np.float32(1 - 0.9**step)
            network[n] -= rate * sized / (np.sqrt(second[n] / np.float32(1 - 0.999**step)) + np.float32(1e-8))
        if step > steps - VERSIONS:
            for name, of in zip(kept, (network, first, second), strict=True):
                kept[name].append(of[1].copy())
    return kept
