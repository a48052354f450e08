"""Replies of a daemon as they cross the wire, one set for all tests and for the examples of the JSON contract."""

from collections.abc import Mapping
from typing import Any

import msgpack

from ckptclient.errors import UnknownCheckpoint
from ckptclient.payload import encode_value
from tests.fakes import EPOCH

NOW = EPOCH
SECOND = 1_000_000
HOUR = 3600 * SECOND

Map = dict[str, object]


def progress(**more: object) -> Map:
    return {
        "total": 1000, "completed": 839, "step": "parse", "batch": None, "metadata": encode_value({"loss": 0.25}),
        "done": 836, "failed": 3, "percent": 83.9, "updated_at": NOW - 2 * SECOND, "eta": NOW + HOUR, "per_second": 0.045,
        **more,
    }  # fmt: skip


def checkpoint(**more: object) -> Map:
    return {
        "checkpoint_id": "etl-nightly_processing_state_7", "process_id": "etl-nightly", "user": "anna",
        "task_id": "nightly", "seq": 7, "epoch": 3, "type": "processing_state", "status": "active",
        "created_at": NOW - 400 * SECOND, "expires_at": NOW + 23 * HOUR, "pinned": False, "size_bytes": 1_400_000,
        "stored_bytes": 90_000, "has_state": True, "journal_position": 839, "schema_version": 0, "checksum": bytes(range(32)),
        "description": "epoch end", "tags": ["nightly"], "metadata": b"", "depends": [], "attempts": 0, "proven_at": None,
        **more,
    }  # fmt: skip


def process(**more: object) -> Map:
    return {
        "process_id": "etl-nightly", "user": "anna", "uid": 1001, "task_id": "nightly", "description": "the nightly load",
        "state": "running", "mode": "items", "epoch": 3, "progress": progress(),
        "holder": {"pid": 8812, "alive": True, "since": NOW - 2 * HOUR}, "checkpoints": 7, "last_checkpoint": checkpoint(),
        "registered_at": NOW - 2 * HOUR, "ended_at": None, "deaths": 1,
        "journal": {"position": 839, "done": 836, "failed": 3}, "proven_at": NOW - HOUR, "proven_seq": 6,
        **more,
    }  # fmt: skip


INTERRUPTED = process(
    process_id="crawl-eu", user="bob", uid=1002, state="interrupted", holder=None, deaths=2, ended_at=NOW - 41 * SECOND,
    progress=progress(percent=None, total=None, eta=None, per_second=None, step="fetch\x1b[31m"),
)  # fmt: skip

STATE = [("state", {"kind": "document", "encoding": "msgpack"}, encode_value({"n": 7, "seen": (1, 2)}))]
FILES = [
    ("notes.txt", {"kind": "file"}, b"hello\n"),
    ("state/0", {"kind": "bytes", "type": "bytes"}, b"\x00\xff" * 10),
]


def parts(of: list[tuple[str, dict[str, str], bytes]]) -> list[list[object]]:
    return [[name, msgpack.packb(form), len(data), None] for name, form, data in of]


RECORDS = [
    [0, 0, 0, encode_value("a.py"), encode_value({"lines": 17}), NOW - 3 * SECOND],
    [1, 1, 1, encode_value("b.py"), encode_value("SyntaxError: line 3"), NOW - 2 * SECOND],
    [2, 0, -1, encode_value(("key", 2)), None, NOW - SECOND],
]

EVENTS: list[list[Any]] = [
    [11, NOW - 60 * SECOND, "registered", "etl-nightly", "anna", {"pid": 8812}],
    [12, NOW - 41 * SECOND, "interrupted", "crawl-eu", "bob", {"pid": 901, "how": "SIGKILL"}],
]


def events_since(packed: Mapping[str, object]) -> Map:
    """As the daemon: those behind a number, and the newest number there is."""
    since = packed.get("since", -1)
    assert isinstance(since, int)
    return {"events": [event for event in EVENTS if event[0] > since], "last": max(12, since)}


def cleaned(packed: Mapping[str, object]) -> Map:
    """What a cleanup did, or would do."""
    if not packed.get("dry_run"):
        return {"expired": 4, "purged": 9, "freed_bytes": 18_000_000, "waits": [], "endings": []}
    ending = ["etl-nightly_processing_state_7", "anna", "superseded", 1_400_000, 90_000]
    return {"expired": 1, "purged": 0, "freed_bytes": 90_000, "waits": [], "endings": [ending]}


STATUS: Mapping[str, object] = {
    "version": "0.1.0", "pid": 4321, "uptime_seconds": 93_784.5, "store_path": "/var/lib/ckptd", "lineage": bytes(16),
    "read_only": None, "connections": 12, "processes": {"running": 1, "interrupted": 1}, "checkpoints": 214,
    "limit_bytes": 10_000_000_000, "used_bytes": 6_100_000_000, "free_bytes": 84_000_000_000,
    "commits": {"commits": 12_000}, "last_cleanup": NOW - HOUR, "damaged": 0,
}  # fmt: skip

