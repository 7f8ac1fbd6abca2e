"""What the line mode shows: lists of jobs, of anything else, and a log; each goes on from where it was."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from xpm_remote.escaping import safe
from xpm_remote.ui.plain.entries import Entry, table_entry
from xpm_remote.ui.screen.match_limit import LIMIT
from xpm_remote.ui.tables.colours import segments
from xpm_remote.ui.tables.columns import Look
from xpm_remote.ui.tables.finding import Finder
from xpm_remote.ui.tables.jobs import JobKey, JobRow, grouping, job_order
from xpm_remote.ui.tables.table import Table
from xpm_remote.ui.tables.view import View
from xpm_remote.ui.text import count_text
from xpm_remote.workspace.layout import JobId

if TYPE_CHECKING:
    from xpm_remote.jobs.remote import RemoteJobs

PAGE = 20
"""Lines that are told at once."""

_SLICE = 1000


class Listing:
    """A list of lines.

    Args:
        title: What it is a list of.
        entries: The lines.
        job: The job that it is about, if it is about one.
        stream: Its log that it is about.

    Attributes:
        numbered: The lines that were told and lead somewhere, by their numbers from 1 on.
    """

    def __init__(
        self, title: str, entries: Iterable[Entry], job: JobKey | None = None, stream: str = "err"
    ) -> None:
        self.title = title
        self.job = job
        self.stream = stream
        self.numbered: list[Entry] = []
        self._entries = list(entries)
        self._told = 0

    @property
    def all_jobs(self) -> Sequence[JobKey]:
        """All jobs of the list."""
        return list(dict.fromkeys(key for entry in self._entries for key in entry.jobs))

    def __len__(self) -> int:
        return len(self._entries)

    def _entry(self, index: int) -> Entry:
        return self._entries[index]

    def rewind(self) -> None:
        """Begin anew."""
        self.numbered.clear()
        self._told = 0

    def more(self, count: int = PAGE) -> Iterator[str]:
        """Yield the next lines, numbered."""
        end = min(len(self), self._told + count)
        for index in range(self._told, end):
            entry = self._entry(index)
            if entry.is_numbered:
                self.numbered.append(entry)
            yield f"{len(self.numbered)}. {entry.text}" if entry.is_numbered else entry.text
        self._told = end
        if end < len(self):
            yield f"{len(self) - end:,} more lines: more lists them"


class JobListing(Listing):
    """A list of jobs, as the table of the dashboard.

    Args:
        title: What it is a list of.
        look: What lines are told by.
        workspace: The workspace whose jobs these are; empty for all.
        experiment: The experiment of it.
        view: How they are found, sorted and grouped.

    Attributes:
        is_chosen: Whether these are jobs of a line, and not all that are found.
        expected: What the filter lacks.
    """

    def __init__(
        self,
        title: str,
        look: Look,
        workspace: str = "",
        experiment: str = "",
        view: View | None = None,
    ) -> None:
        super().__init__(title, ())
        self.workspace = workspace
        self.experiment = experiment
        self.view = view or View()
        self._look = look
        self._table: Table[JobKey, JobRow] = Table(
            job_order(
                self.view.sort, is_reversed=self.view.is_reversed, group=grouping(self.view.group)
            )
        )
        self.is_chosen = False
        self.expected = ""

    async def fill(self, rows: Iterator[JobRow]) -> None:
        """Take the jobs, in slices."""
        part: dict[JobKey, JobRow | None] = {}
        for row in rows:
            part[row.key] = row
            if len(part) == _SLICE:
                self._table.update(part)
                part = {}
                await asyncio.sleep(0)
        self._table.update(part)
        finder = Finder(LIMIT.limited)
        finder.type(self.view.find, time.time())
        is_settled = False
        while not is_settled:
            for _ in self._table.arrange(self._table.order, finder.test):
                await asyncio.sleep(0)
            is_settled = finder.settle()
        self.expected = finder.expected
        shown, total = self._table.number_shown, len(self._table.rows)
        words = f"{shown:,} of {total:,} jobs" if shown != total else count_text(total, "job")
        how = "" if self.view == View() else f", {safe(self.view.words)}"
        self.title = f"{self.title}: {words}{how}"

    @property
    def all_jobs(self) -> Sequence[JobKey]:
        """All jobs that were found."""
        return list(self._table.shown_keys())

    def __len__(self) -> int:
        return len(self._table)

    def _entry(self, index: int) -> Entry:
        return table_entry(self._table, self._table.line(index), self._look)


class LogReading:
    """A log that is read part by part.

    Args:
        key: The job.
        stream: Which log.
        name: How the job is called.

    Attributes:
        begun: The place at which it was opened; None for the end.
    """

    def __init__(self, key: JobKey, stream: str, name: str) -> None:
        self.job = key
        self.stream = stream
        self.title = f"{'stderr' if stream == 'err' else 'stdout'} of {name}"
        self.numbered: list[Entry] = []
        self.all_jobs = [key]
        self.begun: int | None = None
        self._start = self._end = 0

    async def begin(self, jobs: RemoteJobs, offset: int | None) -> list[str]:
        """Return the lines from a place on, or the last ones; none where the log is empty or absent."""
        self.begun = offset
        if offset is not None:
            self._start = self._end = offset
            return await self.after(jobs)
        part = await jobs.read_log(JobId(*self.job[1].split("/", 1)), self.stream)
        if part is None:
            return []
        self._start = self._end = part.end
        return await self.before(jobs)

    async def after(self, jobs: RemoteJobs) -> list[str]:
        """Return the next lines."""
        job = JobId(*self.job[1].split("/", 1))
        part = await jobs.read_log(job, self.stream, after=self._end)
        lines = [] if part is None else _lines(part.text)[:PAGE]
        self._end += _length(lines)
        return [_shown(line) for line in lines]

    async def before(self, jobs: RemoteJobs) -> list[str]:
        """Return the lines before."""
        job = JobId(*self.job[1].split("/", 1))
        part = await jobs.read_log(job, self.stream, before=self._start)
        lines = [] if part is None else _lines(part.text)[-PAGE:]
        self._start -= _length(lines)
        return [_shown(line) for line in lines]


def _lines(text: str) -> list[str]:
    # As the file has them: str.splitlines knows more ends of lines.
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _length(lines: Sequence[str]) -> int:
    return sum(len(line.encode("utf-8", "surrogateescape")) for line in lines)


def _shown(line: str) -> str:
    text = line.rstrip("\r\n").rpartition("\r")[2]
    return safe("".join(each.text for each in segments(text)))
