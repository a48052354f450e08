"""`cat` and `restore` in each format: what becomes of a state, of its arrays, and of what a format can't hold."""

import io
import json
import zipfile
from collections import Counter, OrderedDict, deque
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from ckptclient.payload import encode
from ckptd.ctl import documents
from ckptd.ctl.arrays import REST, write_npz
from tests.ckptd.ctl import canned
from tests.ckptd.ctl.fakes import Run, run, screen

ml_dtypes = pytest.importorskip("ml_dtypes")

STATE: dict[str, Any] = {
    "epoch": 3,
    "model": {"layers": [{"w": np.arange(6, dtype="<f4").reshape(2, 3)}, {"w": np.ones((300, 300), order="F")}]},
    "opt": (np.float64(0.5), np.array(["a", "bc"]), bytearray(b"x")),
    "again/": np.array([1, 2], dtype=">i8"),
}
PROGRESS = msgpack.packb({"total": 9, "completed": 4})


def holding(state: object) -> dict[str, object]:
    """Replies of a daemon that has this state, a file and a progress part."""
    parts = [(part.name, dict(part.form), bytes(part.data)) for part in encode(state)]
    parts += [("progress", {"kind": "progress"}, PROGRESS), ("notes.txt", {"kind": "file"}, b"hello\n")]

    def read(packed: dict[str, Any]) -> dict[str, object]:
        begin = packed.get("offset", 0)
        return {"data": parts[packed["part"]][2][begin : begin + packed.get("length", 1 << 20)]}

    listed = [[name, msgpack.packb(form), len(data), None] for name, form, data in parts]
    return {"checkpoint.get": {**canned.checkpoint(), "parts": listed}, "checkpoint.read": read}


def cat(*words: str, state: object = None) -> Run:
    return run("cat", "train@7", *words, replies=holding(STATE if state is None else state))


