"""The table of verbs as a click program: options that every verb takes, help, errors, exit codes.

`main` is the only place that turns an outcome into an exit code: an error's own, 130 where somebody pressed Ctrl-C.
"""

import difflib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NoReturn

import click
from typing_extensions import override

from ckptclient.errors import BadRequest, CkptdError
from ckptd.ctl.answer import Answer
from ckptd.ctl.printing import Printer, Wanted, coloured, print_error
from ckptd.ctl.session import Common, Session, World, real_world
from ckptd.ctl.verbs import GROUPS, MEANT, VERBS, Duration, Verb

EXIT_INTERRUPTED: Final = 130
WATCH_SECONDS: Final = "2s"


def _common_options() -> list[click.Parameter]:
    return [
        click.Option(["--json"], is_flag=True, help="One JSON document, as docs/CLI_JSON_OUTPUT.md says."),
        click.Option(["--timeout"], type=Duration(), help="How long an answer may take; 5 s."),
        click.Option(["--socket"], type=click.Path(), help="The daemon's socket."),
        click.Option(["--store"], type=click.Path(), help="Ask the private daemon of this store; where none runs, read it without."),
        click.Option(["--color"], type=click.Choice(["auto", "always", "never"]), default="auto", help="Colour; auto: on a terminal."),
        click.Option(["--utc"], is_flag=True, help="Times instead of ages, and in UTC."),
    ]  # fmt: skip


def _table_options() -> list[click.Parameter]:
    return [
        click.Option(["--wide"], is_flag=True, help="All columns, nothing cut."),
        click.Option(["--columns"], help="These columns, in this order, with commas between."),
        click.Option(["--sort"], help="By this column; -COLUMN for the largest first."),
        click.Option(["--no-header"], is_flag=True, help="Without the line of names."),
    ]


def _watch_option() -> click.Parameter:
    return click.Option(["--watch"], type=Duration(), help=f"Ask again every {WATCH_SECONDS}, or --watch=SECONDS.")


class VerbCommand(click.Command):
    """One verb."""

    def __init__(self, verb: Verb) -> None:
        own = [*verb.params, *(_table_options() if verb.table else ()), *([_watch_option()] if verb.watch else [])]
        names = verb.own_options
        super().__init__(
            verb.name.rpartition(" ")[2],
            params=[*own, *(option for option in _common_options() if option.name not in names)],
            help=verb.help,
            short_help=verb.help,
            callback=_callback(verb),
        )
        self.verb = verb

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # click would take the word behind a bare --watch for its value: `ls --watch PROCESS`.
        return super().parse_args(ctx, [f"--watch={WATCH_SECONDS}" if arg == "--watch" else arg for arg in args])

    @override
    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        with formatter.section("Examples"):
            for example in self.verb.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Verbs(click.Group):
    """Verbs in the order of their table; a word that is none is answered with the verb that was meant."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word in self.commands or word.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        meant = MEANT.get(word) if ctx.parent is None else None
        near = difflib.get_close_matches(word, self.commands, 1)
        path = ctx.command_path
        if meant or near:
            hint = f"{path} {meant or near[0]}"
        else:
            hint = f"{path} --help lists the verbs: {', '.join(self.commands)}"
        raise BadRequest(f"{path} has no verb {word}", hint=hint)


class Program(Verbs):
    """The whole of it."""

    @override
    def main(self, args: Sequence[str] | None = None, *rest: Any, **named: Any) -> NoReturn:
        """Run, say what went wrong, and end with the exit code."""
        words = list(sys.argv[1:] if args is None else args)
        try:
            outcome = super().main(words, *rest, **{**named, "standalone_mode": False})
        except CkptdError as error:
            sys.exit(_failed(error, words))
        except click.exceptions.NoArgsIsHelpError as shown:
            shown.show()
            sys.exit(shown.exit_code)
        except click.UsageError as wrong:
            path = wrong.ctx.command_path if wrong.ctx else "ckptctl"
            message = wrong.format_message().rstrip(".")
            message = message[:1].lower() + message[1:]
            sys.exit(_failed(BadRequest(message, hint=f"{path} --help"), words))
        except (click.Abort, KeyboardInterrupt):
            sys.exit(EXIT_INTERRUPTED)
        sys.exit(outcome if isinstance(outcome, int) else 0)


def _failed(error: CkptdError, words: Sequence[str]) -> int:
    colour = coloured(_color(words), os.environ, sys.stderr.isatty())
    print_error(error, as_json="--json" in words, stream=sys.stderr, colour=colour)
    return error.exit_code


def _color(words: Sequence[str]) -> str:
    """What `--color` says, of words that may not have been understood."""
    said = [after for before, after in pairwise(words) if before == "--color"]
    said += [word.partition("=")[2] for word in words if word.startswith("--color=")]
    return said[-1] if said else "auto"


def program(world: World | None = None) -> Program:
    """The program, in this world or the machine's."""
    root = Program(
        "ckptctl",
        params=[*_common_options(), click.Option(["--version"], is_flag=True, help="As the verb.")],
        help="Look at the processes and checkpoints of a ckptd daemon, and steer them.",
        no_args_is_help=True,
        invoke_without_command=True,
        context_settings={"obj": world or real_world(), "help_option_names": ["-h", "--help"], "max_content_width": 110},
        callback=_root,
    )  # fmt: skip
    for verb in VERBS:
        group, _, _ = verb.name.rpartition(" ")
        parent: click.Group = root
        if group:
            if group not in root.commands:
                root.add_command(Verbs(group, help=GROUPS[group]))
            found = root.commands[group]
            assert isinstance(found, click.Group)
            parent = found
        parent.add_command(VerbCommand(verb))
    return root


