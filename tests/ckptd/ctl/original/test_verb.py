"""`import-original` against a real daemon: every record is imported or reported, and saying it again changes nothing."""

import json
import os
import pickle  # noqa: TID251  (what is to be read)
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typing_extensions import override

from ckptclient import CheckpointType
from tests.ckptd.ctl.fakes import run
from tests.ckptd.ctl.original.stores import UNLOCKABLE, OriginalStore, original_classes, state
from tests.daemon import RunningDaemon

pytestmark = pytest.mark.skipif(bool(UNLOCKABLE), reason=f"no process can be locked in here: {UNLOCKABLE}")

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("CKPTD_", "CHECKPOINT_"))}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    (tmp_path / "node").mkdir()
    made = RunningDaemon(tmp_path / "node", {})
    made.start()
    yield made
    made.close()


@pytest.fixture
def old(tmp_path: Path) -> OriginalStore:
    return OriginalStore(tmp_path / "old")


def imported(daemon: RunningDaemon, old: OriginalStore, *words: str, code: int = 0) -> dict[str, Any]:
    command = [sys.executable, "-m", "ckptd.ctl", "import-original", str(old.path), "--allow-pickle", "--json", *words]
    command += ["--socket", str(daemon.socket)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRON, timeout=120)
    assert ran.returncode == code, ran.stderr
    document: dict[str, Any] = json.loads(ran.stdout or ran.stderr)
    return document


def outcomes(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["checkpoint_id"], one["outcome"]) for one in document["records"]]


def test_a_store_is_imported_as_programs_of_the_original_find_it(daemon: RunningDaemon, old: OriginalStore) -> None:
    with original_classes():
        old.save(
            state(completed=40),
            checkpoint_type="processing_state",
            checkpoint_id="etl_processing_state_1_aa",
            description="at 40",
        )
        old.save(
            state(completed=60),
            checkpoint_type="processing_state",
            checkpoint_id="etl_processing_state_2_bb",
            compression=False,
        )
    large = np.arange(200_000, dtype="<f8")
    old.save(
        {"weights": large, "tags": ("a",)},
        checkpoint_type="model_state",
        process_id="train",
        checkpoint_id="train_model_state_3_cc",
        dependencies='["etl_processing_state_1_aa", "gone"]',
    )
    document = imported(daemon, old)
    assert (document["imported_count"], document["skipped_count"]) == (3, 0)
    manager = daemon.manager()
    metadata, data = manager.storage.load_checkpoint("train_model_state_3_cc")
    assert (metadata.checkpoint_type, metadata.tags, metadata.dependencies) == (
        CheckpointType.MODEL_STATE,
        ["old"],
        ["etl_processing_state_1_aa"],
    )
    assert (data["weights"].tolist(), data["tags"]) == (large.tolist(), ("a",))
    metadata, data = manager.storage.load_checkpoint("etl_processing_state_1_aa")
    assert (metadata.description, data["completed_steps"], metadata.created_at.isoformat()) == (
        "at 40",
        40,
        "2025-06-15T12:01:00+00:00",
    )
    found = manager.recover_process("etl")
    assert found is not None
    assert (found.completed_steps, found.total_steps, found.current_step, found.metadata) == (
        60,
        100,
        "batch 60",
        {"loss": 0.5},
    )


def test_said_again_it_goes_on_where_it_was(daemon: RunningDaemon, old: OriginalStore) -> None:
    first = old.save({"n": 1})
    imported(daemon, old)
    second = old.save({"n": 2})
    assert outcomes(imported(daemon, old)) == [(first, "there"), (second, "imported")]


def test_nothing_is_done_in_a_dry_run_or_to_the_store(daemon: RunningDaemon, old: OriginalStore) -> None:
    name = old.save({"n": 1})
    before = {path: path.read_bytes() for path in old.path.rglob("*") if path.is_file()}
    assert outcomes(imported(daemon, old, "--dry-run")) == [(name, "imported")]
    assert outcomes(imported(daemon, old)) == [(name, "imported")]
    assert {path: path.read_bytes() for path in old.path.rglob("*") if path.is_file()} == before


class Hostile:
    @override
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/import-original-was-run",)


def test_each_record_that_can_not_be_had_is_said(daemon: RunningDaemon, old: OriginalStore) -> None:
    good = old.save({"n": 1})
    wrong = {
        old.save({}, checksum="0" * 64): "the checksum differs",
        old.save({}, status="expired"): "it had expired",
        old.save({}, encryption=1): "encrypted",
        old.save({}, created_at="yesterday"): "its row can't be read",
        old.save({}, tags="{]"): "its row can't be read",
        old.save({}, checkpoint_type="nonsense"): "type",
        old.save(None, pickled=b"garbage"): "pickle",
        old.save(object()): "which is no plain data",
        old.save({}, file_path="/etc/passwd"): "No such file",
        old.save({}, file_path=None): "can't be read",
    }
    link = old.save({})
    path = old.path / "data" / f"{link}.pkl.gz"
    path.rename(old.path / "elsewhere")
    path.symlink_to(old.path / "elsewhere")
    wrong[link] = "can't be read"
    document = imported(daemon, old, code=3)
    reasons = {one["checkpoint_id"]: one["why"] or "" for one in document["records"]}
    assert document["imported_count"] == 1
    assert reasons[good] == ""
    assert {name: words for name, words in wrong.items() if words not in reasons[name]} == {}


def test_a_hostile_pickle_runs_nothing(daemon: RunningDaemon, old: OriginalStore) -> None:
    name = old.save(None, pickled=pickle.dumps({"a": Hostile()}))
    document = imported(daemon, old)
    assert outcomes(document) == [(name, "imported")]
    assert not Path("/tmp/import-original-was-run").exists()
    _, data = daemon.manager().storage.load_checkpoint(name)
    assert data == {"a": "touch /tmp/import-original-was-run"}


def test_a_process_that_works_here_is_left_alone(daemon: RunningDaemon, old: OriginalStore) -> None:
    daemon.manager().register_process("etl", "nightly", 10)
    old.save({"n": 1})
    document = imported(daemon, old, code=3)
    assert "a worker has had process etl here" in document["records"][0]["why"]


def test_pickles_are_read_only_where_that_is_said(old: OriginalStore) -> None:
    ran = run("import-original", str(old.path))
    assert (ran.code, ran.out, ran.daemon.asked) == (2, "", [])
    assert "--allow-pickle" in ran.err


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: None, 10),
        (lambda path: (path / "checkpoints.db").write_text("no database at all"), 9),
        (lambda path: (path / "checkpoints.db").write_bytes(b""), 9),
    ],
)
def test_a_directory_that_is_no_such_store_is_refused(make: Any, code: int, tmp_path: Path) -> None:
    make(tmp_path)
    ran = run("import-original", str(tmp_path), "--allow-pickle")
    assert (ran.code, ran.out, ran.daemon.asked) == (code, "", [])


def test_an_empty_store_is_said(old: OriginalStore) -> None:
    assert run("import-original", str(old.path), "--allow-pickle").out == "the store has no checkpoint\n"
