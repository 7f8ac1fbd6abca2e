"""Going through lists, jobs and logs, over the same tables as the dashboard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from itertools import islice
from typing import TYPE_CHECKING

from xpm_remote.errors import XpmRemoteError
from xpm_remote.escaping import safe
from xpm_remote.model.causes import find_causes
from xpm_remote.session.state import Phase, Picture
from xpm_remote.ui.plain.entries import (
    WIDTH,
    cause_entry,
    fleet_entries,
    match_entry,
    numbers,
    page_entry,
)
from xpm_remote.ui.plain.lines import Lines
from xpm_remote.ui.plain.places import JobListing, Listing, LogReading
from xpm_remote.ui.tables.columns import Look
from xpm_remote.ui.tables.job_page import JobPage, page_lines
from xpm_remote.ui.tables.jobs import JobKey, JobRow, brief_key
from xpm_remote.ui.tables.links import is_stale
from xpm_remote.ui.tables.view import View
from xpm_remote.ui.text import count_text
from xpm_remote.workspace.inspecting.answers import LogMatch
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.states import State

if TYPE_CHECKING:
    from xpm_remote.jobs.remote import RemoteJobs
    from xpm_remote.ui.screen.triage import Triage

MATCHES = 20
"""Matches in a log that are listed."""

Place = Listing | LogReading


class Browsing:
    """Where the person is, and the ways from there.

    Args:
        lines: The terminal.
        triage: What is known of failures, and where to ask.
        pictures: Returns the workspaces by their names.
    """

    def __init__(
        self, lines: Lines, triage: Triage, pictures: Callable[[], Mapping[str, Picture]]
    ) -> None:
        self._lines = lines
        self._triage = triage
        self._find_pictures = pictures
        self._places: list[Place] = []

    @property
    def _pictures(self) -> Mapping[str, Picture]:
        return self._find_pictures()

    def _show(self, place: Listing) -> None:
        self._places.append(place)
        self._lines.say(place.title)
        for line in place.more():
            self._lines.say(line)

    @property
    def place(self) -> Place:
        """What was listed last.

        Raises:
            ValueError: Nothing has been.
        """
        if not self._places:
            raise ValueError("nothing is listed yet: fleet, jobs and failures list")
        return self._places[-1]

    def _number(self, word: str) -> int:
        (number,) = numbers([word], len(self.place.numbered))[:1]
        return number

    # Lists

    async def list_fleet(self, _: Sequence[str]) -> None:
        """List the workspaces with their experiments."""
        entries = fleet_entries(self._pictures, time.time())
        self._show(Listing(count_text(len(self._pictures), "workspace"), entries))

    async def list_jobs(self, words: Sequence[str]) -> None:
        """List the jobs of all workspaces, or of one."""
        name = " ".join(words)
        if name and name not in self._pictures:
            known = ", ".join(map(safe, self._pictures))
            raise ValueError(f"there is no workspace {safe(name)}; there are {known or 'none'}")
        await self._show_jobs(name)

    async def _show_jobs(
        self, workspace: str, experiment: str = "", view: View | None = None
    ) -> None:
        where = " of ".join(filter(None, (safe(experiment), safe(workspace)))) or "all workspaces"
        try:
            place = JobListing(where, self.look(), workspace, experiment, view)
        except KeyError as error:
            raise ValueError(
                f"there is no {safe(str(error.args[0]))} to sort or group by"
            ) from None
        await place.fill(self._rows(workspace, experiment))
        if place.expected:
            self._lines.say(f"the filter is not finished: expected {place.expected}")
        for name in sorted(self.look().stale & ({workspace} if workspace else set(self._pictures))):
            self._lines.say(f"{safe(name)} is STALE: what is listed of it may be out of date")
        for name, picture in self._pictures.items():
            is_unread = picture.link.phase is not Phase.LIVE and not is_stale(picture)
            if is_unread and workspace in ("", name):
                self._lines.say(f"{safe(name)} is not read yet: {picture.link.phase.value}")
        self._show(place)

    def _rows(self, workspace: str, experiment: str) -> Iterator[JobRow]:
        for name, picture in self._pictures.items():
            if workspace in ("", name):
                for key in list(picture.store.keys_in(experiment=experiment or None)):
                    job = picture.store.jobs.get(key)
                    if job is not None:
                        yield self._triage.row(name, picture, job)

    def look(self) -> Look:
        """Return what cells are told by."""
        skews = {name: picture.skew for name, picture in self._pictures.items()}
        stale = frozenset(name for name, each in self._pictures.items() if is_stale(each))
        return Look(time.time(), skews, stale, (), is_ascii=True)

    async def list_failures(self, _: Sequence[str]) -> None:
        """List why jobs failed, cause by cause."""
        known = self._triage.failures
        if known is None:
            return
        self._lines.say("asking why jobs failed")
        await known.ask(self._pictures)
        new, muted = self._triage.new(self._pictures), self._triage.muted(self._pictures)
        causes = find_causes(known.all())
        entries = [
            cause_entry(
                cause,
                new=sum((each.workspace, str(each.job)) in new for each in cause.failed),
                is_muted=cause.key in muted,
                now=time.time(),
            )
            for cause in causes
        ]
        for name, trouble in known.trouble.items():
            self._lines.say(f"{safe(name)} could not be asked: {safe(trouble)}")
        total = sum(cause.total for cause in causes)
        self._show(
            Listing(
                f"{count_text(total, 'failure')} in {count_text(len(causes), 'cause')}", entries
            )
        )

    async def find(self, words: Sequence[str]) -> None:
        """List only the jobs that match, or the lines of the log."""
        place, text = self.place, " ".join(words)
        if isinstance(place, LogReading):
            await self._search(place, text)
        elif isinstance(place, JobListing):
            self._places.pop()
            view = View(text, place.view.sort, place.view.is_reversed, place.view.group)
            await self._show_jobs(place.workspace, place.experiment, view)
        else:
            await self._show_jobs("", "", View(text))

    async def sort(self, words: Sequence[str]) -> None:
        """Sort the jobs."""
        await self._rearrange(lambda view: view.sorted_by(" ".join(words)))

    async def group(self, words: Sequence[str]) -> None:
        """Group the jobs."""
        await self._rearrange(lambda view: view.grouped_by(" ".join(words) or "none"))

    async def _rearrange(self, change: Callable[[View], View]) -> None:
        place = self._places[-1] if self._places else None
        if not isinstance(place, JobListing):
            raise ValueError("that is for a list of jobs: jobs")
        try:
            view = change(place.view)
        except KeyError as error:
            raise ValueError(
                f"there is no {safe(str(error.args[0]))} to sort or group by"
            ) from None
        self._places.pop()
        await self._show_jobs(place.workspace, place.experiment, view)

    # Going on

    async def open(self, words: Sequence[str]) -> None:
        """Go to a line."""
        entry = self.place.numbered[self._number(words[0] if words else "") - 1]
        place = self.place
        if entry.offset is not None and place.job is not None:
            await self._read_log(place.job, place.stream, entry.offset)
        elif entry.workspace:
            await self._show_jobs(entry.workspace, entry.experiment)
        elif entry.log and entry.job is not None:
            await self._read_log(entry.job, entry.log, None)
        elif entry.job is not None:
            await self._describe(entry.job)
        else:
            await self._list_some(entry.text, entry.jobs)

    async def _list_some(self, title: str, keys: Sequence[JobKey]) -> None:
        place = JobListing(title, self.look())
        place.is_chosen = True
        found = ((name, self._pictures[name].store.jobs.get(key)) for name, key in keys)
        rows = [self._triage.row(n, self._pictures[n], job) for n, job in found if job is not None]
        await place.fill(iter(rows))
        self._show(place)

    def _job_of(self, words: Sequence[str]) -> JobKey:
        """Return the job that words mean: that of a line, the one whose id has them, or the one that is shown."""
        if not words:
            if self._places and self.place.job is not None:
                return self.place.job
            raise ValueError("which one? name the number of a line")
        if words[0].isdecimal() and len(words[0]) < 6:
            entry = self.place.numbered[self._number(words[0]) - 1]
            if entry.job is None and not entry.jobs:
                raise ValueError(f"line {words[0]} is about no job")
            return entry.job or entry.jobs[0]
        text = " ".join(words)
        for name, picture in self._pictures.items():
            for key in picture.store.jobs:
                if text in key:
                    return name, key
        raise ValueError(f"no job has {safe(text)} in its id")

    async def open_job(self, words: Sequence[str]) -> None:
        """Describe a job."""
        await self._describe(self._job_of(words))

    async def _describe(self, key: JobKey) -> None:
        name, text = key
        picture = self._pictures[name]
        job = picture.store.jobs.get(text)
        if job is None:
            raise ValueError(f"{safe(text)} is not known any more")
        page = JobPage(self._triage.row(name, picture, job), samples=self._triage.samples(key))
        detail = failure = None
        trouble = ""
        try:
            async with self.ask(name) as jobs:
                detail = await jobs.detail(JobId(*text.split("/", 1)))
                if job.state is State.ERROR:
                    async with aclosing(jobs.failures([JobId(*text.split("/", 1))], {})) as pages:
                        failure = next(iter(await anext(pages)), None)
        except XpmRemoteError as error:
            trouble = str(error)
        page = JobPage(page.row, detail, failure, page.samples, trouble=trouble)
        lines = page_lines(page, self.look(), WIDTH)
        title = f"job {brief_key(job)} on {safe(name)}"
        self._show(Listing(title, (page_entry(key, line) for line in lines), key))

    def ask(self, name: str) -> AbstractAsyncContextManager[RemoteJobs]:
        """Return the jobs of a workspace, to be asked."""
        assert self._triage.questions is not None  # noqa: S101 - they begin with the session
        return self._triage.questions.at(name)

    async def open_log(self, words: Sequence[str]) -> None:
        """Read a log: at the traceback if the job failed, else its end; the other one where there is none."""
        is_out = bool(words) and words[-1] == "out"
        key = self._job_of(words[:-1] if is_out else words)
        job = self._pictures[key[0]].store.jobs.get(key[1])
        stream, offset = ("out" if is_out else "err"), None
        if job is not None and job.state is State.ERROR and not is_out:
            identity = JobId(*key[1].split("/", 1))
            async with self.ask(key[0]) as jobs, aclosing(jobs.failures([identity], {})) as pages:
                async for page in pages:
                    offset = next((each.offset for each in page), None)
        await self._read_log(key, stream, offset, is_chosen=False)

    async def _read_log(
        self, key: JobKey, stream: str, offset: int | None, *, is_chosen: bool = True
    ) -> None:
        job = self._pictures[key[0]].store.jobs.get(key[1])
        name = brief_key(job) if job is not None else safe(key[1])
        place = LogReading(key, stream, name)
        async with self.ask(key[0]) as jobs:
            lines = await place.begin(jobs, offset)
            if not lines and stream == "err" and not is_chosen:
                self._lines.say(f"{place.title} is empty")
                place = LogReading(key, "out", name)
                lines = await place.begin(jobs, None)
        lines = lines or [f"{place.title} is empty"]
        self._places.append(place)
        self._say_all([place.title, *lines])

    def _say_all(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._lines.say(line)

    async def _search(self, place: LogReading, text: str) -> None:
        if not text:
            raise ValueError("find what? find TEXT")
        job = JobId(*place.job[1].split("/", 1))
        is_small = text == text.lower()
        total = 0
        found: list[LogMatch] = []
        async with self.ask(place.job[0]) as jobs:
            parts = jobs.search_log(job, place.stream, text, ignore_case=is_small)
            async with aclosing(parts):
                async for part in parts:
                    total = part.total
                    found += part.matches
        entries = [match_entry(match) for match in islice(found, MATCHES)]
        listing = Listing(
            f"{count_text(total, 'line')} with {safe(text)} in {place.title}",
            entries,
            place.job,
            place.stream,
        )
        self._show(listing)

    async def more(self, _: Sequence[str]) -> None:
        """Go on in the list or the log."""
        place = self.place
        if isinstance(place, LogReading):
            async with self.ask(place.job[0]) as jobs:
                lines = await place.after(jobs)
            self._say_all(lines or ["this is the end"])
        else:
            for line in list(place.more()) or ["this is the end"]:
                self._lines.say(line)

    async def earlier(self, _: Sequence[str]) -> None:
        """Read what is before in the log."""
        place = self.place
        if not isinstance(place, LogReading):
            raise ValueError("that is for a log: log N")
        async with self.ask(place.job[0]) as jobs:
            lines = await place.before(jobs)
        self._say_all(lines or ["this is the beginning"])

    async def back(self, _: Sequence[str]) -> None:
        """Go back one step."""
        if len(self._places) < 2:
            raise ValueError("there is nothing before this")
        self._places.pop()
        await self.again(())

    async def again(self, _: Sequence[str]) -> None:
        """List the same anew."""
        place = self.place
        self._places.pop()
        if isinstance(place, LogReading):
            await self._read_log(place.job, place.stream, place.begun)
        elif isinstance(place, JobListing) and not place.is_chosen:
            await self._show_jobs(place.workspace, place.experiment, place.view)
        else:
            place.rewind()
            self._show(place)