@click.pass_context
def _root(context: click.Context, /, version: bool, **given: Any) -> None:
    """What is said before the verb counts as if it were said behind it."""
    if version:
        verb = next(verb for verb in VERBS if verb.name == "version")
        context.invoke(_callback(verb), **given)
        context.exit()
    said = {name: value for name, value in given.items() if context.get_parameter_source(name) is not _DEFAULT}
    assert isinstance(context.command, click.Group)
    context.default_map = {name: _defaults(command, said) for name, command in context.command.commands.items()}


_DEFAULT = click.core.ParameterSource.DEFAULT


def _defaults(command: click.Command, said: dict[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(command.commands, said) if isinstance(command, click.Group) else said


def _callback(verb: Verb) -> Callable[..., None]:
    @click.pass_obj
    def run(world: World, /, **given: Any) -> None:
        common = Common(
            json=given.pop("json"),
            socket=given.pop("socket"),
            store=given.pop("store"),
            timeout_seconds=None if "timeout" in verb.own_options else given.pop("timeout"),
            color=given.pop("color"),
            utc=given.pop("utc"),
        )
        columns = given.pop("columns", None) or ""
        wanted = Wanted(
            wide=given.pop("wide", False),
            columns=tuple(name.strip() for name in columns.split(",") if name.strip()),
            header=not given.pop("no_header", False),
            sort=given.pop("sort", None) or "",
        )
        every = given.pop("watch", None)
        session = Session(world, common)
        try:
            _answer(session, Printer(session, wanted), every, lambda: verb.run(session, **given))
        finally:
            session.close()

    return run


def _answer(
    session: Session, printer: Printer, every: float | None, ask: Callable[[], Answer | Iterator[Answer]]
) -> None:
    if every is not None:
        printer.begin_redraw()
        while True:
            answer = ask()
            assert isinstance(answer, Answer)
            printer.redraw(answer)
            session.world.sleep(every)
    answers = ask()
    if isinstance(answers, Answer):
        printer.print(answers)
        if answers.exit_code:
            sys.exit(answers.exit_code)
        return
    printer = printer.steadily()
    for answer in answers:
        printer.print(answer)
        printer = printer.without_header()
