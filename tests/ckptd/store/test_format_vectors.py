"""A store that an earlier release wrote stays readable, whole, and a daemon goes on with it.

Red while format 1 isn't released: the format has changed, and `python -m tests.format_vectors.store` makes the store anew.
Red after that: what users have on disk can't be read any more.
"""

import json
from pathlib import Path

import pytest

from ckptd.compose import open_offline
from ckptd.store.catalog.interface import Audit
from ckptd.store.catalog.sqlite.schema import FORMAT
from ckptd.store.encodings import ENCODINGS
from tests.ckptd.service.node import Node
from tests.ckptd.store.verify.planting import verified
from tests.format_vectors.store import HERE, content, extract

VERSIONS = range(1, FORMAT + 1)


@pytest.fixture(params=VERSIONS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    extract(request.param, tmp_path / "store")
    return tmp_path / "store"


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_is_read_as_it_was_written(version: int, tmp_path: Path) -> None:
    extract(version, tmp_path)
    assert content(tmp_path) == json.loads((HERE / f"store_v{version}.json").read_text())


def test_it_is_whole_and_has_something_of_each_encoding(store: Path) -> None:
    with open_offline(store) as opened:
        assert verified(opened) == []
        assert opened.reader.audit() == Audit()
        rows = [placed.row for pack in opened.reader.packs() for placed in opened.reader.placed(pack, 0, 9999)]
    assert {row.encoding for row in rows} == set(ENCODINGS)


async def test_a_daemon_goes_on_with_it(store: Path) -> None:
    node = await Node(store).start()
    worker = node.worker(103)
    registered = await worker.register("items")
    assert (registered["resumed"], registered["journal"]["done"]) == (True, 3)
    assert await worker.done(registered["token"]) == [0, 1, 2, 3]
    train = await worker.register("train")
    assert train["checkpoint"]["checkpoint_id"] == "train_model_state_4"
    assert (await worker.save(train["token"], b"more", type="model_state"))["checkpoint_id"] == "train_model_state_5"
    await node.inside.services.maintenance.clean()
    await node.stop()