WELCOME: Mapping[str, object] = {
    "version": 1, "server": "ckptd 0.1.0", "lineage": bytes(16), "role": "operator", "uid": 0,
    "limits": {"frame_bytes_max": 1 << 20, "requests_max": 64}, "pid": 4321,
}  # fmt: skip

SAVED: Map = {
    "checkpoint_id": "backup_custom_1", "seq": 1, "created_at": NOW, "expires_at": NOW + 24 * HOUR, "level": "disk", "due": None,
}  # fmt: skip


def get(packed: Mapping[str, object]) -> object:
    """Every checkpoint is there, but those that an import would make."""
    name = packed["checkpoint_id"]
    if isinstance(name, str) and "_imported_" in name:
        return UnknownCheckpoint(f"no checkpoint {name}", details={"what": "checkpoint"})
    return {**checkpoint(), "parts": parts(STATE + FILES)}


HEALTH: Map = {
    "at": NOW, "score": 92, "level": "healthy",
    "components": [
        {"name": "rpo", "value": 400.0, "unit": "seconds", "threshold": 300.0, "severe": 900.0, "weight": 20, "points": 8,
         "sentence": "etl-nightly saved 400 s ago, and 300 s is its target", "processes": ["anna/etl-nightly"]},
        {"name": "space", "value": 0.39, "unit": "share", "threshold": 0.1, "severe": 0.02, "weight": 20, "points": 0,
         "sentence": "39 % of the store is free", "processes": []},
    ],
    "trends": [
        {"name": "left_bytes", "now": 3.9e9, "change": -1e8, "span_seconds": 86_340.0, "per_day": -1.2e8, "seconds_until_zero": None},
    ],
    "recommendations": [
        {"component": "rpo", "process": "anna/etl-nightly", "command": "ckptctl show etl-nightly", "why": "no save for 400 s", "gain": "8 points"},
    ],
}  # fmt: skip

PROVEN: Map = {
    "process_id": "etl-nightly", "user": "anna", "checkpoint_id": "etl-nightly_processing_state_7", "seq": 7, "proven_at": NOW,
    "size_bytes": 1_400_000, "seconds": 0.02, "damaged": [],
}  # fmt: skip


def verified(packed: Mapping[str, object]) -> Map:
    """The catalog first, and then one pack."""
    last = bool(packed.get("place"))
    return {
        "stage": "packs" if last else "catalog", "findings": [], "read_bytes": 4_399_255 if last else 0,
        "total_bytes": 4_399_407, "next": None if last else [4, 0, 0],
    }  # fmt: skip


HIT = ["anna", "etl-nightly", "etl-nightly_processing_state_7"]
DAMAGE: Map = {
    "paused": False, "oldest_at": NOW, "listed_at": NOW, "period_seconds": 2_592_000.0, "faults": 0,
    "damage": [["4e414d452e4e414d452e4e414d452e21.pack", 152, 200_100, "its stored bytes aren't those that were written", NOW]],
    "checkpoints": [HIT],
}  # fmt: skip

REPLIES: Mapping[str, object] = {
    "ping": {"now": NOW},
    "process.list": {"processes": [INTERRUPTED, process()], "next": None},
    "process.show": process(),
    "process.fence": {"epoch": 4},
    "process.prove": PROVEN,
    "process.stop": {"asked": True},
    "journal.read": {"records": RECORDS, "next": None},
    "checkpoint.list": {"checkpoints": [checkpoint()], "next": None},
    "checkpoint.get": get,
    "checkpoint.save": SAVED,
    "checkpoint.delete": {"deleted": True},
    "checkpoint.archive": {"archived": True, "checkpoint_id": "etl-nightly_processing_state_7"},
    "checkpoint.unarchive": {"archived": False, "checkpoint_id": "etl-nightly_processing_state_7"},
    "checkpoint.pin": {"pinned": True},
    "checkpoint.unpin": {"pinned": False},
    "checkpoint.revive": {
        "revived": True,
        "checkpoint_id": "etl-nightly_processing_state_7",
        "expires_at": NOW + 24 * HOUR,
    },
    "upload.open": {"upload": 5},
    "part.write": {},
    "store.status": STATUS,
    "store.cleanup": cleaned,
    "store.verify": verified,
    "store.damage": DAMAGE,
    "store.scrub": {"paused": True},
    "backup.begin": {"backup": 1},
    "backup.end": {"held": True},
    "health.report": HEALTH,
    "config.show": {
        "settings": [["store.path", "/srv/ckptd", "/etc/ckptd/ckptd.toml line 4"], ["log.level", "info", "default"]]
    },
    "config.reload": {"changed": ["log.level"], "restart": ["store.path"]},
    "events.read": events_since,
}
"""By method: a map, an error to raise, or a function of the parameters to either."""
