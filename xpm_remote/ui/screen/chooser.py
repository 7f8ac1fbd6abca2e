"""An overlay with lines to choose from, found as one types: help, palette, views, columns, groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
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


_STEPS = {"down": 1, "ctrl+n": 1, "up": -1, "ctrl+p": -1}


async def type_into(typed: Input, event: events.Key) -> None:
    """Edit a line by a key at once, so that the next key finds it edited."""
    if event.is_printable and event.character is not None:
        typed.insert_text_at_cursor(event.character)
    else:
        for binding in typed._bindings.key_to_bindings.get(event.key, ())[:1]:  # noqa: SLF001
            await typed.app.run_action(binding.action, typed)


class Chooser(ModalScreen[None], inherit_bindings=False):
    """Lines to choose from.

    Args:
        title: What is chosen.
        choices: Returns the lines.
        chosen: Is called with what is chosen, once this has gone.
        toggle: Switches one on or off, in a chooser of switches; such one stays until Esc.
    """

    CSS = """
    Chooser { align: center middle; background: transparent; }
    #box { width: 76; max-width: 100%; height: 18; max-height: 100%; border: round; background: ansi_default; }
    #search { height: 1; border: none; padding: 0 1; background: ansi_default; }
    """

    def __init__(
        self,
        title: str,
        choices: Callable[[], Sequence[Choice]],
        chosen: Callable[[str], Any],
        toggle: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._chosen = chosen
        self._toggle = toggle
        self._early: list[events.Key] = []
        self._has_parts = False
        self._typed = Input(id="search", placeholder="type to search", compact=True)
        self._lines = _Lines()

    def compose(self) -> ComposeResult:
        """Make the parts."""
        with Vertical(id="box"):
            yield LineWidget("title")
            yield self._typed
            yield self._lines

    async def on_mount(self) -> None:
        """Show everything, and take the keys that came before."""
        does = "Enter switches · Esc ends" if self._toggle else "Enter chooses · Esc leaves"
        self.query_one("#title", LineWidget).show([Cell(self._title, "bold")], [Cell(does, "dim")])
        self._find("")
        self._has_parts = True
        early, self._early = self._early, []
        for event in early:
            await self.app.on_event(event)

    async def press(self, event: events.Key) -> None:
        """Do what a key does, before the next one is looked at."""
        if not self._has_parts:
            self._early.append(event)
        elif event.key in ("escape", "ctrl+c"):
            _ = self.dismiss()
        elif event.key == "enter":
            self._choose()
        elif event.key in _STEPS:
            self._move(_STEPS[event.key])
        else:
            await type_into(self._typed, event)
            self._find(self._typed.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Find what is typed."""
        event.stop()
        self._find(event.value)  # which may have been pasted

    def _find(self, text: str) -> None:
        words = text.lower().split()
        self._lines.choices = [
            choice
            for choice in self._choices()
            if all(word in f"{choice.name} {choice.does}".lower() for word in words)
        ]
        self._lines.at = min(self._lines.at, max(0, len(self._lines.choices) - 1))
        self._lines.refresh()

    def _move(self, step: int) -> None:
        """Move the cursor."""
        self._lines.at = max(0, min(self._lines.at + step, len(self._lines.choices) - 1))
        self._lines.refresh()

    def _choose(self) -> None:
        """Choose, or switch, the line with the cursor."""
        if not self._lines.choices:
            return
        value = self._lines.choices[self._lines.at].value
        if self._toggle is None:
            # It cannot be awaited by what the screen itself does.
            _ = self.dismiss()
            self._chosen(value)
            return
        self._toggle(value)
        self._find(self._typed.value)

    def on_click(self, event: events.Click) -> None:
        """Choose by the mouse."""
        if event.widget is self._lines and event.y < len(self._lines.choices):
            self._lines.at = event.y
            self._choose()
