"""What can be done to the chosen process: each act is a command that is shown first, and the verb that runs it."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ckptclient import results
from ckptd.ctl import checkpoints, naming, processes
from ckptd.ctl.answer import Answer, Lines
from ckptd.ctl.session import Session


@dataclass(frozen=True, slots=True)
class Act:
    """`words` are the command's behind `ckptctl`, `run` does what they say; both get the name of `of`."""

    key: str
    word: str
    of: Callable[[Session, results.ProcessInfo], str | None]
    words: Callable[[str], Sequence[str]]
    run: Callable[[Session, str], Answer]


def _newest(session: Session, info: results.ProcessInfo) -> str | None:
    last = info.last_checkpoint
    return None if last is None else f"{naming.qualified(session, info)}@{last.seq}"


def _process(session: Session, info: results.ProcessInfo) -> str:
    return naming.qualified(session, info)


ACTS: Final[Sequence[Act]] = (
    Act("p", "pin its newest checkpoint", _newest, lambda name: ("pin", name),
        lambda session, name: checkpoints.pin(session, ids=(name,))),
    Act("u", "unpin it", _newest, lambda name: ("unpin", name),
        lambda session, name: checkpoints.unpin(session, ids=(name,))),
    Act("S", "stop its worker", _process, lambda name: ("stop", name),
        lambda session, name: processes.stop(session, process=name)),
    Act("f", "fence its worker", _process, lambda name: ("fence", name, "--yes"),
        lambda session, name: processes.fence(session, process=name, dry_run=False, yes=True)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """An act that waits for Enter."""

    act: Act
    name: str

    @property
    def command(self) -> str:
        """As it would be typed in a shell."""
        return shlex.join(("ckptctl", *self.act.words(self.name)))

    def do(self, session: Session) -> str:
        """Do it, and say what was done; raises the verb's errors."""
        answer = self.act.run(session, self.name)
        return " ".join(block.text for block in answer.blocks if isinstance(block, Lines))
