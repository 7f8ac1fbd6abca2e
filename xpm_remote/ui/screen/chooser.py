"""An overlay with lines to choose from, found as one types: help, palette, views, columns, groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from xpm_remote.ui.screen.line import STYLES, LineWidget
from xpm_remote.ui.tables.columns import Cell, fitted


class Choice(NamedTuple):
    """A line of a chooser.

    Attributes:
        value: What is chosen by it.
        name: What stands first.
        does: What it does.
        is_on: Whether it is switched on; None where it is no switch.
    """

    value: str
    name: str
    does: str = ""
    is_on: bool | None = None


class _Lines(Widget):
    DEFAULT_CSS = "_Lines { height: 1fr; width: 100%; }"

    def __init__(self) -> None:
        super().__init__()
        self.choices: Sequence[Choice] = ()
        self.at = 0

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        top = max(0, self.at - self.size.height + 1)
        if top + y >= len(self.choices):
            return Strip.blank(width)
        choice = self.choices[top + y]
        wide = max((len(each.name) for each in self.choices), default=0) + 2
        switch = "" if choice.is_on is None else "[x] " if choice.is_on else "[ ] "
        text = fitted(f" {switch}{choice.name:<{wide}}{choice.does}", width)
        style = STYLES["cursor"] if top + y == self.at else STYLES[""]
        return Strip([Segment(text, style)])

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        del container, viewport, width
        return len(self.choices)


class Chooser(ModalScreen[str | None], inherit_bindings=False):
    """Lines to choose from; returns what was chosen, or None.

    Args:
        title: What is chosen.
        choices: Returns the lines.
        toggle: Switches one on or off, in a chooser of switches; such one stays until Esc.
    """

    CSS = """
    Chooser { align: center middle; background: transparent; }
    #box { width: 76; max-width: 100%; height: 18; max-height: 100%; border: round; background: ansi_default; }
    #search { height: 1; border: none; padding: 0 1; background: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "leave"),
        Binding("enter", "choose", priority=True),
        Binding("down,ctrl+n", "move(1)", priority=True),
        Binding("up,ctrl+p", "move(-1)", priority=True),
    ]

    def __init__(
        self,
        title: str,
        choices: Callable[[], Sequence[Choice]],
        toggle: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._toggle = toggle
        self._lines = _Lines()

    def compose(self) -> ComposeResult:
        """Make the parts."""
        with Vertical(id="box"):
            yield LineWidget("title")
            yield Input(id="search", placeholder="type to search", compact=True)
            yield self._lines

    def on_mount(self) -> None:
        """Show everything."""
        does = "Enter switches · Esc ends" if self._toggle else "Enter chooses · Esc leaves"
        self.query_one("#title", LineWidget).show([Cell(self._title, "bold")], [Cell(does, "dim")])
        self._find("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Find what is typed."""
        event.stop()
        self._find(event.value)

    def _find(self, text: str) -> None:
        words = text.lower().split()
        self._lines.choices = [
            choice
            for choice in self._choices()
            if all(word in f"{choice.name} {choice.does}".lower() for word in words)
        ]
        self._lines.at = min(self._lines.at, max(0, len(self._lines.choices) - 1))
        self._lines.refresh()

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self._lines.at = max(0, min(self._lines.at + step, len(self._lines.choices) - 1))
        self._lines.refresh()

    def action_choose(self) -> None:
        """Choose, or switch, the line with the cursor."""
        if not self._lines.choices:
            return
        value = self._lines.choices[self._lines.at].value
        if self._toggle is None:
            self._leave(value)
            return
        self._toggle(value)
        self._find(self.query_one(Input).value)

    def _leave(self, value: str | None) -> None:
        # It cannot be awaited by what the screen itself does.
        _ = self.dismiss(value)

    def action_leave(self) -> None:
        """Choose nothing."""
        self._leave(None)

    def on_click(self, event: events.Click) -> None:
        """Choose by the mouse."""
        if event.widget is self._lines and event.y < len(self._lines.choices):
            self._lines.at = event.y
            self.action_choose()
