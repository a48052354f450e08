"""Answers and errors onto stdout and stderr: stdout is the answer and nothing else, stderr the talk.

Whether colour is wanted: `--color`, then `NO_COLOR` (no-color.org) and `TERM=dumb`, then whether a terminal looks on.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, TextIO

from ckptclient.errors import CkptdError, NoSpace
from ckptd.ctl import documents
from ckptd.ctl.answer import Answer, Raw
from ckptd.ctl.layout import Look, plain
from ckptd.ctl.session import Session
from ckptd.ctl.shown import clean

EXIT_READER_GONE: Final = 141
HOME_AND_CLEAR: Final = ("\x1b[H", "\x1b[K", "\x1b[J")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How tables are wanted, as it was said on the command line."""

    wide: bool = False
    columns: tuple[str, ...] = ()
    header: bool = True
    sort: str = ""


def coloured(color: str, environ: Mapping[str, str], terminal: bool) -> bool:
    """Whether to use colour on a stream."""
    if color != "auto":
        return color == "always"
    return terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class Printer:
    """Prints the answers of one run."""

    def __init__(self, session: Session, wanted: Wanted, *, steady: bool = False) -> None:
        """`steady`: tables follow one another, and their columns stand under each other."""
        self._session = session
        self._wanted = wanted
        self._steady = steady

    def print(self, answer: Answer) -> None:
        """The document, or the blocks and then the notes."""
        if self._session.common.json:
            write(documents.line(answer.document))
            return
        write(self._laid_out(answer))
        for block in answer.blocks:
            if isinstance(block, Raw):
                write_raw(block.pieces)
        for note in answer.notes:
            self._session.world.say(note)

    def redraw(self, answer: Answer) -> None:
        """In place on a terminal, one under the other elsewhere."""
        terminal = self._session.world.terminal()
        if terminal is None or self._session.common.json or self._session.world.environ.get("TERM") == "dumb":
            self.print(answer)
            return
        home, to_end_of_line, below = HOME_AND_CLEAR
        # One line less than there are: the one that would scroll.
        lines = self._laid_out(answer).splitlines()[: terminal.lines - 1]
        write(home + "".join(f"{line}{to_end_of_line}\n" for line in lines) + below)

    def begin_redraw(self) -> None:
        """Make room where answers are drawn in place."""
        if self._session.world.terminal() is not None and not self._session.common.json:
            write("\x1b[2J")

    def steadily(self) -> "Printer":
        """For answers that follow one another."""
        return Printer(self._session, self._wanted, steady=True)

    def without_header(self) -> "Printer":
        """For what follows under a table that has one."""
        return Printer(self._session, replace(self._wanted, header=False), steady=True)

    def _laid_out(self, answer: Answer) -> str:
        world, common, wanted = self._session.world, self._session.common, self._wanted
        terminal = world.terminal()
        width = None if terminal is None else terminal.columns
        colour = coloured(common.color, world.environ, terminal is not None)
        look = Look(
            self._session.view(), width, colour, wanted.wide, wanted.columns, wanted.header, wanted.sort, self._steady
        )
        if width is None and not colour:
            return plain(answer.blocks, look)
        from ckptd.ctl.terminal import rich  # 40 ms that only a terminal is worth

        return rich(answer.blocks, look)


def write(text: str) -> None:
    """To stdout, at once; ends the program where nobody reads any more. Raises NO_SPACE where it can't be written."""
    with _onto_stdout():
        sys.stdout.write(text)
        sys.stdout.flush()


def write_raw(pieces: Iterable[bytes]) -> None:
    """Bytes to stdout, as `write`."""
    for piece in pieces:
        with _onto_stdout():
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


@contextmanager
def _onto_stdout() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # What is still buffered would fail again at the interpreter's end, and be reported.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            sys.exit(EXIT_READER_GONE)
        raise NoSpace(
            f"the output can't be written: {error.strerror}", hint="make room where it goes, and say it again"
        ) from error


def print_error(error: CkptdError, *, as_json: bool, stream: TextIO, colour: bool) -> None:
    """Three lines: what, what to do, where to read more; or the one object of the contract."""
    if as_json:
        stream.write(documents.plain_line(documents.error(error)))
        return
    lines = error_lines(error)
    if colour:
        from ckptd.ctl.terminal import first_in_red

        stream.write(first_in_red(lines, colour))
    else:
        stream.write("".join(f"{line}\n" for line in lines))
    stream.flush()


def error_lines(error: CkptdError) -> list[str]:
    """The lines of an error: three, and one more for each of several things that are wrong."""
    lines = [f"error: {clean(error.message)} [{error.code}]"]
    for name, line in _SEVERAL.items():
        several = error.details.get(name)
        if isinstance(several, list):
            lines += [f"  {clean(line(one))}" for one in several if isinstance(one, dict)]
    if error.hint:
        lines.append(f"  {clean(error.hint)}")
    return [*lines, f"  more: ckptctl explain {error.code}"]


def _problem(one: Mapping[str, object]) -> str:
    said = f"{one.get('key')} = {one.get('value')}" if one.get("value") else f"{one.get('key')}"
    accepted = f"; accepted: {one['accepted']}" if one.get("accepted") else ""
    hint = f"; {one['hint']}" if one.get("hint") else ""
    return f"{said} ({one.get('source')}){accepted}{hint}"


_SEVERAL: Final[Mapping[str, Callable[[Mapping[str, object]], str]]] = {
    "problems": _problem,
    "failed": lambda one: f"{one.get('id')}: {one.get('message')} [{one.get('code')}]",
    "damaged": lambda one: f"part {one.get('part')}: {one.get('message')}",
}
"""Details that have a line of their own each, and how it reads."""
