"""How a policy of processes is written in the configuration: `"train-*: last=3 every=10 lowest=eval.loss ttl=7d"`.

Not for: what a policy means (`core.retention`).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ckptd.settings.kinds import Kind
from ckptd.settings.tree import NamedPolicy
from ckptd.units import format_duration, parse_duration

_COUNT_MAX: Final = 1_000_000

ACCEPTED: Final = (
    'a list of "GLOB: WORDS", where GLOB names processes (or USER/PROCESS) and WORDS are some of last=N, every=N, '
    "lowest=METRIC or highest=METRIC, best=N, ttl=DURATION"
)

_WORD: Final = re.compile(r"(\w+)=(\S+)")


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _COUNT_MAX:
        raise ValueError(f"{number} is not within 1 to {_COUNT_MAX}")
    return number


_WORDS: Final[Mapping[str, Callable[[str], Any]]] = {
    "last": _count,
    "every": _count,
    "lowest": str,
    "highest": str,
    "best": _count,
    "ttl": parse_duration,
}


def parse_policy(text: object) -> NamedPolicy:
    """One policy; raises ValueError."""
    glob, colon, rest = text.partition(": ") if isinstance(text, str) else ("", "", "")
    if not glob.strip() or not colon or not rest.strip():
        raise ValueError(f"not GLOB: WORDS: {text!r}")
    found: dict[str, Any] = {}
    for word in rest.split():
        matched = _WORD.fullmatch(word)
        if matched is None or matched[1] not in _WORDS or matched[1] in found:
            raise ValueError(f"not a word of a policy, or said twice: {word!r}")
        found[matched[1]] = _WORDS[matched[1]](matched[2])
    if "lowest" in found and "highest" in found:
        raise ValueError("one of lowest and highest")
    metric = found.get("lowest") or found.get("highest")
    if "best" in found and metric is None:
        raise ValueError("best=N needs lowest=METRIC or highest=METRIC")
    return NamedPolicy(
        glob.strip(), found.get("last", 0), found.get("every", 0), metric, "highest" in found, found.get("best", 1),
        found.get("ttl"),
    )  # fmt: skip


def format_policy(policy: NamedPolicy) -> str:
    """As it would be written."""
    words = [f"{name}={count}" for name, count in (("last", policy.last), ("every", policy.every)) if count]
    if policy.metric is not None:
        words.append(f"{'highest' if policy.highest else 'lowest'}={policy.metric}")
        words += [f"best={policy.best_count}"] if policy.best_count > 1 else []
    if policy.ttl_seconds is not None:
        words.append(f"ttl={format_duration(policy.ttl_seconds).replace(' ', '')}")
    return f"{policy.glob}: {' '.join(words)}"


def _parse(raw: object) -> tuple[NamedPolicy, ...]:
    if not isinstance(raw, list):
        raise ValueError(f"not a list: {raw!r}")
    return tuple(parse_policy(one) for one in raw)


POLICIES: Final = Kind(
    ACCEPTED,
    _parse,
    lambda policies: ",".join(format_policy(one) for one in policies),
    lambda text: [part.strip() for part in text.split(",") if part.strip()],
)
