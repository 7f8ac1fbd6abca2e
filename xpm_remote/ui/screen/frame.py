"""What all screens have: four lines of frame, the entry line, keys of the table, and steps back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from xpm_remote.ui.screen import commands
from xpm_remote.ui.screen.chooser import Choice, Chooser, type_into
from xpm_remote.ui.screen.commands import Command
from xpm_remote.ui.screen.keys import first_shown, footer_words, help_lines, on_screen
from xpm_remote.ui.screen.line import LineWidget
from xpm_remote.ui.tables.columns import Cell
from xpm_remote.ui.tables.links import total_cells

if TYPE_CHECKING:
    from xpm_remote.model.entities import Job
    from xpm_remote.ui.screen.app import Dashboard

Changed = Mapping[tuple[str, str], "Job | None"]
"""Jobs that changed, by workspace and key; None for one that is gone."""

_ALWAYS = ("back", "interrupt", "suspend")
"""Actions of keys that do not edit what is typed."""

_LEAST = 10
"""Lines of a terminal below which the footer goes to the table."""


class Frame(Screen[None], inherit_bindings=False):
    """A screen of the dashboard: a subclass has a ``place`` in the table of keys and an ``action_…`` for each."""

    place = ""

    CSS = """
    Frame { layers: base; background: ansi_default; }
    #entry { height: 1; display: none; }
    #prompt { width: 1; }
    #typed { height: 1; border: none; padding: 0; background: ansi_default; }
    #body { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._entry = ""
        self._pending: Callable[[str], None] | None = None
        self._notice = ""
        self._has_parts = False
        self._early: list[events.Key] = []
        self._actions: dict[str, str] = {}
        self._header = LineWidget("header")
        self._crumbs = LineWidget("crumbs")
        self._footer = LineWidget("footer")
        self._notes = LineWidget("notes")
        self._prompt = LineWidget("prompt")
        self._typed = Input(id="typed", compact=True, select_on_focus=False)
        self._line = Horizontal(self._prompt, self._typed, id="entry")

    @property
    def dashboard(self) -> Dashboard:
        """The app."""
        return cast("Dashboard", self.app)

    @property
    def here(self) -> str:
        """The workspace that is looked at; empty for none, or several."""
        return ""

    # What a screen is made of

    def body(self) -> Sequence[Widget]:
        """Return the widgets between the frame's lines."""
        raise NotImplementedError

    def crumbs(self) -> tuple[list[Cell], list[Cell]]:
        """Return what the breadcrumb line says, at the left and at the right."""
        raise NotImplementedError

    def notes(self) -> list[Cell]:
        """Return what the line above the widgets says; nothing where it is not needed."""
        return []

    def paint(self) -> None:
        """Draw what differs from what is on the screen."""
        self.paint_frame()

    def take(self, changed: Changed) -> None:
        """Take changes of jobs; ``paint`` follows."""

    def find(self, text: str) -> None:
        """Take the text that is typed to find rows."""

    async def settled(self) -> None:
        """Wait until what was typed has had its effect, so that the next key is about what is shown then."""

    def step_back(self) -> bool:
        """Undo the last step within the screen; return whether there was one."""
        return False

    def commands(self) -> dict[str, Command]:
        """Return the commands of this screen, by their names."""
        return {}

    # The frame

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield self._header
        yield self._crumbs
        yield self._line
        yield self._notes
        yield Horizontal(*self.body(), id="body")
        yield self._footer

    async def on_mount(self) -> None:
        """Take the keys of this screen, and draw."""
        self._actions = {
            name: key.action
            for key in on_screen(self.place, self.dashboard.keys)
            for name in key.keys
        }
        self.set_focus(self._main())
        self._has_parts = True
        self.paint()
        early, self._early = self._early, []
        for event in early:
            await self.press(event)

    def on_unmount(self) -> None:
        """Draw no more."""
        self._has_parts = False

    def _main(self) -> Widget:
        return next(each for each in self.query("#body > *").results(Widget) if each.can_focus)

    def on_screen_resume(self) -> None:
        """Draw what has changed since."""
        self.paint()

    def on_resize(self, event: events.Resize) -> None:
        """Leave the footer out where there is very little room."""
        self._footer.display = event.size.height >= _LEAST
        self.call_after_refresh(self.paint)

    def paint_frame(self) -> None:
        """Draw the header, the breadcrumb and the footer."""
        if not self._has_parts:
            return
        app = self.dashboard
        head = [Cell("xpm-remote", "bold"), *total_cells(app.pictures.values())]
        self._header.show(head, [Cell(f"{self.key_of('help')} help", "dim")])
        left, right = self.crumbs()
        if self._notice:
            # A question has the line for itself: it names keys.
            before = [] if self._pending is not None else left
            left = [*before, Cell(self._notice, "failed")]
        self._crumbs.show(left, right)
        notes = self.notes() if self.size.height >= _LEAST else []
        if self._notes.display is not bool(notes):
            self._notes.display = bool(notes)
        self._notes.show(notes, [])
        if self._entry != ":":
            self._footer.show(self.footer())

    def key_of(self, action: str) -> str:
        """Return the first key of an action, for messages."""
        return first_shown(action, self.dashboard.keys)

    def footer(self) -> list[Cell]:
        """Return the keys that the footer names."""
        words = footer_words(self.place, self.dashboard.keys)
        return [Cell(f"{key} {word}", "dim") for key, word in words]

    def say(self, notice: str) -> None:
        """Show a message until the next key."""
        self._notice = notice
        self.paint_frame()

    def await_key(self, question: str, take: Callable[[str], None]) -> None:
        """Show a question, and call a function with the character of the next key; Esc leaves.

        Args:
            question: What the next key says.
            take: Is called with it.
        """
        self._pending = take
        self.say(question)

    async def press(self, event: events.Key) -> None:
        """Do what a key does, before the next one is looked at: what is typed ahead goes where it is meant."""
        if not self._has_parts:
            self._early.append(event)
            return
        if self._notice:
            self._notice = ""
            self.paint_frame()
        take, self._pending = self._pending, None
        # A character has a name of Textual's too, which no table of keys has.
        name = event.character if event.is_printable and event.character != " " else event.key
        action = self._actions.get(name or event.key, "")
        if take is not None and (event.is_printable or action != "interrupt"):
            if event.key != "escape":
                take(event.character or event.key)
            self.paint()
        elif self._entry and (event.is_printable or action not in _ALWAYS):
            await self._type(event)
        elif action:
            if action not in _ALWAYS:
                await self.settled()
            await self.action_press(action)

    def paste(self, text: str) -> None:
        """Type the first line of what is pasted, before the next key is looked at, if one types; else do nothing."""
        if self._entry and text:
            self._typed.insert_text_at_cursor(text.splitlines()[0])

    async def _type(self, event: events.Key) -> None:
        """Edit the entry line by a key, complete it, or end it."""
        typed = self._typed
        if event.key == "enter":
            self._submit()
        elif event.key == "escape":
            self.close_entry()
        elif event.key == "tab":
            self._complete()
        else:
            await type_into(typed, event)

    async def action_press(self, action: str) -> None:
        """Do what a key does."""
        await self.run_action(action if self._has(action) else f"app.{action}")

    def _has(self, action: str) -> bool:
        return hasattr(self, f"action_{action}")

    # Steps back, the entry line

    def action_back(self) -> None:
        """Go back one step: out of the entry line, within the screen, or to the screen before."""
        if self._entry:
            self.close_entry()
        elif not self.step_back():
            self.dashboard.leave()

    def action_find(self) -> None:
        """Begin to type what is to be found."""
        self.open_entry("/", self.found_text)

    def action_command(self) -> None:
        """Begin to type a command."""
        self.open_entry(":", "")

    @property
    def found_text(self) -> str:
        """What was typed last to find rows."""
        return ""

    def open_entry(self, prompt: str, text: str) -> None:
        """Show the entry line in the place of the breadcrumb."""
        self._entry = prompt
        typed = self._typed
        with typed.prevent(Input.Changed):
            typed.value = text
        typed.cursor_position = len(text)
        self._prompt.show([Cell(prompt, "key")])
        self._line.display = True
        self._crumbs.display = False
        self.set_focus(typed)
        self._show_candidates()

    def close_entry(self) -> None:
        """Return to the breadcrumb."""
        self._entry = ""
        self._line.display = False
        self._crumbs.display = True
        self.set_focus(self._main())
        self.paint()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Find what is typed, or show what the command may become."""
        if self._entry == "/":
            self.find(event.value)
        self._show_candidates()

    def _submit(self) -> None:
        """Keep what is found, or run the command."""
        prompt, text = self._entry, self._typed.value
        self.close_entry()
        if prompt == ":":
            self.say(commands.run(text, self._commands()))
        else:
            self.submit(prompt, text)

    def submit(self, prompt: str, text: str) -> None:
        """Take what was typed after a prompt other than that of commands, with Enter."""
        del prompt
        self.find(text)

    def _complete(self) -> None:
        if self._entry == ":":
            self._typed.value = commands.completed(self._typed.value, self._commands())
            self._typed.cursor_position = len(self._typed.value)

    def _show_candidates(self) -> None:
        if self._entry == ":":
            text = self._typed.value
            found = commands.candidates(text, self._commands())
            cells = [Cell(each.rpartition(" ")[2], "key") for each in found]
            self._footer.show(cells or [Cell("no such command", "failed")])

    def _commands(self) -> dict[str, Command]:
        return {**self.dashboard.commands(), **self.commands()}

    # Overlays

    def choose(
        self,
        title: str,
        choices: Callable[[], Sequence[Choice]],
        chosen: Callable[[str], Any],
        toggle: Callable[[str], None] | None = None,
    ) -> None:
        """Show an overlay, and call a function with what is chosen."""
        _ = self.app.push_screen(Chooser(title, choices, chosen, toggle))

    def action_help(self) -> None:
        """Show what the keys of this screen do; what is chosen is done."""
        lines = help_lines(self.place, self.dashboard.keys)
        choices = [Choice(action, keys, does) for keys, does, action in lines]
        self.choose(f"Keys of {self.place}", lambda: choices, self._press_later)

    def action_palette(self) -> None:
        """Show all commands; what is chosen is typed."""
        choices = [
            Choice(f":{name}", f":{name}", each.does)
            for name, each in sorted(self._commands().items())
        ]
        choices += [
            Choice(action, keys, does)
            for keys, does, action in help_lines(self.place, self.dashboard.keys)
        ]
        self.choose("Commands and keys", lambda: choices, self._choose_later)

    def _choose_later(self, value: str) -> None:
        if value.startswith(":"):
            self._type_later(value[1:])
        else:
            self._press_later(value)

    def _press_later(self, action: str) -> None:
        self.call_later(self.action_press, action)

    def _type_later(self, name: str) -> None:
        command = self._commands()[name]
        if any(command.values()):
            self.open_entry(":", f"{name} ")
        else:
            self.say(command.run(""))
