"""What screens with a page of lines have: a cursor, and the keys that move it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.widget import Widget

from xpm_remote.ui.screen.frame import Frame
from xpm_remote.ui.screen.page_view import PageView


class Paged(Frame):
    """A screen with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.view = PageView()

    def body(self) -> Sequence[Widget]:
        """Return the page."""
        return (self.view,)

    def action_down(self) -> None:
        """Move down."""
        self.view.move(1)

    def action_up(self) -> None:
        """Move up."""
        self.view.move(-1)

    def action_first(self) -> None:
        """Go to the first line."""
        self.view.move(-self.view.number)

    def action_last(self) -> None:
        """Go to the last line."""
        self.view.move(self.view.number)

    def action_page_down(self) -> None:
        """Move down by half a screen."""
        self.view.move(max(1, self.view.room // 2))

    def action_page_up(self) -> None:
        """Move up by half a screen."""
        self.view.move(-max(1, self.view.room // 2))
