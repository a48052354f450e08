"""Gathers the configuration: the file, over it the environment, over that the flags; checks it as a whole.

Every fault is found in one go and named by its key, with who said it, what was said and what is accepted. Not for: what
settings there are (`ckptd.settings`), nor for applying them. The result is frozen; a reload makes a new one.
"""

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

from ckptclient.errors import ConfigError
from ckptd.settings.table import BY_KEY, RELATIONS, SECTIONS, SETTINGS, Mode, Setting
from ckptd.settings.tree import Config, Origin

NODE_FILE: Final = Path("/etc/ckptd/ckptd.toml")

_XDG: Final[Mapping[str, str]] = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
}
"""Where each stands below the home directory when it isn't set: XDG Base Directory Specification 0.8."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `value` as it was given, `accepted` and `hint` empty where there is nothing to say."""

    key: str
    source: str
    value: str
    accepted: str
    hint: str = ""

    def line(self) -> str:
        """The problem in one line, for people."""
        said = f"{self.key} = {self.value} ({self.source})" if self.value else f"{self.key} ({self.source})"
        return "; ".join([said, *([f"accepted: {self.accepted}"] if self.accepted else []), *filter(None, [self.hint])])


@dataclass(frozen=True, slots=True)
class _Given:
    setting: Setting
    raw: object
    source: str


def load(path: Path | None, environ: Mapping[str, str], flags: Mapping[str, str], *, mode: Mode = "node") -> Config:
    """Read `path` (None: no file), the environment and the flags (by key: `{"store.path": "/srv"}`).

    Raises ConfigError with every problem: `details["problems"]` has them as maps of `Problem`'s fields.
    """
    problems: list[Problem] = []
    given = [
        *_from_file(path, problems),
        *_from_environment(environ, problems),
        *_from_flags(flags, problems),
    ]
    origins: dict[str, Origin] = {}
    _parse(given, origins, problems)
    _parse(_from_defaults(mode, environ, {one.setting.key for one in given}, origins), origins, problems)
    if not problems:
        config = _build(origins)
        problems = [
            _broken(relation.keys, relation.accepted, config) for relation in RELATIONS if not relation.holds(config)
        ]
        if not problems:
            return config
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise ConfigError(
        f"the configuration can't be used: {problems[0].line()}{more}",
        hint="`ckptd config check` names every problem, docs/CONFIGURATION.md every setting",
        details={"problems": [asdict(problem) for problem in problems]},
    )


def find_file(mode: Mode, environ: Mapping[str, str]) -> Path | None:
    """The file that is read when none is named; None where there is none."""
    path = NODE_FILE if mode == "node" else Path(_xdg(environ)["XDG_CONFIG_HOME"], "ckptd", "ckptd.toml")
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return path  # it is there, but not for us: `load` says so, where silence would start with other settings
    return path


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload does: `config` is the one to go on with, where what needs a restart still has its old value."""

    config: Config
    reloaded: tuple[str, ...]
    restart: tuple[str, ...]


def changes(old: Config, new: Config) -> Changes:
    """Compare what runs with what was read; the keys are in the order of the table."""
    changed = [one for one in SETTINGS if old.origins[one.key].text != new.origins[one.key].text]
    kept = {one.key: old.origins[one.key] for one in changed if not one.reloadable}
    reloaded = tuple(one.key for one in changed if one.reloadable)
    return Changes(_build({**new.origins, **kept}), reloaded, tuple(kept))


# --- where settings are given ---


def _from_file(path: Path | None, problems: list[Problem]) -> Iterator[_Given]:
    if path is None:
        return
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        problems.append(Problem("--config", str(path), "", "a file that can be read", error.strerror or str(error)))
        return
    except ValueError as error:  # of TOML with its line, of UTF-8 with its position
        problems.append(Problem("--config", str(path), "", "TOML", str(error)))
        return
    lines = _lines(text)
    for key, raw in _flat(document):
        # Inside an inline table a key has no line of its own.
        line = lines.get(key) or lines.get(key.rpartition(".")[0])
        source = f"{path} line {line}" if line else str(path)
        if key in BY_KEY:
            yield _Given(BY_KEY[key], raw, source)
        else:
            problems.append(_unknown(key, source, raw))


def _flat(document: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Each value under its dotted key; a whole unknown section is one key, so that it is one problem."""
    for name, value in document.items():
        if name in SECTIONS and isinstance(value, dict):
            yield from ((f"{name}.{inner}", inner_value) for inner, inner_value in value.items())
        else:
            yield name, value


_HEADER = re.compile(r"\s*\[\s*([\w.\s\"'-]+?)\s*\]")
_ASSIGNMENT = re.compile(r"\s*([\w.\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")


