"""Completion in the shell: the script for it, and the ids that the daemon knows.

While somebody types, silence is better than an error and late is as bad as never: whatever goes wrong completes
nothing.
"""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class
from typing_extensions import override

from ckptclient import calls
from ckptclient.errors import CkptdError
from ckptclient.wire import params
from ckptd.ctl import codes
from ckptd.ctl.answer import Answer, Lines
from ckptd.ctl.session import Common, Session, World, real_world
from ckptd.settings.table import BY_KEY

PROGRAM = "ckptctl"
VARIABLE = "_CKPTCTL_COMPLETE"
WHOLE_IDS = "COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}  # PROCESS@SEQ is one word"
SECONDS = 1.0
COUNT_MAX = 200

Lister = Callable[[Session], Iterable[str]]


def completion(_session: Session, *, shell: str) -> Answer:
    """The script that a shell sources."""
    of_shell = get_completion_class(shell)
    assert of_shell is not None
    # Past what bash's class adds, which runs bash to see its version: this is run at every start of a shell.
    script = ShellComplete.source(of_shell(click.Command(PROGRAM), {}, PROGRAM, VARIABLE))
    if shell == "bash":
        script = f"{WHOLE_IDS}\n{script}"
    return Answer({"shell": shell, "script": script}, (Lines(script),))


class Named(click.ParamType[str]):
    """A text that the daemon can complete."""

    def __init__(self, name: str, lister: Lister) -> None:
        self.name = name
        self._lister = lister

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        world = ctx.obj if isinstance(ctx.obj, World) else real_world()
        asked = {**(ctx.parent.params if ctx.parent else {}), **{k: v for k, v in ctx.params.items() if v is not None}}
        session = Session(world, Common(socket=asked.get("socket"), store=asked.get("store"), timeout_seconds=SECONDS))
        try:
            return [CompletionItem(name) for name in self._lister(session) if name.startswith(incomplete)]
        except CkptdError:
            return []
        finally:
            session.close()


def _processes(session: Session) -> list[str]:
    return [info.process_id for info in session.call(calls.processes(limit=COUNT_MAX)).processes]


def _checkpoints(session: Session) -> list[str]:
    found = session.call(calls.checkpoints(params.ListCheckpoints(limit=COUNT_MAX))).checkpoints
    latest = {f"{info.process_id}@latest": None for info in found}
    return [*latest, *(f"{info.process_id}@{info.seq}" for info in found)]


PROCESS = Named("process", _processes)
CHECKPOINT = Named("checkpoint", _checkpoints)
EITHER = Named("id", lambda session: [*_processes(session), *_checkpoints(session)])
TOPIC = Named("topic", lambda _: [*codes.TEXTS, *BY_KEY])
