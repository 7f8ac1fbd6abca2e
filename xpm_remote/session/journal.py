"""What changed in several workspaces, in the order in which it became known, and what of it has not been seen."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from xpm_remote.model.entities import Change, Job, JobChange
from xpm_remote.model.samples import Progression, Samples
from xpm_remote.model.seen import MUTED_KEPT, NO_CAUSES, News, Seen, is_new, news, see
from xpm_remote.session.seen_files import SeenFiles, seen_folder
from xpm_remote.session.state import Phase, Picture, Update

KEPT = 10_000
"""Changes that are kept: a busy day of a large workspace, some megabytes."""

RETURNS_KEPT = 20
"""Links that came back that are told of one workspace, the latest."""


class Entry(NamedTuple):
    """A change of a job's state or of an experiment.

    Attributes:
        workspace: The name of the workspace.
        at: When it happened, else when it became known, in local epoch seconds.
        change: The change.
        is_recovered: Whether it was found after a gap.
    """

    workspace: str
    at: float
    change: Change
    is_recovered: bool


class Return(NamedTuple):
    """A link that came back: when, in local epoch seconds, and after how many seconds."""

    at: float
    away: float


class Digest(NamedTuple):
    """What has not been seen of a workspace.

    Attributes:
        news: What is new in it.
        returns: When its link came back.
    """

    news: News
    returns: tuple[Return, ...]

    def __bool__(self) -> bool:
        return bool(self.news or self.returns)


class _Member:
    def __init__(self, seen: Seen | None) -> None:
        self.seen = seen
        self.is_first_look = seen is None
        self.returns: deque[Return] = deque(maxlen=RETURNS_KEPT)
        self.live_since = 0.0
        self.picture: Picture | None = None
        self.progression = Progression()


class Journal:
    """Keeps what changed in the workspaces of a fleet; ``note`` is called with each update of a member.

    A workspace that this user has never looked at has no news: it counts as seen when it is live for the first time.

    Args:
        folder: Where it is kept what has been seen; None: this program's folder for its state.
        clock: Returns local epoch seconds.
        kept: Changes that are kept.

    Attributes:
        entries: The changes, the latest last.
        trouble: Why what has been seen could not be written, by the names of the workspaces.
    """

    def __init__(
        self, folder: Path | None = None, clock: Callable[[], float] = time.time, kept: int = KEPT
    ) -> None:
        self._files = SeenFiles(seen_folder() if folder is None else folder)
        self._clock = clock
        self._members: dict[str, _Member] = {}
        self.entries: deque[Entry] = deque(maxlen=kept)
        self.trouble: dict[str, str] = {}

    def note(self, name: str, update: Update, picture: Picture) -> None:
        """Take an update of a workspace.

        Args:
            name: Its name.
            update: What happened.
            picture: What is to be seen of it after that.
        """
        member = self._member(name, picture)
        link = picture.link
        if link.phase is Phase.LIVE and link.since != member.live_since:
            is_first, member.live_since = not member.live_since, link.since
            if is_first and member.seen is None:
                self._see(name, member, ())
            if link.digest is not None:
                member.returns.append(Return(link.since, link.digest.away))
        if link.phase is not Phase.LIVE:
            member.progression.interrupt()
        if member.live_since:
            self._sample(member.progression, update, picture)
            self.entries.extend(self._entries(name, update, picture))

    def samples(self, name: str, key: str) -> Samples | None:
        """Return the progress of a job that runs, in times of its host; None where it has told none.

        Args:
            name: The name of the workspace.
            key: The key of the job.
        """
        member = self._members.get(name)
        return None if member is None else member.progression.of(key)

    def digest(self, name: str, causes: Mapping[str, str] = NO_CAUSES) -> Digest | None:
        """Return what has not been seen of a workspace; None while nothing is known of it.

        Args:
            name: Its name.
            causes: The causes of its failures, as far as they are known, by the jobs' keys.
        """
        member = self._members.get(name)
        if member is None or member.picture is None or member.seen is None:
            return None
        if not member.live_since:
            return None
        return Digest(news(member.seen, member.picture.store, causes), tuple(member.returns))

    def is_new(self, name: str, job: Job) -> bool:
        """Return whether a job that failed is one of what is new in a workspace."""
        member = self._members.get(name)
        return member is not None and member.seen is not None and is_new(job, member.seen)

    def is_first_look(self, name: str) -> bool:
        """Return whether nothing of a workspace has ever been seen, so that nothing in it is told as new."""
        member = self._members.get(name)
        return member is not None and member.is_first_look

    def mark_seen(self, name: str) -> None:
        """Record that everything in a workspace has been seen; what is not live yet has not."""
        member = self._members.get(name)
        if member is not None and member.live_since:
            latest = self._latest(name, member)
            self._see(name, member, () if latest is None else latest.muted)
            member.returns.clear()
            member.is_first_look = False

    def muted(self, name: str) -> tuple[str, ...]:
        """Return the causes of failures that are not to be told of a workspace."""
        member = self._members.get(name)
        return member.seen.muted if member is not None and member.seen is not None else ()

    def mute(self, name: str, cause: str, *, is_muted: bool = True) -> None:
        """Stop telling failures of a cause, or tell them again."""
        member = self._members.get(name)
        latest = None if member is None else self._latest(name, member)
        if member is None or latest is None:
            return
        others = tuple(each for each in latest.muted if each != cause)
        muted = (*others, cause)[-MUTED_KEPT:] if is_muted else others
        member.seen = msgspec.structs.replace(latest, muted=muted)
        self._write(name, member.seen)

    def forget(self, name: str) -> None:
        """Forget a workspace that is watched no longer; what has been seen of it stays on disk."""
        self._members.pop(name, None)

    def _member(self, name: str, picture: Picture) -> _Member:
        member = self._members.get(name)
        if member is None:
            member = self._members[name] = _Member(self._files.read(name, _place(picture)))
        member.picture = picture
        return member

    def _latest(self, name: str, member: _Member) -> Seen | None:
        """Return what has been seen of a workspace, by another run of the program too that goes on beside this one."""
        if member.seen is None or member.picture is None or name in self.trouble:
            return member.seen
        return self._files.read(name, _place(member.picture)) or member.seen

    def _see(self, name: str, member: _Member, muted: tuple[str, ...]) -> None:
        if member.picture is not None:
            place = _place(member.picture)
            member.seen = see(member.picture.store, place, self._clock(), muted)
            self._write(name, member.seen)

    def _write(self, name: str, seen: Seen) -> None:
        trouble = self._files.write(name, seen)
        if trouble:
            self.trouble[name] = trouble
        else:
            self.trouble.pop(name, None)

    def _sample(self, progression: Progression, update: Update, picture: Picture) -> None:
        now = self._clock() + picture.skew
        for change in update.changes:
            if isinstance(change, JobChange):
                at = now if change.at is None else change.at.timestamp()
                progression.note(change.before, change.after, at)

    def _entries(self, name: str, update: Update, picture: Picture) -> Iterator[Entry]:
        now = self._clock()
        for change in update.changes:
            at = now
            if isinstance(change, JobChange):
                before, after = change.before, change.after
                if before is not None and after is not None and before.state is after.state:
                    continue
                if change.at is not None:
                    at = change.at.timestamp() - picture.skew
            elif change.before and change.after and change.before.status == change.after.status:
                continue
            yield Entry(name, at, change, update.recovered)


def _place(picture: Picture) -> str:
    # A path may have any bytes; a file of JSON may not.
    place = f"{picture.host}:{picture.workspace}"
    return place.encode("utf-8", "backslashreplace").decode()
