"""`import`: what is asked of the daemon, when nothing is, and that a second one finds the first."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

from ckptclient.errors import UnknownProcess
from ckptd.store.export import Description
from tests.ckptd.ctl import canned
from tests.ckptd.ctl.fakes import Run, run
from tests.ckptd.store.export.examples import DESCRIPTION, FORM, part, written

HERE = {"process.show": UnknownProcess("no process", details={"what": "process"})}
DAY = 86_400
MADE = replace(
    DESCRIPTION, process_id="train", created_at=canned.NOW - 2 * DAY * canned.SECOND, description="best", task_id="t"
)


def imported(
    tmp_path: Path,
    *words: str,
    said: Description = MADE,
    size_bytes: int = 5,
    replies: Mapping[str, object] | None = None,
) -> Run:
    (tmp_path / "file").write_bytes(written(part("a", b"x" * size_bytes), part("b", b"y"), description=said))
    return run("import", str(tmp_path / "file"), *words, replies={**HERE, **(replies or {})})


def saved(ran: Run) -> dict[str, object]:
    (found,) = [asked for method, asked in ran.daemon.asked if method == "checkpoint.save"]
    return found


def test_the_checkpoint_is_as_the_file_says(tmp_path: Path) -> None:
    ran = imported(tmp_path)
    assert (ran.code, ran.err) == (0, "")
    asked = saved(ran)
    assert asked.pop("alias", "").startswith("train_model_state_imported_")  # type: ignore[attr-defined]
    assert asked == {
        "request": 0, "process_id": "train", "task_id": "t", "type": "model_state", "description": "best", "tags": ["best", "nightly"],
        "metadata": MADE.metadata, "created_at": MADE.created_at, "ttl_seconds": 9.0 * DAY,
        "parts": [["a", FORM, b"xxxxx"], ["b", FORM, b"y"]],
    }  # fmt: skip


def test_large_parts_go_ahead_in_pieces(tmp_path: Path) -> None:
    ran = imported(tmp_path, size_bytes=2_500_000)
    assert ran.code == 0
    pieces = [asked["data"] for method, asked in ran.daemon.asked if method == "part.write"]
    assert b"".join(pieces) == b"x" * 2_500_000 + b"y"  # type: ignore[arg-type]
    assert saved(ran)["upload"] == 5


def test_a_second_import_finds_the_first(tmp_path: Path) -> None:
    names = [saved(imported(tmp_path, said=replace(MADE, exported_at=at)))["alias"] for at in (1, 2)]
    assert names[0] == names[1]
    ran = imported(tmp_path, replies={"checkpoint.get": {**canned.checkpoint(checkpoint_id=names[0]), "parts": []}})
    assert (ran.code, ran.out) == (0, f"{tmp_path}/file was imported before: {names[0]}\n")
    assert "checkpoint.save" not in ran.daemon.methods()


@pytest.mark.parametrize(
    "other", [{"size_bytes": 6}, {"said": replace(MADE, type="custom")}, {"said": replace(MADE, created_at=7)}]
)
def test_another_checkpoint_is_another_import(other: dict[str, object], tmp_path: Path) -> None:
    name = saved(imported(tmp_path))["alias"]
    assert saved(imported(tmp_path, **other))["alias"] != name  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [0, 100, -100, -1])
def test_a_damaged_file_is_refused_before_the_daemon_hears_of_it(place: int, tmp_path: Path) -> None:
    raw = bytearray(written(part("a", b"x" * 1000), description=MADE))
    raw[place] ^= 1
    (tmp_path / "file").write_bytes(raw)
    ran = run("import", str(tmp_path / "file"))
    assert (ran.code, ran.out, ran.daemon.asked) == (9 if place else 2, "", [])


@pytest.mark.parametrize("file", ["nothing", ".", "/proc/self/mem"])
def test_what_can_not_be_read_is_said(file: str, tmp_path: Path) -> None:
    ran = run("import", str(tmp_path / file))
    assert (ran.code, ran.out, ran.daemon.asked) == (2, "", [])
    assert "can't be read" in ran.err


@pytest.mark.parametrize(
    ("process", "words", "code"),
    [
        (canned.process(epoch=0, state="registered"), (), 0),
        (canned.process(), (), 6),
        (canned.process(), ("--process", "train"), 0),
        (canned.process(), ("--process", "other"), 0),
    ],
    ids=["nobody ever held it", "somebody did", "but it was named", "another"],
)
def test_a_process_that_works_here_gets_no_import_unasked(
    process: object, words: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    ran = imported(tmp_path, *words, replies={"process.show": process})
    assert ran.code == code
    assert ("checkpoint.save" in ran.daemon.methods()) is (code == 0)


def test_dependencies_that_are_not_here_are_left_out_and_named(tmp_path: Path) -> None:
    ran = imported(tmp_path, said=replace(MADE, depends=("here", "gone_imported_")))
    assert saved(ran)["depends"] == ["here"]
    assert ran.err == "it depended on gone_imported_, which isn't here: the import doesn't\n"


def test_a_journal_that_stays_behind_is_named(tmp_path: Path) -> None:
    assert (
        "a result journal of 41 records, which no export carries"
        in imported(tmp_path, said=replace(MADE, journal_position=41)).err
    )


PROGRESS = {
    "total": None,
    "completed": 1,
    "step": "a",
    "batch": None,
    "metadata": b"",
    "done": 0,
    "failed": 0,
    "updated_at": 7,
}


@pytest.mark.parametrize(
    ("progress", "code"),
    [
        (PROGRESS, 0),
        ({**PROGRESS, "total": 4}, 0),
        ({**PROGRESS, "completed": "1"}, 9),
        ({**PROGRESS, "metadata": None}, 9),
        ({"total": 4}, 9),
        ([], 9),
    ],
)
def test_progress_that_the_daemon_could_not_read_is_refused(progress: object, code: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(written(part("progress", msgpack.packb(progress)), description=MADE))
    ran = run("import", str(tmp_path / "file"), replies=HERE)
    assert ran.code == code
    assert ("checkpoint.save" in ran.daemon.methods()) is (code == 0)
