"""The picture of a run: what stood on the terminal at one moment and at the end, as an SVG of its own.

rich's own template loads a font from the network; this one names the fonts that machines have, and rich gives each
text its length, so that columns stay in line under any of them.
"""

import io
from pathlib import Path

from rich.console import Console, RenderableType

COLUMNS = 100
TEMPLATE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="ui-monospace, Menlo, Consolas, \
'DejaVu Sans Mono', monospace">
<style>
.{unique_id}-matrix {{ font-size: {char_height}px; line-height: {line_height}px; white-space: pre; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>\
</clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


class Picture:
    """Collects what is to be seen."""

    def __init__(self) -> None:
        self._console = Console(
            record=True,
            file=io.StringIO(),
            width=COLUMNS,
            force_terminal=True,
            color_system="truecolor",
            highlight=False,
        )

    def add(self, *parts: RenderableType) -> None:
        """One more thing under the others."""
        self._console.print(*parts, sep="\n")

    def write(self, path: Path) -> None:
        """The file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._console.export_svg(title="make demo", code_format=TEMPLATE, unique_id="demo"))
