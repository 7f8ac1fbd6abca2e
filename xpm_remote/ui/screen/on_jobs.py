"""What screens about jobs have: actions on them, and copying what names them."""

from __future__ import annotations

from xpm_remote.escaping import safe
from xpm_remote.ui.screen.frame import Frame
from xpm_remote.ui.tables.acts import KILL
from xpm_remote.ui.tables.acts import LETTERS as ACTS
from xpm_remote.ui.tables.jobs import JobKey, row_texts
from xpm_remote.ui.text import count_text


class OnJobs(Frame):
    """A screen with jobs that one can act on."""

    @property
    def chosen(self) -> list[JobKey]:
        """The jobs that an action is about."""
        return []

    def action_act(self) -> None:
        """Ask what is to be done, and plan it; on what may be out of date nothing is done."""
        keys = self.chosen
        stale = self.dashboard.look().stale & {name for name, _ in keys}
        if not keys:
            self.say("there is no job here")
        elif stale:
            names = safe(", ".join(sorted(stale)))
            self.say(f"{names} is STALE: nothing is done on what may be out of date (r now)")
        else:
            words = "  ".join(f"{letter} {action}" for letter, action in ACTS.items())
            self.await_key(
                f"{count_text(len(keys), 'job')}:  {words}  y copy the command to kill  Esc leaves",
                lambda letter: self._begin_act(letter, keys),
            )

    def _begin_act(self, letter: str, keys: list[JobKey]) -> None:
        if letter in ACTS:
            self.dashboard.show_action(ACTS[letter], keys)
        elif letter == "y":
            self.copy("\n".join(self._commands_of(keys)), "the command")
        else:
            self.say(f"no action has the key {safe(letter)}")

    def _commands_of(self, keys: list[JobKey]) -> list[str]:
        names = dict.fromkeys(name for name, _ in keys)
        return [
            self.dashboard.command_line(KILL, name, [key for where, key in keys if where == name])
            for name in names
        ]

    def action_yank(self) -> None:
        """Ask what is to be copied, and copy it."""
        keys = self.chosen
        if not keys:
            self.say("there is no job here")
            return
        self.await_key(
            "copy:  p path  i id  c command  r rows  Esc leaves",
            lambda letter: self._yank(letter, keys),
        )

    def _yank(self, letter: str, keys: list[JobKey]) -> None:
        jobs = [(key[0], job) for key in keys if (job := self.dashboard.job(key)) is not None]
        texts = {
            "p": ("the path", [job.path for _, job in jobs]),
            "i": ("the id", [key for _, key in keys]),
            "c": ("the command", self._commands_of(keys)),
            "r": ("the rows", ["\t".join(row_texts(name, job)) for name, job in jobs]),
        }
        if letter not in texts:
            self.say(f"nothing has the key {safe(letter)}")
            return
        word, lines = texts[letter]
        self.copy("\n".join(map(safe, lines)) if letter != "r" else "\n".join(lines), word)

    def copy(self, text: str, what: str) -> None:
        """Copy a text to the terminal's clipboard."""
        if not text:
            self.say("there is nothing to copy")
            return
        self.app.copy_to_clipboard(text)
        self.say(
            f"{what} was sent to the terminal's clipboard (OSC 52; tmux needs set-clipboard on)"
        )
