"""Writes docs/CONFIGURATION.md and docs/ckptd.toml from the table: `python -m ckptd.settings.reference docs`.

A test compares the files with what this makes, so they can't tell another story than the code.
"""

import json
import sys
import textwrap
from pathlib import Path
from typing import Final

from ckptd.settings.table import SETTINGS, Raw, Setting

_INTRODUCTION: Final = """\
# Configuration

<!-- Made from the table of settings by `python -m ckptd.settings.reference docs`; a test compares. -->

A node's daemon reads `/etc/ckptd/ckptd.toml`, a private one `$XDG_CONFIG_HOME/ckptd/ckptd.toml`, either the file that
`--config` names. Over the file stands the environment, over that the command line. [ckptd.toml](ckptd.toml) has every
setting with a node's default.

- `ckptd config check` names everything that is wrong in one go, with the line, the value and what is accepted.
- `ckptctl config show` prints the values that count and where each comes from.
- `ckptctl config reload` (or SIGHUP, or `systemctl reload ckptd`) takes over what can be changed in a running daemon,
  and names what waits for a restart.

Sizes, durations and shares carry their unit (`"10 GB"`, `"4 KiB"`, `"24 h"`, `"80 %"`); kB, MB, GB count in thousands
and KiB, MiB, GiB in 1024s. `0` needs no unit. In the environment and on the command line a list is written with commas,
and a relative path starts at the working directory. `--set KEY=VALUE` sets any key from the command line.

In a private daemon's paths `$XDG_DATA_HOME` is `~/.local/share` where it isn't set, `$XDG_RUNTIME_DIR` is
`/tmp/ckptd-UID`, and `$STORE` is the first 16 hexadecimal digits of the SHA-256 of the store's real path.

| key | default | reload | what it is for |
|---|---|---|---|
"""

_ORIGINAL: Final = """\
## The original system's environment

These variables go on working; the variable of the key itself wins over them.

| variable | sets | as |
|---|---|---|
"""

_EXAMPLE: Final = """\
# ckptd.toml: every setting with the default of a node's daemon.
# Made by `python -m ckptd.settings.reference docs`. Take the # off what you change; docs/CONFIGURATION.md says more.
"""


def reference() -> str:
    """The document: all settings at a glance, then each with what it accepts."""
    rows = "".join(
        f"| [`{one.key}`](#{one.key.replace('.', '')}) | {_default(one)} | {'yes' if one.reloadable else ''} | {one.help} |\n"
        for one in SETTINGS
    )
    originals = "".join(
        f"| `{one.original}` | `{one.key}` | {f'a number of{one.original_unit}' if one.original_unit else 'the value'} |\n"
        for one in SETTINGS
        if one.original
    )
    return f"{_INTRODUCTION}{rows}\n{''.join(map(_entry, SETTINGS))}{_ORIGINAL}{originals}"


def example() -> str:
    """The file: valid TOML as it stands, and with every `#key` line uncommented the defaults."""
    lines, section = [_EXAMPLE], ""
    for one in SETTINGS:
        if one.section != section:
            section = one.section
            lines.append(f"[{section}]\n")
        about = "".join(f"# {line}\n" for line in textwrap.wrap(f"{one.help} Accepted: {one.kind.accepted}.", 116))
        lines.append(f"{about}#{one.key.rpartition('.')[2]} = {_toml(one.default)}\n")
    return "\n".join(lines)


def _entry(one: Setting) -> str:
    return (
        f"### {one.key}\n\n{one.help}\n\n"
        f"- accepted: {one.kind.accepted}\n"
        f"- default: {_default(one)}\n"
        f"- environment: `{one.environment}`{f', `{one.original}`' if one.original else ''}\n"
        f"{f'- flag: `{one.flag}`{chr(10)}' if one.flag else ''}"
        f"- takes effect: {'on reload' if one.reloadable else 'after a restart'}\n\n"
    )


def _default(one: Setting) -> str:
    return f"`{_toml(one.default)}`" + ("" if one.private is None else f", private: `{_toml(one.private)}`")


def _toml(raw: Raw) -> str:
    # JSON's texts, numbers, booleans and lists are TOML's too.
    return json.dumps(raw, ensure_ascii=False)


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    directory.mkdir(exist_ok=True)
    (directory / "CONFIGURATION.md").write_text(reference(), encoding="utf-8")
    (directory / "ckptd.toml").write_text(example(), encoding="utf-8")
