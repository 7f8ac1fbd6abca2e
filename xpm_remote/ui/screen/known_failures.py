"""Why jobs of the fleet failed, asked of their hosts once, and for those that fail later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from xpm_remote.errors import XpmRemoteError
from xpm_remote.escaping import safe
from xpm_remote.session.state import Phase, Picture
from xpm_remote.ui.tables.columns import Cell
from xpm_remote.ui.tables.jobs import JobKey
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import DEPENDENCY

if TYPE_CHECKING:
    from xpm_remote.model.entities import Job
    from xpm_remote.ui.screen.questions import Questions
    from xpm_remote.workspace.inspecting.answers import Failure

MOST = 5_000
"""Failures of a workspace that are asked about, the latest."""


PAUSE = 10.0
"""Seconds before a workspace that could not be asked, or does not know of a failure yet, is asked again by itself."""


BEHIND_MOST = 3
"""Times that a host is asked again why a job was not started that does not know yet that it was not."""


class KnownFailures:
    """Asks why jobs failed, page by page, the latest first.

    Args:
        questions: Where to ask.
        changed: Is called when more is known.

    Attributes:
        by_job: The failures.
        trouble: Why a workspace could not be asked, by its name.
        is_asking: The names of the workspaces that are asked now.
    """

    def __init__(self, questions: Questions, changed: Callable[[], None]) -> None:
        self._questions = questions
        self._changed = changed
        self._asked: dict[JobKey, Job] = {}
        self._not_before: dict[str, float] = {}
        self._refused: dict[str, float] = {}
        self._behind: dict[JobKey, tuple[int, float]] = {}
        self.by_job: dict[JobKey, Failure] = {}
        self.trouble: dict[str, str] = {}
        self.is_asking: set[str] = set()
        self.version = 0

    def all(self) -> Iterator[tuple[str, Failure]]:
        """Yield all failures, each with the name of its workspace."""
        for (name, _), failure in self.by_job.items():
            yield name, failure

    def cause(self, key: JobKey) -> str:
        """Return the cause of a failure, for a job that was not started that of the one that it needed; else ""."""
        failure = self.by_job.get(key)
        if failure is None:
            return ""
        if failure.reason == DEPENDENCY and failure.root is not None:
            failure = self.by_job.get((key[0], str(failure.root)), failure)
        return failure.cause

    def cells(self) -> list[Cell]:
        """Return which workspaces are asked now, and which cannot be asked and why."""
        asking = safe(", ".join(sorted(self.is_asking)))
        trouble = [Cell(safe(f"{name}: {why}"), "failed") for name, why in self.trouble.items()]
        return [Cell(f"asking {asking} …" if asking else "", "dim"), *trouble]

    def retry(self) -> None:
        """Ask again at once where that has failed."""
        self._not_before.clear()
        self._refused.clear()

    async def ask(
        self, pictures: Mapping[str, Picture], only: Collection[JobKey] | None = None
    ) -> None:
        """Ask each workspace that is live about the failures that are not known, and forget those that are none.

        Args:
            pictures: The workspaces.
            only: The jobs that are meant; None: all.
        """
        now = asyncio.get_running_loop().time()
        # Who looks at the causes waits for them; by itself a host that refuses is not asked again on the same link.
        refused = {} if only is None else self._refused
        work = [
            self._ask(name, picture, only)
            for name, picture in pictures.items()
            if picture.link.phase is Phase.LIVE
            and refused.get(name) != picture.link.since
            and name not in self.is_asking
            and now >= self._not_before.get(name, now)
        ]
        await asyncio.gather(*work)

    async def _ask(self, name: str, picture: Picture, only: Collection[JobKey] | None) -> None:
        failed = {job.key: job for job in picture.store.latest_failures(MOST)}
        for key in [key for key in self.by_job if key[0] == name and key[1] not in failed]:
            del self.by_job[key]
            self._asked.pop(key, None)
            self._note()
        wanted = [
            key
            for key, job in failed.items()
            if (only is None or (name, key) in only) and not self.is_asked((name, key), job)
        ]
        if not wanted:
            return
        self.is_asking.add(name)
        behind: set[JobKey] = set()
        try:
            async with self._questions.at(name) as jobs:
                ids = [JobId(*key.split("/", 1)) for key in wanted]
                async with aclosing(jobs.failures(ids, {})) as pages:
                    async for page in pages:
                        for failure in page:
                            which = (name, str(failure.job))
                            if self._is_behind(which, failed.get(which[1]), failure):
                                behind.add(which)
                            else:
                                self.by_job[which] = failure
                        self._note()
            told = {(name, key): failed[key] for key in wanted if (name, key) not in behind}
            self._asked.update(told)
            self.trouble.pop(name, None)
        except XpmRemoteError as error:
            self.trouble[name] = str(error)
            self._not_before[name] = asyncio.get_running_loop().time() + PAUSE
            self._refused[name] = picture.link.since
        finally:
            self.is_asking.discard(name)
            self._note()

    def is_asked(self, key: JobKey, job: Job) -> bool:
        """Return whether it is known why a job failed, as far as its host knows that."""
        if self._behind.get(key, (0, 0.0))[1] > asyncio.get_running_loop().time():
            return True
        asked = self._asked.get(key)
        return asked is not None and (asked.started, asked.ended) == (job.started, job.ended)

    def _is_behind(self, key: JobKey, job: Job | None, failure: Failure) -> bool:
        """Return whether a host is to be asked again, since it has yet to hear from the scheduler what we have."""
        times, _ = self._behind.get(key, (0, 0.0))
        is_told = job is None or job.reason != DEPENDENCY or failure.reason == DEPENDENCY
        if is_told or times >= BEHIND_MOST:
            self._behind.pop(key, None)
            return False
        loop = asyncio.get_running_loop()
        self._behind[key] = (times + 1, loop.time() + PAUSE)
        loop.call_later(PAUSE, self._changed)
        return True

    def _note(self) -> None:
        self.version += 1
        self._changed()
