"""The second reader: it sees what a daemon saved, and each thing that is planted."""

import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgpack
import numpy as np
import pytest

from ckptd.ctl.selftest.reading import read_store
from tests.ckptd.running import running

SMALL, LARGE = b"small", b"L" * 90_000
ARRAY = msgpack.packb({"kind": "array", "dtype": "<f4", "shape": [20_000]})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a small checkpoint, a large one, two versions of a document, one in the trash, and a record."""
    directory = tmp_path_factory.mktemp("saved")
    document = b"".join(b"line %d\n" % n for n in range(3000))
    with running(directory, "--set", "store.array_delta_depth=2") as daemon:
        client = daemon.client()
        token = client.mutate("process.register", process_id="job")["token"]
        for form, data in ((b"\x80", SMALL), (b"\x80", LARGE)):
            client.mutate("checkpoint.save", token=token, parts=[["state", form, data]])
        for more in (b"", b"one more line\n"):
            parts = [["state", b"\x81\xa4kind\xa8document", document + more]]
            client.mutate("checkpoint.save", token=token, parts=parts)
        drawn = np.random.default_rng(1)
        numbers = drawn.standard_normal(20_000, np.float32)
        for _ in range(2):
            client.mutate("checkpoint.save", token=token, parts=[["weights", ARRAY, numbers.tobytes()]])
            numbers += drawn.standard_normal(20_000, np.float32) * np.float32(1e-5)
        client.mutate("journal.append", token=token, records=[[0, -1, b"item", b"done"]])
        trashed = client.mutate("checkpoint.save", token=token, parts=[["state", b"\x80", b"unwanted"]])
        client.mutate("checkpoint.delete", checkpoint_id=trashed["checkpoint_id"])
        client.close()
        assert daemon.stop() == 0
    return directory / "store"


def copied(saved: Path, into: Path) -> Path:
    import shutil

    return Path(shutil.copytree(saved, into / "store"))


def test_it_sees_what_was_saved(saved: Path, tmp_path: Path) -> None:
    found, wrong = read_store(saved, tmp_path / "look")
    assert wrong == []
    by_name = {name.rpartition("_")[2]: one for name, one in found.checkpoints.items()}
    assert by_name["1"] == ("job", sha256(SMALL).hexdigest(), False)
    assert by_name["2"] == ("job", sha256(LARGE).hexdigest(), False)
    assert by_name["7"] == ("job", sha256(b"unwanted").hexdigest(), True)
    assert found.records == {"job": ["item"]}


def test_it_was_asked_to_decode_each_encoding_that_there_is(saved: Path) -> None:
    catalog = sqlite3.connect(saved / "catalog.db")
    found = {encoding for (encoding,) in catalog.execute("SELECT DISTINCT encoding FROM chunk")}
    catalog.close()
    assert found >= {1, 2, 3, 4}


def test_a_directory_without_a_catalog_holds_nothing(tmp_path: Path) -> None:
    assert read_store(tmp_path, tmp_path / "look")[0].checkpoints == {}


def in_catalog(sql: str) -> Callable[[Path], None]:
    def plant(store: Path) -> None:
        catalog = sqlite3.connect(store / "catalog.db")
        catalog.execute(sql)
        catalog.commit()
        catalog.close()

    return plant


def flipped(at: int) -> Callable[[Path], None]:
    def plant(store: Path) -> None:
        for path in (store / "packs").iterdir():
            data = bytearray(path.read_bytes())
            data[at] ^= 1
            path.write_bytes(data)

    return plant


def no_packs(store: Path) -> None:
    for path in (store / "packs").iterdir():
        path.unlink()


def torn_catalog(store: Path) -> None:
    path = store / "catalog.db"
    path.write_bytes(path.read_bytes()[:8192] + b"\xff" * 4096 + path.read_bytes()[12288:])


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (in_catalog("UPDATE checkpoint SET small=x'00' WHERE small IS NOT NULL"), "not what the manifest says"),
        (in_catalog("UPDATE checkpoint SET checksum=x'00'"), "its checksum"),
        (in_catalog("UPDATE chunk SET at=at+1"), "no record"),
        (in_catalog("UPDATE chunk SET id=randomblob(32)"), "another record"),
        (in_catalog("UPDATE chunk SET refs=0"), "references"),
        (in_catalog("UPDATE body SET refs=0"), "references"),
        (in_catalog("DELETE FROM chunk"), "no row"),
        (in_catalog("UPDATE store SET v=randomblob(32) WHERE k='chunk_key'"), "its id says"),
        (flipped(20), "no header"),
        (flipped(160), "no record"),
        (flipped(253), "another record"),
        (no_packs, "No such file"),
        (torn_catalog, "the catalog"),
    ],
)
def test_what_is_planted_is_found(saved: Path, tmp_path: Path, plant: Callable[[Path], None], says: str) -> None:
    store = copied(saved, tmp_path)
    plant(store)
    _, wrong = read_store(store, tmp_path / "look")
    assert any(says in one for one in wrong), wrong
