"""`export`: what the file holds, and that it is there whole or not at all."""

from pathlib import Path

import msgpack
import pytest

from ckptclient.errors import Damaged, Unreachable
from ckptd.ctl.exporting import PROGRESS_PART
from ckptd.store.export import Placed
from tests.ckptd.ctl import canned
from tests.ckptd.ctl.fakes import no_checkpoint, run


def test_the_file_has_the_checkpoint(tmp_path: Path) -> None:
    ran = run("export", "etl-nightly@7", str(tmp_path / "file"))
    assert ran.code == 0
    assert ran.out.startswith(f"exported etl-nightly_processing_state_7 to {tmp_path}/file: 41 B in ")
    with (tmp_path / "file").open("rb") as file:
        placed = Placed(file)
        said = placed.description
        assert (said.process_id, said.seq, said.user, said.tags, said.exported_at) == (
            "etl-nightly",
            7,
            "anna",
            ("nightly",),
            canned.NOW,
        )
        assert {part.name: placed.read(index, 0, 100) for index, part in enumerate(placed.parts)} == {
            name: data for name, _, data in canned.STATE + canned.FILES
        }  # fmt: skip
    assert {asked["checkpoint_id"] for method, asked in ran.daemon.asked if method == "checkpoint.read"} == {
        "anna/etl-nightly@7"
    }


def test_progress_stands_in_the_description_too(tmp_path: Path) -> None:
    progress = [PROGRESS_PART, msgpack.packb({"kind": "progress"}), 1, None]
    replies = {"checkpoint.get": {**canned.checkpoint(), "parts": [progress]}, "checkpoint.read": {"data": b"\x80"}}
    run("export", "etl-nightly@7", str(tmp_path / "file"), replies=replies)
    with (tmp_path / "file").open("rb") as file:
        assert Placed(file).description.progress == b"\x80"


@pytest.mark.parametrize(("force", "code"), [((), 6), (("--force",), 0)])
def test_a_file_is_overwritten_only_when_told(force: tuple[str, ...], code: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    ran = run("export", "etl-nightly@7", str(tmp_path / "file"), *force)
    assert ran.code == code
    assert ((tmp_path / "file").read_bytes() == b"mine") is (code != 0)


@pytest.mark.parametrize(("error", "code"), [(Damaged("a chunk is damaged"), 9), (Unreachable("no daemon answers"), 7)])
def test_what_fails_half_way_leaves_what_was_there(error: Exception, code: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    ran = run("export", "etl-nightly@7", str(tmp_path / "file"), "--force", replies={"checkpoint.read": error})
    assert (ran.code, ran.out) == (code, "")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("file", ["nowhere/file", "."])
def test_a_place_that_can_not_be_written_is_said(file: str, tmp_path: Path) -> None:
    ran = run("export", "etl-nightly@7", str(tmp_path / file))
    assert (ran.code, ran.out) == (6 if file == "." else 2, "")


def test_a_checkpoint_without_a_state_is_named_with_the_one_that_has_it(tmp_path: Path) -> None:
    replies = {
        "checkpoint.get": {**canned.checkpoint(has_state=False), "parts": []},
        "checkpoint.list": {
            "checkpoints": [canned.checkpoint(has_state=False), canned.checkpoint(seq=5)],
            "next": None,
        },
    }
    ran = run("export", "etl-nightly@7", str(tmp_path / "file"), replies=replies)
    assert (ran.code, ran.err) == (0, "it holds progress alone, not the application's state; etl-nightly@5 has that\n")


def test_a_missing_checkpoint_makes_no_file(tmp_path: Path) -> None:
    replies = {"checkpoint.get": no_checkpoint("nix")}
    assert run("export", "nix", str(tmp_path / "file"), replies=replies).code == 4
    assert list(tmp_path.iterdir()) == []
