"""The verb `explain`: an error code, an exit code or a setting at length; asks no daemon."""

import difflib
import json

from ckptclient.errors import CODES, CkptdError, NotFound
from ckptd.ctl import codes
from ckptd.ctl.answer import Answer, Block, Facts, Lines
from ckptd.ctl.session import Session
from ckptd.settings.table import BY_KEY, SETTINGS, Setting


def explain(_session: Session, *, topic: str | None) -> Answer:
    """A code, an exit code or a setting; without a topic, all of them."""
    if topic is None:
        return _everything()
    if topic.upper() in CODES:
        return _code(CODES[topic.upper()])
    if topic.isascii() and topic.isdigit() and int(topic) in codes.EXITS:
        return _exit(int(topic))
    if topic.lower() in BY_KEY:
        return _setting(BY_KEY[topic.lower()])
    known = [*CODES, *BY_KEY]
    near = difflib.get_close_matches(topic, known, 1) or difflib.get_close_matches(topic.upper(), known, 1)
    raise NotFound(
        f"nothing is called {topic}",
        hint=f"did you mean {near[0]}?" if near else "ckptctl explain lists what can be explained",
    )


def _everything() -> Answer:
    by_exit_code = sorted(CODES.values(), key=lambda kind: (kind.exit_code, kind.code))
    sections = [
        {"kind": "error", "names": [kind.code for kind in by_exit_code]},
        {"kind": "exit_code", "names": [str(code) for code in codes.EXITS]},
        {"kind": "setting", "names": list(BY_KEY)},
    ]
    blocks: list[Block] = [
        Facts([(kind.code, _first(kind)) for kind in by_exit_code], "error codes"),
        Facts([(str(code), text) for code, text in codes.EXITS.items()], "exit codes"),
        Facts([(one.key, one.help) for one in SETTINGS], "settings"),
    ]
    return Answer({"topics": sections}, blocks)


def _first(kind: type[CkptdError]) -> str:
    return " ".join((kind.__doc__ or "").partition("\n\n")[0].split())


def _code(kind: type[CkptdError]) -> Answer:
    text = codes.TEXTS[kind.code].strip()
    document = {
        "kind": "error",
        "name": kind.code,
        "text": text,
        "exit_code": kind.exit_code,
        "retryable": kind.retryable,
    }
    again = "yes, as it is" if kind.retryable else "not before something has changed"
    facts = [("exit code", f"{kind.exit_code}: {codes.EXITS[kind.exit_code]}"), ("worth a retry", again)]
    return Answer(document, (Lines(kind.code), Lines(text), Facts(facts)))


def _exit(code: int) -> Answer:
    under = [kind.code for kind in CODES.values() if kind.exit_code == code]
    document = {"kind": "exit_code", "name": str(code), "text": codes.EXITS[code], "error_codes": under}
    return Answer(
        document, (Lines(f"{code}: {codes.EXITS[code]}"), Facts([("error codes", ", ".join(under) or "none")]))
    )


def _setting(one: Setting) -> Answer:
    document = {
        "kind": "setting",
        "name": one.key,
        "text": one.help,
        "accepted": one.kind.accepted,
        "default": one.default,
        "private_default": one.default if one.private is None else one.private,
        "environment": one.environment,
        "flag": one.flag or None,
        "reloadable": one.reloadable,
    }
    default = json.dumps(one.default, ensure_ascii=False)
    private = "" if one.private is None else f", in a private daemon {json.dumps(one.private, ensure_ascii=False)}"
    facts = [
        ("accepted", one.kind.accepted),
        ("default", f"{default}{private}"),
        ("environment", ", ".join(filter(None, (one.environment, one.original)))),
        ("flag", one.flag or f"--set {one.key}=VALUE"),
        ("takes effect", "on ckptctl config reload" if one.reloadable else "after a restart"),
    ]
    return Answer(document, (Lines(one.key), Lines(one.help), Facts(facts)))
