"""Times and lengths of time as they are written on the command line."""

import re
from datetime import datetime

from ckptclient.errors import BadRequest
from ckptd.units import parse_duration

_NUMBER = re.compile(r"\d+(\.\d+)?")


def seconds(text: str) -> float:
    """`5`, `5s`, `1.5 h`: a bare number is seconds. Raises ValueError for anything else."""
    return float(text) if _NUMBER.fullmatch(text.strip()) else parse_duration(text)


def past(text: str, now: int) -> int:
    """`2h` (ago) or RFC 3339, in microseconds; a time without a zone is the reader's. Raises USAGE for anything else."""
    try:
        return now - round(parse_duration(text) * 1e6)
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(
            f"{text} is no time", hint='accepted: how long ago ("2h", "7 d"), or a time ("2025-06-15T12:00:00Z")'
        ) from None
    return round(when.astimezone().timestamp() * 1e6)
