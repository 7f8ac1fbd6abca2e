"""What is asked and remembered about failures: their causes, which are new, which are muted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from xpm_remote.model.entities import JobChange
from xpm_remote.session.state import Picture
from xpm_remote.ui.screen.known_failures import KnownFailures
from xpm_remote.ui.tables.jobs import JobKey, JobRow, brief_id
from xpm_remote.workspace.states import State

if TYPE_CHECKING:
    from xpm_remote.model.causes import Cause
    from xpm_remote.model.entities import Change, Job
    from xpm_remote.model.samples import Samples
    from xpm_remote.session.journal import Digest, Entry, Journal
    from xpm_remote.session.state import Update
    from xpm_remote.ui.screen.questions import Questions
    from xpm_remote.workspace.inspecting.answers import Failure

NEW_MOST = 500
"""New failures of a workspace whose causes are asked for by themselves, the latest."""


class Triage:
    """Knows why jobs failed, and what of it is new.

    Args:
        journal: What changed, and what has been seen; None where nothing is remembered.
        changed: Is called when more is known.

    Attributes:
        questions: Where to ask; None while there is no fleet.
        failures: The failures that are known; None while there is no fleet.
    """

    def __init__(self, journal: Journal | None, changed: Callable[[], None]) -> None:
        self._journal = journal
        self._changed = changed
        self._digests: dict[str, tuple[object, Digest | None]] = {}
        self._edits = 0
        self._news: dict[str, int] = {}
        self.questions: Questions | None = None
        self.failures: KnownFailures | None = None

    def begin(self, questions: Questions) -> None:
        """Begin to ask there."""
        self.questions = questions
        self.failures = KnownFailures(questions, self._changed)

    def note(self, name: str, update: Update, picture: Picture) -> None:
        """Take an update of a workspace."""
        if self._journal is not None:
            self._journal.note(name, update, picture)
        if any(map(_is_news, update.changes)):
            self._news[name] = self._news.get(name, 0) + 1

    @property
    def entries(self) -> Sequence[Entry]:
        """What changed, the latest last."""
        return () if self._journal is None else self._journal.entries

    def digest(self, name: str, picture: Picture) -> Digest | None:
        """Return what has not been seen of a workspace, with the causes as far as they are known."""
        if self._journal is None:
            return None
        version = self.failures.version if self.failures is not None else 0
        stamp = (self._news.get(name), version, self._edits, picture.link.since)
        if name not in self._digests or self._digests[name][0] != stamp:
            known = self.failures
            keys = [] if known is None else [key for where, key in known.by_job if where == name]
            causes = {} if known is None else {key: known.cause((name, key)) for key in keys}
            self._digests[name] = (stamp, self._journal.digest(name, causes))
        return self._digests[name][1]

    def digests(self, pictures: Mapping[str, Picture]) -> dict[str, Digest]:
        """Return what has not been seen of the workspaces in which something is new."""
        found = ((name, self.digest(name, picture)) for name, picture in pictures.items())
        return {name: digest for name, digest in found if digest}

    def see(self, name: str) -> None:
        """Record that all of a workspace has been seen."""
        if self._journal is not None:
            self._edits += 1
            self._journal.mark_seen(name)

    def new(self, pictures: Mapping[str, Picture]) -> frozenset[JobKey]:
        """Return the jobs whose failures have not been seen, without those of muted causes."""
        digests = {name: self.digest(name, picture) for name, picture in pictures.items()}
        return frozenset(
            (name, key)
            for name, digest in digests.items()
            if digest is not None
            for keys in digest.news.failures.values()
            for key in keys
        )

    def muted(self, pictures: Mapping[str, Picture]) -> frozenset[str]:
        """Return the causes that are not to be told."""
        if self._journal is None:
            return frozenset()
        return frozenset(cause for name in pictures for cause in self._journal.muted(name))

    def mute(self, cause: Cause, pictures: Mapping[str, Picture]) -> bool:
        """Mute a cause, or tell of it again; return whether it is muted now."""
        is_muted = cause.key not in self.muted(pictures)
        self._edits += 1
        for name in pictures if not is_muted else cause.workspaces:
            if self._journal is not None:
                self._journal.mute(name, cause.key, is_muted=is_muted)
        return is_muted

    def row(self, name: str, picture: Picture, job: Job) -> JobRow:
        """Return a job as a row of a table, with all that is known of it here."""
        message = picture.messages.get(job.key, "")
        if job.state is State.RUNNING:
            return JobRow(name, job, message, samples=self.samples((name, job.key)))
        if job.state is not State.ERROR:
            return JobRow(name, job, message)
        key, cause = (name, job.key), ""
        if self.failures is not None and key in self.failures.by_job:
            cause = self.failures.cause(key)
            message = _first_line(self.failures.by_job[key]) or message
        if self._journal is None:
            return JobRow(name, job, message, cause=cause)
        is_new = self._journal.is_new(name, job) and cause not in self._journal.muted(name)
        is_seen = not (is_new or self._journal.is_first_look(name))
        return JobRow(name, job, message, cause=cause, is_seen=is_seen, is_new=is_new)

    def unasked(self, pictures: Mapping[str, Picture]) -> frozenset[JobKey]:
        """Return the new failures whose causes are to be asked for, the latest of each workspace."""
        known, found = self.failures, set()
        for name, picture in pictures.items() if known is not None else ():
            digest = self.digest(name, picture)
            keys = [] if digest is None else digest.news.failures.get("", [])
            for key in islice(keys, NEW_MOST):
                job = picture.store.jobs.get(key)
                if job is not None and known is not None and not known.is_asked((name, key), job):
                    found.add((name, key))
        return frozenset(found)

    def samples(self, key: JobKey) -> Samples | None:
        """Return the progress of a job over time."""
        return None if self._journal is None else self._journal.samples(*key)

    async def aclose(self) -> None:
        """Ask no more."""
        if self.questions is not None:
            await self.questions.aclose()


def _first_line(failure: Failure) -> str:
    """Return in a line why a job failed."""
    if failure.needs is not None:
        return f"needs {brief_id(failure.needs.task, failure.needs.hash)}"
    line = failure.message.strip().partition("\n")[0]
    return ": ".join(filter(None, (failure.exception, line)))


def _is_news(change: Change) -> bool:
    """Return whether a change may be one of what is new: not one of the progress of a job."""
    if not isinstance(change, JobChange) or change.before is None or change.after is None:
        return True
    return change.before.state is not change.after.state or change.after.state is State.ERROR
