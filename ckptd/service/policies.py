"""Which rules a process has: its own, else those of the first policy of the configuration whose glob names it.

Also finds the figure that a rule goes by in the metadata of a checkpoint, which is otherwise the application's alone.
"""

import struct
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

import msgpack

from ckptclient.errors import BadRequest
from ckptclient.wire import params
from ckptd.core.retention import NO_RULES, Best, Rules
from ckptd.service.users import user_name
from ckptd.settings.tree import NamedPolicy, Retention

_TAG: Final = 1
_NUMPY_SCALAR: Final = b"1"
"""`docs/PAYLOAD.md`: an array that begins with the extension 1 of this byte is [tag, dtype, bytes]."""

_NUMBERS: Final = {"f2": "e", "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"}  # fmt: skip


def named(retention: Retention, uid: int, process_id: str) -> NamedPolicy | None:
    """The policy of the configuration that counts for a process."""
    for policy in retention.policies:
        if fnmatchcase(process_id, policy.glob) or fnmatchcase(f"{user_name(uid)}/{process_id}", policy.glob):
            return policy
    return None


def ttl_seconds(retention: Retention, uid: int, process_id: str) -> float | None:
    """What the configuration says of this process's checkpoints; None: nothing of its own."""
    policy = named(retention, uid, process_id)
    return policy.ttl_seconds if policy is not None else None


def rules_of(packed: bytes, retention: Retention, uid: int, process_id: str) -> Rules:
    """The rules in force for a process; `packed` is what it asked for when it was registered."""
    own = _own(msgpack.unpackb(packed)) if packed else NO_RULES
    if own.any:
        return own
    policy = named(retention, uid, process_id)
    if policy is None:
        return NO_RULES
    best = Best(policy.metric, policy.highest, policy.best_count) if policy.metric is not None else None
    return Rules(policy.last, policy.every, best)


def _own(asked: Mapping[str, object]) -> Rules:
    def count(name: str, default: int) -> int:
        found = asked.get(name)
        return found if isinstance(found, int) else default

    metric = asked.get("best_metric")
    best = None
    if isinstance(metric, str):
        best = Best(metric, bool(asked.get("best_highest")), count("best_count", 1))
    return Rules(count("keep_last", 0), count("keep_every", 0), best)


def check(policy: params.Policy | None) -> None:
    """BadRequest for rules that say nothing."""
    if policy is not None and policy.best_metric is None and (policy.best_highest or policy.best_count != 1):
        raise BadRequest("best_highest and best_count go with a metric", hint="say best_metric, too")


def metric_of(metadata: bytes, name: str) -> float | None:
    """The number at a key, else at a dotted path, of an application's metadata; None where there is none."""
    if not metadata:
        return None
    try:
        found: object = msgpack.unpackb(metadata, strict_map_key=False)
    except ValueError:
        return None
    if isinstance(found, dict) and name in found:
        return _number(found[name])
    for key in name.split("."):
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return _number(found)


def _number(found: object) -> float | None:
    if isinstance(found, int | float) and not isinstance(found, bool):
        return float(found)
    match found:
        case [msgpack.ExtType(code=code, data=data), str(dtype), bytes(raw)] if (code, data) == (_TAG, _NUMPY_SCALAR):
            return _unpacked(dtype, raw)
    return None


def _unpacked(dtype: str, raw: bytes) -> float | None:
    letter = _NUMBERS.get(dtype[1:])
    order = dtype[:1].replace("|", "<")
    if letter is None or order not in "<>" or struct.calcsize(f"={letter}") != len(raw):
        return None
    return float(struct.unpack(order + letter, raw)[0])
