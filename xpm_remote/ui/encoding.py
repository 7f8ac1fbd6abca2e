"""Pictures on a terminal whose encoding is not UTF-8: other characters, in the same width."""

from __future__ import annotations

import re

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from xpm_remote.escaping import encodable

_CUT = re.compile(r"\S\S…")
"""The end of a text that was cut: three dots take the place of its last two characters, too."""


class Encodable:
    """A picture with other characters, or escapes, for those that the encoding of the console lacks.

    Args:
        picture: The picture; its lines stay within the width of the console.
    """

    def __init__(self, picture: RenderableType) -> None:
        self._picture = picture

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines of the picture."""
        charset = getattr(console.file, "charset", options.encoding)
        if charset.startswith("utf"):
            yield self._picture
            return
        for line in console.render_lines(self._picture, options, pad=False):
            replaced = [
                Segment(_fit(each.text, charset), each.style, each.control) for each in line
            ]
            yield from Segment.adjust_line_length(replaced, options.max_width, pad=False)
            yield Segment.line()


def _fit(text: str, charset: str) -> str:
    if encodable("…", charset) != "…":
        text = _CUT.sub("...", text)
    return encodable(text, charset)
