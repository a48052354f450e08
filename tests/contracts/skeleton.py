"""A scratch project in the shape of this one: what the import rules allow, in as few modules as show it."""

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]

RIGHT: Mapping[str, str] = {
    # the client, bottom up
    "ckptclient/__init__": "",
    "ckptclient/errors": "",
    "ckptclient/clock": "import time",
    "ckptclient/version": "",
    "ckptclient/config": "from ckptclient import errors",
    "ckptclient/wire/__init__": "",
    "ckptclient/wire/limits": "",
    "ckptclient/wire/params": "from ckptclient.wire import limits",
    "ckptclient/wire/frames": "import struct\nimport msgpack\nfrom ckptclient.wire import limits",
    "ckptclient/wire/messages": "import msgpack\nfrom ckptclient import errors",
    "ckptclient/wire/connection": "import enum\nfrom ckptclient.wire import frames, messages",
    "ckptclient/results": "from ckptclient import errors",
    "ckptclient/calls": "from ckptclient import results\nfrom ckptclient.wire import messages, params",
    "ckptclient/flight": "from ckptclient import calls\nfrom ckptclient.wire import limits",
    "ckptclient/payload": "import pickle\nimport msgpack",
    "ckptclient/link": "import socket\nfrom ckptclient import flight\nfrom ckptclient.wire import connection",
    "ckptclient/discovery": "import os\nimport subprocess",
    "ckptclient/staging": "import mmap\nimport os",
    "ckptclient/sync": "import socket\nfrom ckptclient import clock, discovery, link, staging",
    "ckptclient/aio": "import asyncio\nfrom ckptclient import clock, discovery, link, staging",
    "ckptclient/process": "from ckptclient import aio, payload, sync",
    "ckptclient/manager": "from ckptclient import config, process",
    "ckptclient/monitor": "from ckptclient import manager",
    # the daemon, bottom up
    "ckptd/__init__": "",
    "ckptd/errors": "from ckptclient import version\nfrom ckptclient.errors import *",
    "ckptd/limits": "",
    "ckptd/units": "import re",
    "ckptd/sd": "import array\nimport socket",
    "ckptd/clock": "import asyncio\nimport time",
    "ckptd/settings": "from ckptd import units",
    "ckptd/observe/__init__": "",
    "ckptd/observe/log": "import logging\nimport structlog\nfrom ckptd import clock",
    "ckptd/observe/metrics": "from ckptd import limits",
    "ckptd/core/__init__": "",
    "ckptd/core/ids": "from typing import NewType",
    "ckptd/core/manifest": "import hashlib\nfrom ckptd.core import ids",
    "ckptd/core/lease": "from ckptd import errors, limits\nfrom ckptd.core import ids",
    "ckptd/core/change": "from ckptd.core import ids, manifest",
    "ckptd/core/quota": "from ckptd import limits",
    "ckptd/store/__init__": "",
    "ckptd/store/durable": "import os\nfrom ckptd import errors",
    "ckptd/store/chunking": "from ckptd import limits",
    "ckptd/store/encodings": "import zstandard",
    "ckptd/store/records": "import struct\nfrom ckptd.store import chunking",
    "ckptd/store/catalog/__init__": "",
    "ckptd/store/catalog/interface": "from ckptd.core import ids, manifest",
    "ckptd/store/catalog/sqlite": "import apsw\nfrom ckptd.store.catalog import interface",
    "ckptd/store/catalog/memory": "from ckptd.store.catalog import interface",
    "ckptd/store/chunks/__init__": "",
    "ckptd/store/chunks/interface": "from ckptd.core import ids",
    "ckptd/store/chunks/packs": "from ckptd.store import durable, records\nfrom ckptd.store.chunks import interface",
    "ckptd/store/chunks/memory": "from ckptd.store.chunks import interface",
    "ckptd/store/staging": "import os",
    "ckptd/store/holds": "from ckptd.store.chunks import interface",
    "ckptd/store/prepared": "from ckptd.store import encodings, holds, records",
    "ckptd/store/ingest": "from ckptd.core import manifest\nfrom ckptd.store import chunking, encodings, prepared, staging",
    "ckptd/store/committer": "import threading\nfrom ckptd.core import change, lease\nfrom ckptd.store import holds\n"
    "from ckptd.store.catalog import interface as catalog\nfrom ckptd.store.chunks import interface as chunks",
    "ckptd/store/reader": "from ckptd.store import encodings\nfrom ckptd.store.catalog import interface",
    "ckptd/store/verify": "from ckptd.store import reader, records",
    "ckptd/service/__init__": "",
    "ckptd/service/events": "",
    "ckptd/service/checkpoints": "from ckptclient.wire import params\nfrom ckptd.core import change, quota\nfrom ckptd.observe import metrics\n"
    "from ckptd.service import events\nfrom ckptd.store import committer, ingest, reader",
    "ckptd/service/maintenance": "from ckptd.store import committer",
    "ckptd/rpc/__init__": "",
    "ckptd/rpc/methods": "from ckptclient.wire import params\nfrom ckptd.service import checkpoints",
    "ckptd/rpc/dispatch": "from ckptclient.wire import messages\nfrom ckptd.rpc import methods",
    "ckptd/rpc/session": "import socket\nfrom ckptclient.wire import connection\nfrom ckptd import settings\nfrom ckptd.rpc import dispatch",
    "ckptd/loops/__init__": "",
    "ckptd/loops/cleanup": "from ckptd import clock\nfrom ckptd.service import maintenance",
    "ckptd/config": "import tomllib\nfrom ckptd import settings\nfrom ckptd.core import quota",
    "ckptd/compose": "from ckptd import config\nfrom ckptd.loops import cleanup\nfrom ckptd.rpc import session\n"
    "from ckptd.store.catalog import memory as m1, sqlite\nfrom ckptd.store.chunks import memory as m2, packs",
    "ckptd/daemon": "import uvloop\nfrom ckptd import compose, sd\nfrom ckptd.observe import log",
    "ckptd/cli": "import argparse\nfrom ckptd import config, daemon",
    "ckptd/__main__": "from ckptd import cli",
    "ckptd/ctl/__init__": "",
    "ckptd/ctl/verbs": "import click\nfrom ckptclient import payload, sync",
    "ckptd/ctl/offline": "from ckptd import compose, config\nfrom ckptd.store import verify",
    "ckptd/ctl/debug": "from ckptclient.wire import frames",
    "ckptd/web/__init__": "",
    "ckptd/web/page": "from ckptclient import aio",
}


def write(folder: Path, planted: Mapping[str, str]) -> None:
    """Write the skeleton, with the project's settings and the planted lines added, into `folder`."""
    for module in RIGHT.keys() | planted.keys():
        path = folder / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join((f'"""{module}."""', RIGHT.get(module, ""), planted.get(module, ""), "")))
    (folder / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
