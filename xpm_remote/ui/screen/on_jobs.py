"""What screens about jobs have: actions on them, and copying what names them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

from xpm_remote.errors import XpmRemoteError
from xpm_remote.escaping import safe
from xpm_remote.ui.screen.copying import copied_words, copy_by_tool, fit_to_paste
from xpm_remote.ui.screen.frame import Frame
from xpm_remote.ui.screen.tabular import begin
from xpm_remote.ui.tables.acts import KILL
from xpm_remote.ui.tables.acts import LETTERS as ACTS
from xpm_remote.ui.tables.jobs import JobKey, row_texts
from xpm_remote.ui.text import count_text
from xpm_remote.workspace.inspecting.tracebacks import traceback_text
from xpm_remote.workspace.layout import JobId

ERR = "err"


class OnJobs(Frame):
    """A screen with jobs that one can act on."""

    @property
    def chosen(self) -> list[JobKey]:
        """The jobs that an action is about."""
        return []

    @property
    def here(self) -> str:
        """The workspace of the job under the cursor."""
        return next((name for name, _ in self.chosen), "")

    def action_act(self) -> None:
        """Ask what is to be done, and plan it; on what may be out of date nothing is done."""
        keys = self.chosen
        stale = self.dashboard.look().stale & {name for name, _ in keys}
        if not keys:
            self.say("there is no job here")
        elif stale:
            names = safe(", ".join(sorted(stale)))
            self.say(
                f"{names} is STALE: nothing is done on what may be out of date ({self.key_of('retry')} now)"
            )
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

    def action_open(self) -> None:
        """Open a shell in the directory of the job; on a cluster that may be out of reach nothing is opened."""
        key = next(iter(self.chosen), None)
        if key is None:
            self.say("there is no job here")
        elif key[0] in self.dashboard.look().stale:
            self.say(f"{safe(key[0])} is STALE: its host cannot be reached now (r now)")
        else:
            self.dashboard.open_directory(key)

    def action_yank(self) -> None:
        """Ask what is to be copied, and copy it."""
        keys = self.chosen
        if not keys:
            self.say("there is no job here")
            return
        line = "  l line" if self.line_at is not None else ""
        self.await_key(
            f"copy:  p path  i id  c command  t traceback{line}  r rows  Esc leaves",
            lambda letter: self._yank(letter, keys),
        )

    @property
    def line_at(self) -> str | None:
        """The line of a log that can be copied; None where there is no log."""
        return None

    def _yank(self, letter: str, keys: list[JobKey]) -> None:
        jobs = [(key[0], job) for key in keys if (job := self.dashboard.job(key)) is not None]
        texts = {
            "p": ("the path", [job.path for _, job in jobs]),
            "i": ("the id", [key for _, key in keys]),
            "c": ("the command", self._commands_of(keys)),
            "r": ("the rows", ["\t".join(row_texts(name, job)) for name, job in jobs]),
        }
        if self.line_at is not None:
            texts["l"] = ("the line", [self.line_at])
        if letter == "t":
            begin(self, partial(self._yank_traceback, keys[0]), group="load")
        elif letter in texts:
            word, lines = texts[letter]
            self.copy("\n".join(lines), word)
        else:
            self.say(f"nothing has the key {safe(letter)}")

    async def _yank_traceback(self, key: JobKey) -> None:
        """Copy the traceback with which a job failed; without one, why it failed."""
        questions, job = self.dashboard.triage.questions, JobId(*key[1].split("/", 1))
        if questions is None:
            return
        self.say("reading the traceback …")
        part = failure = None
        try:
            async with questions.at(key[0]) as jobs:
                async with aclosing(jobs.failures([job], {})) as pages:
                    async for page in pages:
                        failure = next(iter(page), failure)
                if failure is not None and failure.offset is not None:
                    part = await jobs.read_log(job, ERR, after=failure.offset)
        except XpmRemoteError as error:
            self.say(f"the traceback cannot be read: {safe(str(error))}")
            return
        if part is not None:
            self.copy(traceback_text(part.text), "the traceback")
        elif failure is not None and failure.message:
            self.copy(failure.message, "why it failed (there is no traceback)")
        else:
            self.say("the job has no traceback")

    def copy(self, text: str, what: str) -> None:
        """Copy a text to the clipboards, and say which took it."""
        if not text:
            self.say("there is nothing to copy")
            return
        begin(self, partial(self._copy, text, what), group="copy", is_exclusive=True)

    async def _copy(self, text: str, what: str) -> None:
        text, is_changed = fit_to_paste(text)
        self.app.copy_to_clipboard(text)
        tool, trouble = await copy_by_tool(text, self.dashboard.environ)
        self.say(copied_words(what, text, tool, trouble, is_changed=is_changed))


class OnOneJob(OnJobs):
    """A screen about one job of a list, from which one goes on to the next and to the one before.

    Args:
        key: The job.
        others: The jobs of the list that it is in.
    """

    def __init__(self, key: JobKey, others: Sequence[JobKey] = ()) -> None:
        super().__init__()
        self.key = key
        self._others = list(others) or [key]
        # Looked for once: a list may have many thousand jobs.
        self._at = self._others.index(key) if key in self._others else None

    def begin(self) -> None:
        """Show the job that is meant now."""

    @property
    def chosen(self) -> list[JobKey]:
        """The job that an action is about."""
        return [self.key]

    @property
    def place_in_list(self) -> str:
        """Which one of the list the job is; empty for one alone."""
        number = len(self._others)
        return "" if self._at is None or number == 1 else f"job {self._at + 1:,} of {number:,}"

    def action_next_job(self) -> None:
        """Go to the next job of the list."""
        self._go(1)

    def action_previous_job(self) -> None:
        """Go to the job before."""
        self._go(-1)

    def _go(self, step: int) -> None:
        at = 0 if self._at is None else self._at + step
        if not 0 <= at < len(self._others):
            self.say("this is the last job of the list" if step > 0 else "this is the first one")
            return
        self._at, self.key = at, self._others[at]
        self.begin()
        self.paint()