def _lines(text: str) -> dict[str, int]:
    """The line of each key and section, which tomllib doesn't tell.

    A line inside a multi-line text may pass for a key: then a message points beside the mark, and that is all.
    """
    found: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = _bare(header[1]) + "."
            found.setdefault(section[:-1], number)
        elif assignment := _ASSIGNMENT.match(line):
            found.setdefault(section + _bare(assignment[1]), number)
    return found


def _bare(name: str) -> str:
    return re.sub(r"[\s\"']", "", name)


def _from_environment(environ: Mapping[str, str], problems: list[Problem]) -> Iterator[_Given]:
    ours = {setting.environment: setting for setting in SETTINGS}
    for setting in SETTINGS:
        if setting.original and (text := environ.get(setting.original)) is not None:
            raw = setting.kind.from_text(text.strip() + setting.original_unit)
            yield _Given(setting, raw, f"environment {setting.original}")
    for name, text in environ.items():
        if name in ours:
            yield _Given(ours[name], ours[name].kind.from_text(text), f"environment {name}")
        elif name.startswith("CKPTD_") and (near := difflib.get_close_matches(name, ours, 1, 0.9)):
            # Other CKPTD_ names are other programs' (the client's, or Kubernetes' CKPTD_PORT): only a slip is ours.
            problems.append(Problem(name, "environment", text, "", f"did you mean {near[0]}?"))


def _from_flags(flags: Mapping[str, str], problems: list[Problem]) -> Iterator[_Given]:
    for key, text in flags.items():
        if setting := BY_KEY.get(key):
            yield _Given(setting, setting.kind.from_text(text), f"flag {setting.flag or f'--set {key}'}")
        else:
            problems.append(_unknown(key, f"flag --set {key}", text))


def _from_defaults(
    mode: Mode, environ: Mapping[str, str], named: Container[str], origins: Mapping[str, Origin]
) -> Iterator[_Given]:
    # The socket comes last: in a private daemon its name depends on the store, one daemon for each.
    for setting in sorted(SETTINGS, key=lambda one: one.key == "socket"):
        if setting.key not in named:
            raw = setting.default_in(mode)
            yield _Given(setting, _replaced(raw, environ, origins) if isinstance(raw, str) else raw, "default")


def _replaced(raw: str, environ: Mapping[str, str], origins: Mapping[str, Origin]) -> str:
    store = origins["store.path"].text if "store.path" in origins else ""
    # A hash, because a socket's path has no room for that of the store. Clients look under the same name.
    digest = hashlib.sha256(os.fsencode(os.path.realpath(store))).hexdigest()[:16]
    return Template(raw).substitute(_xdg(environ), STORE=digest)


def _xdg(environ: Mapping[str, str]) -> dict[str, str]:
    home = environ.get("HOME") or os.path.expanduser("~")
    fallbacks = {name: f"{home}/{below}" for name, below in _XDG.items()}
    # The specification names no fallback here, only "similar capabilities": the daemon makes it 0700 and checks its owner.
    fallbacks["XDG_RUNTIME_DIR"] = f"/tmp/ckptd-{os.getuid()}"
    return fallbacks | {name: environ[name] for name in fallbacks if os.path.isabs(environ.get(name, ""))}


# --- from what is given to the tree ---


def _parse(given: Iterable[_Given], origins: dict[str, Origin], problems: list[Problem]) -> None:
    """Parse each, the later over the earlier; one that is overridden is checked too, before it counts again."""
    for one in given:
        try:
            value = one.setting.kind.parse(one.raw)
        except ValueError:
            problems.append(Problem(one.setting.key, one.source, _shown(one.raw), one.setting.kind.accepted))
        else:
            origins[one.setting.key] = Origin(value, one.setting.kind.format(value), one.source)


def _build(origins: Mapping[str, Origin]) -> Config:
    fields: dict[str, dict[str, Any]] = {"": {}, **{section: {} for section in SECTIONS}}
    for setting in SETTINGS:
        fields[setting.section][setting.field] = origins[setting.key].value
    sections = {section: of(**fields[section]) for section, of in SECTIONS.items()}
    return Config(**fields[""], **sections, origins={setting.key: origins[setting.key] for setting in SETTINGS})


def _broken(keys: tuple[str, ...], accepted: str, config: Config) -> Problem:
    origins = [config.origins[key] for key in keys]
    return Problem(
        ", ".join(keys), ", ".join(one.source for one in origins), ", ".join(one.text for one in origins), accepted
    )


def _unknown(key: str, source: str, raw: object) -> Problem:
    last = key.rpartition(".")[2]
    near = [known for known in BY_KEY if known.rpartition(".")[2] == last] or difflib.get_close_matches(key, BY_KEY, 1)
    near = near or difflib.get_close_matches(key, SECTIONS, 1)
    return Problem(key, source, _shown(raw), "", f"no such setting{f', did you mean {near[0]}?' if near else ''}")


def _shown(raw: object) -> str:
    text = repr(raw) if not isinstance(raw, bool) else str(raw).lower()
    return text if len(text) <= 200 else text[:200] + "..."
