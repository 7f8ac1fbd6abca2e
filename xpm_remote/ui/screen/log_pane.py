"""The widget of a log: a window of lines by their offsets, which is filled as one scrolls, follows, or searches."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from xpm_remote.errors import XpmRemoteError
from xpm_remote.jobs.interface import LOG_PART
from xpm_remote.ui.screen.tabular import begin
from xpm_remote.ui.tables.colours import segments
from xpm_remote.ui.tables.columns import Cell
from xpm_remote.ui.tables.log_window import HELD, LogLine, LogWindow, index_at
from xpm_remote.ui.text import size_text
from xpm_remote.workspace.inspecting.answers import LogMatch, LogPart

if TYPE_CHECKING:
    from xpm_remote.jobs.remote import RemoteJobs
    from xpm_remote.workspace.layout import JobId

ERR, OUT = "err", "out"

WORDS = {ERR: "stderr", OUT: "stdout"}

CONTEXT = 4 * 1024
"""Bytes before a traceback that are read with it."""

SIDEWAYS = 16
"""Columns by which an arrow moves."""

WHEEL = 3

_FOUND = Style(bold=True, color="yellow")
_CURRENT = Style(reverse=True)

Open = Callable[[], AbstractAsyncContextManager["RemoteJobs"]]


class LogPane(Widget, can_focus=True):
    """Shows one log.

    Args:
        stream: Which log of the job.
        changed: Is called when what is to be said of it differs.
    """

    DEFAULT_CSS = "LogPane { height: 1fr; width: 1fr; }"

    def __init__(self, stream: str, changed: Callable[[], None]) -> None:
        super().__init__(id=f"log-{stream}")
        self.stream = stream
        self._changed = changed
        self._open: Open | None = None
        self._job: JobId | None = None
        self._attempt = ""
        self.reset()

    def reset(self) -> None:
        """Forget the log, since another one comes."""
        self.window = LogWindow()
        self.is_following = False
        self.is_known = False
        self.is_there = False
        self.trouble = ""
        self.unseen = 0
        self.current: int | None = None
        self.pattern = ""
        self.matches: list[LogMatch] = []
        self.total = self.reached = 0
        self.is_searched = True
        self._filtered: list[LogLine] | None = None
        self._top = self._left = 0
        self._is_busy = False

    # What is shown

    @property
    def lines(self) -> Sequence[LogLine]:
        """The lines that can be scrolled through now."""
        return self.window.lines if self._filtered is None else self._filtered

    @property
    def line_at(self) -> str:
        """The text of the line that was found last, else of the first one on the screen, without colours."""
        found = (line for line in self.lines if line.start == self.current)
        line = next(found, None) or next(iter(self.lines[self._top : self._top + 1]), None)
        return "" if line is None else "".join(each.text for each in segments(line.text))

    @property
    def is_filtered(self) -> bool:
        """Whether only the lines that match are shown."""
        return self._filtered is not None

    @property
    def room(self) -> int:
        """The number of lines that are on the screen."""
        return max(1, self.size.height)

    def cells(self) -> list[Cell]:
        """Return what is to be said of the log."""
        window = self.window
        if self.trouble:
            return [Cell(self.trouble, "failed")]
        if not self.is_known:
            return [Cell(f"{WORDS[self.stream]} …", "dim")]
        if not self.is_there:
            return [Cell(f"there is no {WORDS[self.stream]}", "dim")]
        return [Cell(f"{WORDS[self.stream]} {size_text(window.size)}")]

    @property
    def status(self) -> Cell:
        """Whether it is followed, what came meanwhile, or what was found."""
        if self.pattern:
            return Cell(self._found_words(), "key")
        if self.is_following:
            return Cell("following", "running")
        return Cell(f"+{self.unseen:,} new (G)" if self.unseen else "", "waiting")

    def _found_words(self) -> str:
        kept = len(self.matches)
        if not self.is_searched:
            done = self.reached / self.window.size if self.window.size else 1.0
            count = f"{self.total:,} so far, {done:.0%} searched".replace("%", " %")
        elif not kept:
            count = "not found"
        else:
            at = next((n for n, m in enumerate(self.matches, 1) if m.line == self.current), 0)
            count = f"{at:,} of {self.total:,}" if at else f"{self.total:,}"
            if kept < self.total:
                count += f", the first {kept:,} can be gone to"
        return f"{'&' if self.is_filtered else '/'}{self.pattern}: {count}"

    @property
    def position(self) -> str:
        """How far the first line on the screen is into the log."""
        if not self.window.size or not self.lines:
            return ""
        last = min(len(self.lines), self._top + self.room) - 1
        return f"{min(1.0, self.lines[last].end / self.window.size):.0%}".replace("%", " %")

    def render_line(self, y: int) -> Strip:
        """Draw a line."""
        width, index = self.size.width, self._top + y
        if not 0 <= index < len(self.lines):
            return Strip.blank(width)
        line = self.lines[index]
        strip = Strip(list(segments(line.text))).crop(self._left, self._left + width)
        if line.start == self.current:
            strip = strip.adjust_cell_length(width).apply_style(_CURRENT)
        elif any(match.line == line.start for match in self._near(line.start)):
            strip = strip.apply_style(_FOUND)
        return Strip([*strip, Segment("")]).adjust_cell_length(width)

    def _near(self, offset: int) -> Sequence[LogMatch]:
        at = bisect_left(self.matches, offset, key=lambda match: match.line)
        return self.matches[at : at + 1]

    # Reading

    async def show(
        self,
        job: JobId,
        open_jobs: Open,
        traceback: Callable[[], AsyncIterator[int]] | None,
        attempt: str = "",
    ) -> None:
        """Show the log of a job: at the offset that is found, else at its end."""
        self.reset()
        self._job, self._open, self._attempt = job, open_jobs, attempt
        part = await self._read()
        self.is_known = True
        if part is None:
            self._redraw()
            return
        self.is_there = True
        self.window.begin(part)
        self.to_end()
        if traceback is not None and part.size:
            async for offset in traceback():
                await self.go_to(offset, context=CONTEXT)
                self._fit_traceback(offset)
        self._redraw()

    async def _read(self, *, before: int | None = None, after: int | None = None) -> LogPart | None:
        """Read a part; where that fails, say so and return None."""
        if self._open is None or self._job is None:
            return None
        job = self._job
        try:
            async with self._open() as jobs:
                part = await jobs.read_log(
                    job, self.stream, before=before, after=after, attempt=self._attempt
                )
        except XpmRemoteError as error:
            self.trouble = str(error)
            self._redraw()
            return None
        self.trouble = ""
        return part if job is self._job else None

    async def go_to(self, offset: int, *, context: int = LOG_PART // 2) -> None:
        """Show the line at an offset, near the top."""
        window = self.window
        if not window.start <= offset < window.end:
            part = await self._read(after=max(0, offset - context))
            if part is None:
                return
            if part.start and part.start < offset:
                # It may begin within a line.
                part = _from_line(part)
            window.begin(part)
        self._filtered = None
        self.is_following = False
        index = window.index_at(offset)
        self.current = window.lines[index].start if window.lines else None
        self._top = max(0, index - min(2, self.room // 4))
        self._redraw()

    def _fit_traceback(self, offset: int) -> None:
        """Show the exception too, where the traceback is longer than the screen."""
        lines = self.window.lines
        first = self.window.index_at(offset)
        for index in range(first + 1, len(lines)):
            raw = lines[index].raw
            if raw.strip() and not raw.startswith((b" ", b"\t", b"Traceback")):
                self._top = max(self._top, index - self.room + 2)
                return

    async def read_on(self) -> None:
        """Read what was added to the log."""
        if self._is_busy or not self.is_known:
            return
        self._is_busy = True
        try:
            part = await self._read(after=self.window.end)
            if part is None:
                return
            if not self.is_there or not self.window.lines:
                self.is_there = True
                self.window.begin(part)
                self.to_end()
            elif part.size - part.end > HELD and self.is_following:
                await self._begin_at_end()
            elif part.size > self.window.size or part.end > self.window.end:
                self._take(part)
            elif part.inode != self.window.inode or part.size < self.window.size:
                await self._begin_at_end()
        finally:
            self._is_busy = False

    def _take(self, part: LogPart) -> None:
        top = self.lines[self._top].start if self._top < len(self.lines) else 0
        # What comes while one reads farther up must not push out what is read.
        if not self.is_following and self.window.end - top > HELD // 2:
            self.unseen += part.text.count("\n")
            self.window.size = part.size
        elif self.window.append(part):
            if self.is_following:
                self._scroll_to_end()
            else:
                self.unseen += part.text.count("\n")
                if self._filtered is None:
                    self._top = self.window.index_at(top)
        self._redraw()

    async def _begin_at_end(self) -> None:
        part = await self._read()
        if part is not None:
            self.window.begin(part)
            self.to_end()

    async def _extend(self, *, is_up: bool) -> None:
        """Read what is before, or after, what is held."""
        window = self.window
        if self._is_busy or self._filtered is not None:
            return
        if (is_up and not window.start) or (not is_up and window.is_at_end):
            return
        self._is_busy = True
        try:
            part = (
                await self._read(before=window.start)
                if is_up
                else await self._read(after=window.end)
            )
            if part is None or not window.lines:
                return
            top = window.lines[min(self._top, len(window.lines) - 1)].start
            if window.prepend(part) if is_up else window.append(part):
                self._top = window.index_at(top)
            else:
                await self._begin_at_end()
        finally:
            self._is_busy = False
        self._redraw()

    # Moving

    def move(self, step: int) -> None:
        """Scroll by some lines; upwards, following pauses."""
        last = max(0, len(self.lines) - self.room)
        self._top = max(0, min(self._top + step, last))
        is_at_end = self._top == last and self.window.is_at_end and self._filtered is None
        if step < 0:
            self.is_following = False
        elif is_at_end:
            self.is_following, self.unseen = True, 0
        if self._top < self.room and step < 0:
            begin(self, partial(self._extend, is_up=True), group="log")
        elif self._top > last - self.room and step > 0:
            begin(self, partial(self._extend, is_up=False), group="log")
        self._redraw()

    def sideways(self, step: int) -> None:
        """Move to the right or left by some columns."""
        self._left = max(0, self._left + step * SIDEWAYS)
        self._redraw()

    def to_end(self) -> None:
        """Show the end, if that is held, and follow."""
        self._filtered = None
        self.is_following, self.unseen = True, 0
        self._scroll_to_end()
        self._redraw()

    def _scroll_to_end(self) -> None:
        self._top = max(0, len(self.window.lines) - self.room)

    async def last(self) -> None:
        """Go to the end of the log and follow it."""
        if not self.window.is_at_end:
            await self._begin_at_end()
        self.to_end()

    async def first(self) -> None:
        """Go to its beginning."""
        if self._filtered is None and self.window.start:
            part = await self._read(after=0)
            if part is None:
                return
            self.window.begin(part)
        self.is_following = False
        self._top = 0
        self._redraw()

    # Searching

    async def search(self, pattern: str, *, only: bool) -> None:
        """Search the whole log where it is.

        Args:
            pattern: A text, or a regular expression after ``~``; case counts where there is a capital letter.
            only: Whether only the lines that match are to be shown.
        """
        self.pattern, self.matches, self.total, self.reached = pattern, [], 0, 0
        self.current = None
        self._filtered = [] if only and pattern else None
        if not pattern or self._open is None or self._job is None:
            self._redraw()
            return
        self.is_searched, self.is_following = False, False
        self._top = 0 if self._filtered is not None else self._top
        here = self.lines[self._top].start if self.lines else 0
        is_regex = pattern.startswith("~") and len(pattern) > 1
        try:
            async with self._open() as jobs:
                found = jobs.search_log(
                    self._job,
                    self.stream,
                    pattern[1:] if is_regex else pattern,
                    is_regex=is_regex,
                    ignore_case=pattern == pattern.lower(),
                    attempt=self._attempt,
                )
                async with aclosing(found):
                    async for part in found:
                        self._found(part.matches, part.total, part.reached)
        except XpmRemoteError as error:
            self.trouble = str(error)
        self.is_searched = True
        if not only and self.matches:
            await self._go_to_match(index_of(self.matches, here))
        self._redraw()

    def _found(self, matches: Sequence[LogMatch], total: int, reached: int) -> None:
        self.matches += matches
        self.total, self.reached = total, reached
        if self._filtered is not None:
            for match in matches:
                raw = match.text.encode("utf-8", "surrogateescape")
                self._filtered.append(LogLine(match.line, match.line + len(raw), raw))
        self._redraw()

    async def next(self, step: int) -> None:
        """Go to the next match, or the one before."""
        if not self.matches:
            return
        at = next((n for n, m in enumerate(self.matches) if m.line == self.current), None)
        if at is None:
            here = self.lines[self._top].start if self.lines else 0
            at = index_of(self.matches, here) - (step > 0)
        await self._go_to_match((at + step) % len(self.matches))

    async def _go_to_match(self, number: int) -> None:
        match = self.matches[number]
        if self._filtered is None:
            await self.go_to(match.line)
            return
        self.current = match.line
        index = index_at(self._filtered, match.line)
        if not self._top <= index < self._top + self.room:
            self._top = max(0, index - self.room // 2)
        self._redraw()

    async def unfilter(self) -> None:
        """Show the whole log again, at the line that was found."""
        line = self.current
        if line is None and self._filtered:
            line = self._filtered[min(self._top, len(self._filtered) - 1)].start
        self._filtered = None
        if line is not None:
            await self.go_to(line)
        self._redraw()

    def _redraw(self) -> None:
        self.refresh()
        self._changed()

    def on_resize(self) -> None:
        """Keep the end on the screen where it is followed."""
        if self.is_following:
            self._scroll_to_end()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll by the wheel."""
        event.stop()
        self.move(WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll back by the wheel."""
        event.stop()
        self.move(-WHEEL)


def index_of(matches: Sequence[LogMatch], offset: int) -> int:
    """Return the number of the first match from an offset on, the first of all where there is none."""
    return next((n for n, match in enumerate(matches) if match.line >= offset), 0)


def _from_line(part: LogPart) -> LogPart:
    """Return a part without the rest of a line with which it begins."""
    head, found, rest = part.text.partition("\n")
    if not found:
        return part
    length = len(head.encode("utf-8", "surrogateescape")) + 1
    return part._replace(text=rest, start=part.start + length)
