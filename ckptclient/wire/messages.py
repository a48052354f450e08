"""Bodies to messages and back; owns the terms *request*, *reply* and *notification*.

A body is one MessagePack array whose first element says which: `[0, id, method, params]`, `[1, id, error, result]`,
`[2, method, params]`. Here the shape is checked and every length bounded; parameters are checked by the class of
their method (`params`), because a wrong one deserves an answer and not the end of the connection.
"""

from collections.abc import Mapping
from itertools import chain
from typing import NoReturn, TypeAlias, TypeGuard, cast

import msgpack

from ckptclient.errors import BadRequest, CkptdError, ProtocolError, from_wire
from ckptclient.wire import limits
from ckptclient.wire.frames import encode

WireError: TypeAlias = Mapping[str, object]
"""An error as it crosses: code, message, hint (or nil), retryable, details."""

REQUEST, REPLY, NOTIFICATION = 0, 1, 2


class _Said:
    """A message: its fields are its slots, compared by value. Written to once, when it is made."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(getattr(self, one) == getattr(other, one) for one in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # what it holds has none

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{one}={getattr(self, one)!r}' for one in self.__slots__)})"


class Request(_Said):
    """A call: answered by one reply with the same id. `params` is a map where the sender keeps to the protocol."""

    __slots__ = ("id", "method", "params")

    def __init__(self, id: int, method: str, params: object) -> None:
        self.id = id
        self.method = method
        self.params = params


class Reply(_Said):
    """The answer to the request of this id: an error, or a result (a map)."""

    __slots__ = ("error", "id", "result")

    def __init__(self, id: int, error: WireError | None, result: object) -> None:
        self.id = id
        self.error = error
        self.result = result


class Notification(_Said):
    """Said by the daemon without being asked; never answered."""

    __slots__ = ("method", "params")

    def __init__(self, method: str, params: object) -> None:
        self.method = method
        self.params = params


Message: TypeAlias = Request | Reply | Notification


def pack(message: Message, frame_bytes_max: int = limits.frame_bytes_max) -> bytes:
    """A message as a whole frame; raises `BadRequest`, having sent nothing, where it fits no frame or can't be packed."""
    if type(message) is Request:
        value: list[object] = [REQUEST, message.id, message.method, message.params]
    elif type(message) is Reply:
        value = [REPLY, message.id, message.error, message.result]
    else:
        assert type(message) is Notification
        value = [NOTIFICATION, message.method, message.params]
    try:
        body = msgpack.packb(value)
    except (ValueError, TypeError, OverflowError) as reason:
        raise BadRequest("the message has a value that can't be packed", hint=f"the reason given: {reason}") from reason
    if len(body) > frame_bytes_max:
        raise BadRequest(
            f"the message has {len(body)} bytes and a frame holds {frame_bytes_max}",
            hint="send large parts in pieces (part.write) and records in smaller batches",
        )
    return encode(body)


def parse(body: bytes) -> Message:
    """The message in a complete body; raises `ProtocolError`, and nothing else, where it is none."""
    value = _unpacked(body)
    # `False` equals 0 and `1.0` equals 1: neither is the integer that the protocol means.
    kind = value[0] if value and type(value[0]) is int else None
    size = len(value)
    if kind == REQUEST and size == 4 and _is_id(value[1]) and _is_method(value[2]):
        return Request(value[1], value[2], value[3])
    if kind == REPLY and size == 4 and _is_id(value[1]):
        return Reply(value[1], _error(value[2]), _result(value[2], value[3]))
    if kind == NOTIFICATION and size == 3 and _is_method(value[1]) and type(value[2]) is dict:
        return Notification(value[1], value[2])
    _refuse("the body is no request, reply or notification")


def error_to_wire(error: CkptdError) -> dict[str, object]:
    """An error as its map. No class name and no traceback crosses."""
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
        "details": dict(error.details),
    }


def error_from_wire(error: WireError) -> CkptdError:
    """The error in the map of a parsed reply."""
    return from_wire(
        cast("str", error["code"]),
        cast("str", error["message"]),
        cast("str | None", error["hint"]),
        cast("Mapping[str, object]", error["details"]),
    )


def _unpacked(body: bytes) -> list[object]:
    try:
        value: object = msgpack.unpackb(
            body,
            raw=False,
            strict_map_key=True,
            max_array_len=limits.elements_count_max,
            max_map_len=limits.elements_count_max,
            max_ext_len=0,
            ext_hook=_no_extension,
        )
    # RecursionError comes from the pure Python fallback alone; the rest of what it raises are ValueErrors too.
    except (ValueError, RecursionError) as reason:
        _refuse("the body is not one MessagePack value within the limits", str(reason))
    if type(value) is not list:
        _refuse("the body is no array")
    if _may_be_deep(body) and _too_deep(value):
        _refuse("the body is nested too deeply", f"accepted: {limits.message_depth_max} levels")
    return value


_CONTAINERS = frozenset((list, dict))
_OPENERS = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
"""The bytes that can open a map or an array."""


def _may_be_deep(body: bytes) -> bool:
    # Counting runs in C and spares a small body the walk; a large one is as quickly walked as counted.
    return len(body) > 4096 or len(body) - len(body.translate(None, _OPENERS)) > limits.message_depth_max


def _too_deep(value: list[object]) -> bool:
    level: list[object] = [value]
    for _ in range(limits.message_depth_max):
        within = [one.values() if type(one) is dict else cast("list[object]", one) for one in level]
        level = [one for one in chain.from_iterable(within) if type(one) in _CONTAINERS]
        if not level:
            return False
    return True


def _is_id(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= limits.message_id_max


def _is_method(value: object) -> TypeGuard[str]:
    return type(value) is str and 0 < len(value) <= limits.method_bytes_max and value.isascii()


def _error(raw: object) -> WireError | None:
    if raw is None:
        return None
    if type(raw) is dict:
        # Unknown keys are ignored: a newer daemon may say more.
        error = {name: raw.get(name) for name in ("code", "message", "hint", "retryable", "details")}
        right = (
            type(error["code"]) is str
            and type(error["message"]) is str
            and (error["hint"] is None or type(error["hint"]) is str)
            and type(error["retryable"]) is bool
            and type(error["details"]) is dict
        )
        if right:
            return error
    _refuse("a reply's error is not a map of code, message, hint, retryable and details")


def _result(error: object, result: object) -> object:
    if (result is None) if error is not None else (type(result) is dict):
        return result
    _refuse("a reply has either an error or a result that is a map")


def _no_extension(_code: int, _data: bytes) -> NoReturn:
    raise ValueError("extension types are not used")


def _refuse(message: str, reason: str = "") -> NoReturn:
    raise ProtocolError(message, hint=reason or None)
