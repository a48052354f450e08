"""The import contracts of pyproject.toml: kept by the skeleton, and each broken by what it forbids."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.contracts import skeleton
from tests.contracts.tools import run

SETTINGS = tomllib.loads((skeleton.ROOT / "pyproject.toml").read_text())
ID_OF_NAME = {contract["name"]: contract["id"] for contract in SETTINGS["tool"]["importlinter"]["contracts"]}

# contract that must break | module | line planted there
FAULTS = [
    ("direction", "ckptd/store/committer", "from ckptd.service import checkpoints"),
    ("direction", "ckptd/service/maintenance", "from ckptd.rpc import dispatch"),
    ("direction", "ckptd/service/events", "def f():\n    from ckptd import config"),
    ("direction", "ckptd/core/quota", "from ckptd.store import durable"),
    ("direction", "ckptd/observe/metrics", "from ckptd.core import quota"),
    ("direction", "ckptd/rpc/methods", "from ckptd.loops import cleanup"),
    ("direction", "ckptd/settings", "from ckptd import config"),
    ("direction", "ckptd/settings", "from ckptd.core import quota"),
    ("direction", "ckptd/limits", "from ckptd import clock"),
    ("direction", "ckptd/sd", "from ckptd import daemon"),
    ("direction", "ckptd/web/page", "from ckptd import daemon"),
    ("direction", "ckptd/ctl/verbs", "from ckptd import cli"),
    ("direction", "ckptd/newroom", ""),
    ("client-direction", "ckptclient/sync", "from ckptclient import aio"),
    ("client-direction", "ckptclient/wire/messages", "from ckptclient import calls"),
    ("client-direction", "ckptclient/process", "from ckptclient import manager"),
    ("client-direction", "ckptclient/config", "from ckptclient import manager"),
    ("client-direction", "ckptclient/newroom", ""),
    ("store-direction", "ckptd/store/durable", "from ckptd.store import encodings"),
    ("store-direction", "ckptd/store/records", "from ckptd.store import verify"),
    ("store-direction", "ckptd/store/holds", "from ckptd.store import ingest"),
    ("store-direction", "ckptd/store/reader", "from ckptd.store import committer"),
    ("store-direction", "ckptd/store/catalog/interface", "from ckptd.store.chunks import interface as other"),
    ("store-direction", "ckptd/store/newroom", ""),
    ("core-pure", "ckptd/core/quota", "import time"),
    ("core-pure", "ckptd/core/lease", "from ckptd import clock"),
    ("core-pure", "ckptd/core/lease", "from ckptd.observe import metrics"),
    ("core-pure", "ckptd/core/manifest", "import msgpack"),
    ("core-pure", "ckptd/core/__init__", "import os"),
    ("core-pure", "ckptd/limits", "import logging"),
    (
        "core-pure",
        "ckptd/core/ids",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pathlib import Path",
    ),
    ("wire-pure", "ckptclient/wire/connection", "import socket"),
    ("wire-pure", "ckptclient/wire/frames", "import logging"),
    ("wire-pure", "ckptclient/wire/__init__", "import threading"),
    ("wire-pure", "ckptclient/errors", "import os"),
    ("wire-pure", "ckptclient/calls", "import time"),
    ("wire-pure", "ckptclient/flight", "from ckptclient import clock"),
    ("borrowed", "ckptd/loops/cleanup", "from ckptclient import sync"),
    ("borrowed", "ckptd/rpc/session", "from ckptclient import calls"),
    ("borrowed", "ckptd/service/checkpoints", "from ckptclient import payload"),
    ("borrowed", "ckptd/compose", "from ckptclient import config"),
    ("wire-owner", "ckptd/service/events", "from ckptclient.wire import messages"),
    ("wire-owner", "ckptd/store/ingest", "from ckptclient.wire import params"),
    ("wire-owner", "ckptd/limits", "from ckptclient.wire import limits as wire_limits"),
    ("wire-owner", "ckptd/ctl/verbs", "from ckptclient.wire import frames"),
    ("client-alone", "ckptclient/errors", "from ckptd import errors"),
    ("client-alone", "ckptclient/__init__", "from ckptd import errors"),
    ("client-alone", "ckptclient/manager", "import zstandard"),
    ("backends", "ckptd/store/chunks/packs", "from ckptd.store.chunks import memory"),
    ("backends", "ckptd/store/committer", "from ckptd.store.chunks import packs"),
    ("backends", "ckptd/ctl/offline", "from ckptd.store.catalog import sqlite"),
    ("backends", "ckptd/store/catalog/__init__", "from ckptd.store.catalog import sqlite"),
    ("tools-outside", "ckptd/ctl/verbs", "from ckptd.rpc import methods"),
    ("tools-outside", "ckptd/web/page", "from ckptd.loops import cleanup"),
    ("web-is-a-client", "ckptd/web/page", "from ckptd.store import committer"),
    ("rooms-sqlite", "ckptd/service/maintenance", "import sqlite3"),
    ("rooms-sqlite", "ckptd/store/catalog/interface", "import apsw"),
    ("rooms-log", "ckptd/service/events", "import structlog"),
    ("rooms-log", "ckptd/rpc/session", "import logging"),
    ("rooms-zstd", "ckptd/store/chunks/packs", "from backports import zstd"),
    ("rooms-terminal", "ckptd/cli", "import click"),
    ("no-cycles", "ckptd/core/ids", "from ckptd.core import manifest"),
    ("no-cycles", "ckptclient/wire/limits", "from ckptclient.wire import frames"),
    ("no-cycles", "ckptd/store/catalog/interface", "def f():\n    from ckptd.store.catalog import memory"),
]


def states(folder: Path, planted: Mapping[str, str]) -> dict[str, str]:
    """Lint the skeleton with `planted` in it; each contract's id with KEPT or BROKEN."""
    skeleton.write(folder, planted)
    result = run(folder, "lint-imports", "--no-cache", "--no-logo")
    report = re.sub(r"\s+", " ", result.stdout + result.stderr)
    found = {
        contract: match[1]
        for name, contract in ID_OF_NAME.items()
        if (match := re.search(re.escape(name) + r" (KEPT|BROKEN)", report))
    }
    assert found.keys() == set(ID_OF_NAME.values()), report
    assert (result.returncode != 0) == ("BROKEN" in found.values()), report
    return found


def test_the_skeleton_keeps_every_contract(tmp_path: Path) -> None:
    assert set(states(tmp_path, {}).values()) == {"KEPT"}


@pytest.mark.parametrize(("contract", "module", "line"), FAULTS)
def test_a_fault_breaks_its_contract(contract: str, module: str, line: str, tmp_path: Path) -> None:
    assert states(tmp_path, {module: line})[contract] == "BROKEN"


def test_every_contract_has_a_fault() -> None:
    assert {contract for contract, _, _ in FAULTS} == set(ID_OF_NAME.values())