def loaded(raw: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(raw), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def test_an_npz_has_every_array_under_its_path_and_the_rest_as_json() -> None:
    ran = cat("--format", "npz")
    assert ran.code == 0
    found = loaded(ran.result.stdout_bytes)
    rest = json.loads(found.pop(REST))
    assert list(found) == ["model/layers/0/w", "model/layers/1/w", "opt/1", "again%2F"]
    for name, of in (("model/layers/0/w", STATE["model"]["layers"][0]["w"]), ("again%2F", STATE["again/"])):
        assert (found[name].dtype, found[name].tolist()) == (of.dtype, of.tolist())
    assert found["model/layers/1/w"].flags.f_contiguous
    assert rest == {
        "epoch": 3,
        "model": {"layers": [{"w": {"array": "model/layers/0/w"}}, {"w": {"array": "model/layers/1/w"}}]},
        "opt": [0.5, {"array": "opt/1"}, {"base64": "eA=="}],
        "again/": {"array": "again%2F"},
    }


def test_the_same_value_gives_the_same_file() -> None:
    assert cat("--format", "npz").result.stdout_bytes == cat("state", "--format", "npz").result.stdout_bytes


def test_an_array_alone_is_a_value_too() -> None:
    large = np.arange(20_000, dtype="<i8")
    assert loaded(cat("state", "--format", "npz", state=large).result.stdout_bytes)["value"].tolist() == large.tolist()
    alone = cat("state/0", "--format", "npz", state={"x": large}).result.stdout_bytes
    assert loaded(alone)["value"].tolist() == large.tolist()


@pytest.mark.parametrize(
    ("dtype", "wider"), [("bfloat16", "float32"), ("float8_e4m3fn", "float32"), ("int4", "int8"), ("uint4", "uint8")]
)
def test_element_types_that_npy_has_no_name_for_become_the_next_wider(dtype: str, wider: str) -> None:
    array = np.array([0, 1, 3, 7]).astype(getattr(ml_dtypes, dtype))
    out = io.BytesIO()
    assert write_npz(array, out) == 1
    found = loaded(out.getvalue())["value"]
    assert (str(found.dtype), found.tolist()) == (wider, [0, 1, 3, 7])


def test_two_keys_of_one_name_are_two_entries() -> None:
    out = io.BytesIO()
    assert write_npz({1: np.array([1]), "1": np.array([2]), "": np.array([3])}, out) == 3
    assert sorted(zipfile.ZipFile(out).namelist()) == ["%.npy", "1.npy", "1~2.npy", REST]


def test_an_npz_without_an_array_is_refused() -> None:
    ran = cat("--format", "npz", state={"n": 1})
    assert (ran.code, ran.out) == (2, "")
    assert "there is no array in it [USAGE]" in ran.err


def test_nothing_is_ever_unpickled() -> None:
    replies = holding({})
    replies["checkpoint.get"]["parts"][0][1] = msgpack.packb({"kind": "document", "encoding": "pickle"})  # type: ignore[index]
    for form in ("json", "npz"):
        ran = run("cat", "train@7", "state", "--format", form, replies=replies)
        assert (ran.code, ran.out) == (2, "")
        assert "is a pickle" in ran.err
    assert run("cat", "train@7", "state", replies=replies).code == 0


JSON: list[tuple[object, object]] = [
    (np.array([[1, 2]], dtype="<u2"), {"dtype": "uint16", "shape": [1, 2], "data": [[1, 2]]}),
    (np.array([0.5, np.nan]), {"dtype": "float64", "shape": [2], "data": [0.5, {"text": "nan"}]}),
    (np.array([b"a"]), {"dtype": "|S1", "shape": [1], "data": [{"base64": "YQ=="}]}),
    (np.array(["2024-02-29T12:00"], dtype="M8[ns]"), {"dtype": "datetime64[ns]", "shape": [1], "data": ["2024-02-29T12:00:00.000000000"]}),
    (np.array(7), {"dtype": "int64", "shape": [], "data": 7}),
    (np.zeros((2, 0)), {"dtype": "float64", "shape": [2, 0], "data": [[], []]}),
    (np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f8")]), {"dtype": "[('a', '<i4'), ('b', '<f8')]", "shape": [1], "data": [[1, 2.0]]}),
    (np.array([1.5]).astype(ml_dtypes.bfloat16), {"dtype": "bfloat16", "shape": [1], "data": [1.5]}),
    (np.float32(0.5), 0.5),
    (np.int8(-3), -3),
    (np.bool_(True), True),
    (np.str_("a"), "a"),
    (np.float64("inf"), {"text": "inf"}),
    (float("-inf"), {"text": "-inf"}),
    (1 + 2j, {"text": "(1+2j)"}),
    (Decimal("0.10"), {"text": "0.10"}),
    (deque([1, 2]), [1, 2]),
    (range(3), [0, 1, 2]),
    (OrderedDict(a=1), {"a": 1}),
    (Counter("aab"), {"a": 2, "b": 1}),
    ({1: "a"}, {"1": "a"}),
    ({1: "a", "1": "b"}, {"pairs": [[1, "a"], ["1", "b"]]}),
    (2**80, 2**80),
    (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00+00:00"),
    ("\ud800", "\ud800"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), JSON, ids=[repr(value)[:40] for value, _ in JSON])
def test_what_json_has_no_form_for_becomes_the_nearest_that_it_has(value: object, expected: object) -> None:
    assert json.loads(cat("state", "--format", "json", state=value).out) == expected


def test_every_value_of_a_checkpoint_as_one_object() -> None:
    found = json.loads(cat("--format", "json").out)
    assert list(found) == ["state", "progress", "notes.txt"]
    assert (found["progress"], found["notes.txt"]) == ({"total": 9, "completed": 4}, {"base64": "aGVsbG8K"})
    answer = json.loads(cat("--json").out)
    assert (answer["part"], answer["value"]) == (None, found)


def test_raw_needs_a_part_where_there_are_several() -> None:
    ran = cat()
    assert (ran.code, ran.out) == (2, "")
    assert "say which: state, state/0, progress, notes.txt" in ran.err


def test_what_is_too_much_for_json_is_refused_with_the_way_out() -> None:
    replies = holding({"x": np.zeros(20_000)})
    replies["checkpoint.get"]["parts"][1][2] = 80 << 20  # type: ignore[index]
    ran = run("cat", "train@7", "--format", "json", replies=replies)
    assert (ran.code, ran.out) == (2, "")
    assert "--format npz is for arrays" in ran.err


def test_no_npz_goes_to_a_terminal() -> None:
    ran = run("cat", "train@7", "--format", "npz", replies=holding(STATE), terminal=screen(80))
    assert (ran.code, ran.out) == (2, "")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ["notes.txt", "progress", "state", "state%2F0"]),
        (["--format", "json"], ["notes.txt", "progress.json", "state.json"]),
        (["--format", "npz"], ["notes.txt", "progress.json", "state.npz"]),
    ],
)
def test_restore_in_a_format(words: list[str], names: list[str], tmp_path: Path) -> None:
    ran = run("restore", "train@7", str(tmp_path), *words, replies=holding(STATE))
    assert ran.code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert (tmp_path / "notes.txt").read_bytes() == b"hello\n"
    if "npz" in words:
        assert len(loaded((tmp_path / "state.npz").read_bytes())) == 5


def test_a_value_looks_the_same_in_both() -> None:
    assert documents.jsonable(STATE) == json.loads(cat("state", "--format", "json").out)
