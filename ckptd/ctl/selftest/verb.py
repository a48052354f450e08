"""The verb `selftest crash`: the proof on the user's own disk, and what it said."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ckptclient.errors import BadRequest, CkptdError, Damaged
from ckptd.ctl import shown
from ckptd.ctl.answer import Answer, Block, Facts, Lines
from ckptd.ctl.session import Session
from ckptd.store.medium import file_system, judge

if TYPE_CHECKING:
    from ckptd.ctl.selftest.killing import Verdict

SEED_MAX: Final = 1 << 32

PATH_BYTES_MAX: Final = 70
"""A socket's path has 107 bytes, and what is made in the directory takes some."""

ACTS_MIN: Final = 20
ACTS_OF_A_POINT: Final = 2
"""Of the traced run: it takes about as long then as the kills."""


def _kill(directory: Path, points: int, seed: int) -> "Verdict":
    # Here and below, because the second reader loads what only a daemon needs.
    from ckptd.ctl.selftest.killing import kill_tier

    return kill_tier(directory, points, seed, lambda done: None)


def _replay(directory: Path, points: int, seed: int) -> "Verdict":
    from ckptd.ctl.selftest.replaying import replay_tier

    acts = ACTS_MIN + ACTS_OF_A_POINT * points
    return replay_tier(directory / "replay", acts, seed, lambda states: None)


_TIERS: Final[Mapping[str, Callable[[Path, int, int], "Verdict"]]] = {
    "kill": _kill,
    "replay": _replay,
}
TIERS: Final = tuple(_TIERS)

_WORDS: Final = {
    "kill": "killing a daemon and its workers at random moments, and reading what is left",
    "replay": "tracing a run, and reading each state that a power cut may have left of it",
}


def crash(session: Session, *, points: int, tier: tuple[str, ...], seed: int | None) -> Answer:
    """Make a store of its own in a directory, break it in every tier, and say what was found; the store is removed."""
    directory = _checked(session.common.store)
    kind = file_system(directory, Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))
    warning = judge(directory, kind)
    drawn = seed if seed is not None else session.world.clock.now() % SEED_MAX
    verdicts = []
    try:
        with tempfile.TemporaryDirectory(prefix="ckptd-selftest-", dir=directory) as place:
            for name in tier or TIERS:
                if not session.common.json:
                    session.world.say(f"{name}: {_WORDS[name]}")
                verdicts.append(_TIERS[name](Path(place), points, drawn))
    except ModuleNotFoundError as missing:
        raise BadRequest(
            f"the package {missing.name} is missing, which a daemon needs", hint="pip install 'ckptd[daemon]'"
        ) from missing
    except OSError as error:
        if isinstance(error, CkptdError):  # some of ours are both
            raise
        raise BadRequest(
            f"{directory} can't be used: {error.strerror}", hint="name a directory that you may write to"
        ) from error
    return _answer(directory, kind, warning, drawn, verdicts)


def _checked(named: str | None) -> Path:
    directory = Path(named or "").resolve()
    if not directory.is_dir():
        raise BadRequest(f"{directory} is no directory", hint="name one on the disk that is to be tested")
    if len(os.fsencode(directory)) > PATH_BYTES_MAX:
        raise BadRequest(
            f"{directory} is too long for a socket in it", hint=f"accepted: a path of at most {PATH_BYTES_MAX} bytes"
        )
    return directory


def _answer(directory: Path, kind: str, warning: str | None, seed: int, verdicts: "Sequence[Verdict]") -> Answer:
    wrong = sum(len(verdict.wrong) for verdict in verdicts)
    ran = any(verdict.skipped is None for verdict in verdicts)
    document = {
        "directory": str(directory),
        "file_system": kind,
        "seed": seed,
        "ok": ran and not wrong,
        "tiers": [_tier(verdict) for verdict in verdicts],
    }
    facts = [("directory", f"{directory} ({kind})"), *((one.tier, _line(one)) for one in verdicts), ("seed", str(seed))]
    blocks: list[Block] = [Facts(facts)]
    blocks += [Lines(f"{one.tier}: {shown.clean(what)}") for one in verdicts for what in one.wrong]
    blocks.append(Lines(_conclusion(wrong=wrong > 0, ran=ran)))
    return Answer(document, blocks, (warning,) if warning else (), Damaged.exit_code if wrong else 0)


def _tier(verdict: "Verdict") -> dict[str, object]:
    return {
        "tier": verdict.tier,
        "points": verdict.points,
        "acknowledged_count": verdict.acknowledged,
        "skipped": verdict.skipped,
        "wrong": list(verdict.wrong),
    }


def _line(verdict: "Verdict") -> str:
    if verdict.skipped is not None:
        return f"! skipped: {verdict.skipped}"
    mark = "✗" if verdict.wrong else "✓"
    found = f"{shown.count(len(verdict.wrong))} wrong" if verdict.wrong else "nothing lost, nothing twice, nothing half"
    return f"{mark} {shown.count(verdict.points)} {verdict.what}, {shown.count(verdict.acknowledged)} acknowledgements: {found}"


def _conclusion(*, wrong: bool, ran: bool) -> str:
    if wrong:
        return "what was acknowledged does not hold on this disk: keep this output, with its seed, for a report"
    return "whatever was acknowledged is there" if ran else "nothing was tried"
