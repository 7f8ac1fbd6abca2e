"""One line of the screen, and the styles of everything on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from xpm_remote.escaping import safe
from xpm_remote.ui.tables.columns import Cell, fitted

STYLES = {
    "": Style(),
    "dim": Style(dim=True),
    "bold": Style(bold=True),
    "key": Style(bold=True, color="cyan"),
    "running": Style(color="cyan"),
    "done": Style(color="green"),
    "failed": Style(color="red", bold=True),
    "waiting": Style(color="yellow"),
    "idle": Style(dim=True),
    "mark": Style(color="magenta", bold=True),
    "head": Style(bold=True, underline=True),
    "cursor": Style(reverse=True),
}
"""The styles by the names that cells have; each says something by its letter or words too."""

_SPACE = "  "


def under_cursor(style: Style | None) -> Style:
    """Return a style as the cursor shows it: without its colours, which in reverse would make a line of patches."""
    return STYLES["cursor"] + Style(bold=style.bold if style else None)


def styled(cells: Iterable[Cell], width: int, gap: str = _SPACE) -> list[Segment]:
    """Return cells one after the other, cut to a width."""
    segments: list[Segment] = []
    left = width
    for cell in cells:
        if not cell.text:
            continue
        text = safe(cell.text)
        text = gap + text if segments else text
        if cell_len(text) > left:
            text = fitted(text, left)
        if not text:
            break
        segments.append(Segment(text, STYLES[cell.style]))
        left -= cell_len(text)
    return segments


class LineWidget(Widget):
    """A line with something at the left, and something at the right where there is room for both."""

    DEFAULT_CSS = "LineWidget { height: 1; width: 100%; }"

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._left: Sequence[Cell] = ()
        self._right: Sequence[Cell] = ()

    def show(self, left: Sequence[Cell], right: Sequence[Cell] = ()) -> None:
        """Show other cells; nothing is drawn where they are the same."""
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.refresh()

    @property
    def text(self) -> str:
        """What the line says, at whatever width."""
        return "  ".join(cell.text for cell in (*self._left, *self._right))

    def render_line(self, y: int) -> Strip:
        """Draw the line."""
        width = self.size.width
        right = styled(self._right, width)
        length = sum(cell_len(segment.text) for segment in right)
        left = styled(self._left, width - length - len(_SPACE) if right else width)
        used = sum(cell_len(segment.text) for segment in left)
        filling = Segment(" " * max(0, width - used - length))
        return Strip([*left, filling, *right], max(width, used + length)).crop(0, width)
