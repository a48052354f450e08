"""The command line of the daemon: `ckptd` serves, `ckptd config check` looks at a configuration.

Everything that an operator does to a running daemon is `ckptctl`'s. What the daemon needs is imported once it is clear
that it shall serve: `--version` and a mistake are answered at once, and without the packages of `ckptd[daemon]`.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from ckptclient.errors import ConfigError
from ckptclient.version import __version__
from ckptd.config import find_file, load
from ckptd.errors import StartRefused
from ckptd.settings.table import SETTINGS, Mode
from ckptd.settings.tree import Config

EX_USAGE: Final = 64
EX_CONFIG: Final = 78

_PACKAGES: Final = frozenset(
    ("apsw", "backports", "blake3", "compression", "pyfastcdc", "structlog", "uvloop", "zstandard")
)
"""What `ckptd[daemon]` brings and a worker's `ckptd` doesn't."""

_STATE_DIRECTORY: Final = Path("/var/lib/ckptd")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, or that of sysexits.h that says why not: 64, 74, 75, 78."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:  # argparse has said what there is to say, and would end with a 2 that has no meaning here
        return EX_USAGE if end.code else 0
    try:
        return _check(arguments) if arguments.command == "config" else _serve(arguments)
    except ConfigError as error:
        _print_problems(error)
        return EX_CONFIG
    except StartRefused as refusal:
        print(f"ckptd: {refusal.message}", file=sys.stderr)
        if refusal.hint:
            print(f"  {refusal.hint}", file=sys.stderr)
        return refusal.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ckptd", description="The checkpoint daemon: serves the socket until it is told to stop."
    )
    parser.add_argument("--version", action="version", version=f"ckptd {__version__}")
    _add_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="config check [FILE]")
    config = commands.add_parser("config", help="look at a configuration without starting")
    check = config.add_subparsers(dest="act", required=True).add_parser("check", help="name everything that is wrong")
    check.add_argument("file", nargs="?", type=Path, metavar="FILE", help="in place of the one that would be read")
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="read this configuration")
    parser.add_argument(
        "--private", action="store_true", help="serve the calling user alone, and end when nobody is left"
    )
    for setting in SETTINGS:
        if setting.flag:
            parser.add_argument(setting.flag, dest=setting.key, metavar="PATH", help=setting.help)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_assignment,
        metavar="KEY=VALUE",
        help="set any key of the configuration",
    )


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"not KEY=VALUE: {text!r}")
    return key.strip(), value.strip()


def _flags(arguments: argparse.Namespace) -> Mapping[str, str]:
    given = {setting.key: getattr(arguments, setting.key) for setting in SETTINGS if setting.flag}
    return {**dict(arguments.set), **{key: value for key, value in given.items() if value is not None}}


def _read(arguments: argparse.Namespace, path: Path | None) -> Config:
    mode: Mode = "private" if arguments.private else "node"
    return load(path or find_file(mode, os.environ), os.environ, _flags(arguments), mode=mode)


def _serve(arguments: argparse.Namespace) -> int:
    read = partial(_read, arguments, arguments.config)
    config = read()
    try:
        # Here, because with all that it needs it takes ten times as long to load as the rest.
        from ckptd import daemon

        return daemon.run(config, read, private=arguments.private)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in _PACKAGES:
            raise
        raise StartRefused(
            f"the package {missing.name} is missing, which a daemon needs", hint="pip install 'ckptd[daemon]'"
        ) from missing


def _check(arguments: argparse.Namespace) -> int:
    path = arguments.file or arguments.config
    config = _read(arguments, path)
    print(f"{path or find_file('node', os.environ) or 'the defaults'}: ok")
    store = config.store.path
    if not arguments.private and not store.is_relative_to(_STATE_DIRECTORY):
        print(f"  the store {store} is not below {_STATE_DIRECTORY}: the unit needs ReadWritePaths={store}")
    return 0


def _print_problems(error: ConfigError) -> None:
    problems = error.details.get("problems")
    print("ckptd: the configuration can't be used", file=sys.stderr)
    for problem in problems if isinstance(problems, list) else ():
        parts = [
            f"{problem['key']} = {problem['value']}" if problem["value"] else problem["key"],
            f"({problem['source']})",
        ]
        parts += [f"accepted: {problem['accepted']}"] if problem["accepted"] else []
        parts += [problem["hint"]] if problem["hint"] else []
        print(f"  {parts[0]} {'; '.join(parts[1:])}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
