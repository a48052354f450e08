"""`verify` on a store without a daemon: damage is named with exit code 9, and nothing is written."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ckptd.ctl.program import program
from tests.ckptd.store.verify.planting import change, filled, pack_of, records_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("offline") / "store"
    asyncio.run(filled(path))
    return path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "store"))


def ckptctl(*words: str) -> Result:
    return CliRunner().invoke(program(), list(words))


@pytest.mark.parametrize("deep", [(), ("--deep",)])
def test_a_whole_store_is_verified(store: Path, deep: tuple[str, ...]) -> None:
    ran = ckptctl("verify", *deep, "--store", str(store), "--json")
    assert ran.exit_code == 0
    document = json.loads(ran.stdout)
    assert document["findings"] == []
    assert document["read_bytes"] == pack_of(store).stat().st_size - 152
    assert ckptctl("verify", "docs_custom_3", "--store", str(store)).exit_code == 0


def test_damage_is_named_with_exit_code_9_and_nothing_is_written(store: Path) -> None:
    def flip(data: bytearray) -> None:
        data[records_of(pack_of(store))[0].end - 1] ^= 1

    change(pack_of(store), flip)
    before = {one: one.stat().st_mtime_ns for one in store.rglob("*")}
    ran = ckptctl("verify", "--store", str(store), "--json")
    assert ran.exit_code == 9
    (finding,) = json.loads(ran.stdout)["findings"]
    hit = ["docs_custom_1", "docs_custom_2", "docs_custom_3"]
    assert [one["checkpoint_id"] for one in finding["checkpoints"]] == hit
    shown = ckptctl("verify", "--store", str(store))
    assert shown.exit_code == 9
    assert [one for one in hit if one not in shown.stdout] == []
    one = ckptctl("verify", "docs_custom_1", "--store", str(store))
    assert (one.exit_code, "docs_custom_1" in one.stderr or "part 'state' is damaged" in one.stderr) == (9, True)
    assert {one: one.stat().st_mtime_ns for one in store.rglob("*")} == before


def test_what_is_known_can_be_asked_without_a_daemon(store: Path) -> None:
    assert "✓ none known" in ckptctl("scrub", "--store", str(store)).stdout
    assert ckptctl("scrub", "start", "--store", str(store)).exit_code == 13
