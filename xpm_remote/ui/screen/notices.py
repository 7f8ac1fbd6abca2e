"""What is worth a call while no one looks at the dashboard: new causes, ended experiments, lost links. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from xpm_remote.escaping import safe
from xpm_remote.model.entities import Job, JobChange
from xpm_remote.model.seen import has_ended
from xpm_remote.session.state import Phase, Picture, Update
from xpm_remote.ui.tables.jobs import JobKey
from xpm_remote.ui.text import count_text, rough_span
from xpm_remote.workspace.inspecting.answers import CAUSE_END, Failure
from xpm_remote.workspace.states import State

GAP = 60.0
"""Seconds between two notices: what comes meanwhile is told together."""

CAUSE_WAIT = 20.0
"""Seconds for a host to say why a job failed; then it is told without that."""

MOST = 100
"""Jobs of a failure that are named."""

LONGEST = 200
"""Characters of a notice of the terminal: what a desktop shows of one."""


class Known(Protocol):
    """What is known of why jobs failed."""

    @property
    def by_job(self) -> Mapping[JobKey, Failure]:
        """The failures that were asked about."""

    def cause(self, key: JobKey) -> str:
        """Return the cause of a failure; "" while it is not known."""


class Item(NamedTuple):
    """One thing that is told: in words, and as a part of the document."""

    words: str
    document: dict[str, Any]


class Notices:
    """Decides what is told, and when.

    Args:
        link_lost: Seconds after which a lost link is told.
    """

    def __init__(self, link_lost: float) -> None:
        self._link_lost = link_lost
        self._last: float | None = None
        self._failed: dict[JobKey, float] = {}
        self._causes: set[str] = set()
        self._ended: dict[tuple[str, str], str] = {}
        self._lost: dict[str, float] = {}
        self._asking: dict[str, float] = {}

    def note(self, name: str, update: Update, picture: Picture, now: float) -> None:
        """Take an update of a workspace; what its first snapshot brings is no news."""
        if picture.link.phase is not Phase.LIVE:
            return
        for change in update.changes:
            key = (name, change.key)
            if isinstance(change, JobChange):
                if not _has_failed(change.after):
                    self._failed.pop(key, None)
                elif not _has_failed(change.before):
                    self._failed[key] = now
            elif change.after is None or not has_ended(change.after):
                self._ended.pop(key, None)
            elif change.before is None or not has_ended(change.before):
                self._ended[key] = change.after.status

    def due(
        self,
        now: float,
        pictures: Mapping[str, Picture],
        known: Known | None,
        muted: Collection[str],
    ) -> list[Item]:
        """Return what is to be told now, which is nothing until the last notice is long enough ago.

        Args:
            now: The local time in epoch seconds.
            pictures: The workspaces.
            known: Why jobs failed, as far as it is known.
            muted: The causes that are not told.
        """
        if self._last is not None and 0 <= now - self._last < GAP:
            return []
        items = [
            *self._of_links(now, pictures),
            *self._of_experiments(pictures),
            *self._of_failures(now, known, muted),
        ]
        if items:
            self._last = now
        return items

    def _of_links(self, now: float, pictures: Mapping[str, Picture]) -> Iterator[Item]:
        for name, picture in pictures.items():
            link = picture.link
            if link.phase is Phase.NEEDS_PERSON and link.stale_since is not None:
                if self._asking.get(name) != link.since:
                    self._asking[name] = link.since
                    yield Item(
                        f"{safe(name)} waits for a login: {safe(link.asked)}",
                        {"kind": "login", "workspace_id": name, "asked": link.asked},
                    )
                continue
            since = _lost_since(picture)
            if since is None or now - since < self._link_lost or self._lost.get(name) == since:
                continue
            self._lost[name] = since
            why = picture.stall.why if link.phase is Phase.LIVE and picture.stall else link.detail
            yield Item(
                f"{safe(name)} is lost for {rough_span(now - since)}",
                {"kind": "link", "workspace_id": name, "lost_for": now - since, "detail": why},
            )

    def _of_experiments(self, pictures: Mapping[str, Picture]) -> Iterator[Item]:
        ended, self._ended = self._ended, {}
        for (name, experiment), status in ended.items():
            words = f"{safe(experiment)} on {safe(name)} has ended"
            document: dict[str, Any] = {
                "kind": "experiment",
                "workspace_id": name,
                "id": experiment,
                "status": status,
            }
            if name in pictures:
                counts = pictures[name].store.counts(experiment)
                words += f": {counts.done:,} of {counts.total:,} done, {counts.failed:,} failed"
                numbers = {"total": counts.total, "done": counts.done, "failed": counts.failed}
                document["counts"] = numbers
            yield Item(words, document)

    def _of_failures(
        self, now: float, known: Known | None, muted: Collection[str]
    ) -> Iterator[Item]:
        causes: dict[str, list[JobKey]] = {}
        for key, since in list(self._failed.items()):
            cause = "" if known is None else known.cause(key)
            if cause or not 0 <= now - since < CAUSE_WAIT:
                causes.setdefault(cause, []).append(key)
                del self._failed[key]
        if known is not None and causes:
            fresh = {key for keys in causes.values() for key in keys} | set(self._failed)
            self._causes.update(known.cause(key) for key in known.by_job if key not in fresh)
        for cause, keys in causes.items():
            if cause and (cause in self._causes or cause in muted):
                continue
            self._causes.add(cause)
            yield _failed_item(keys, cause)


def _has_failed(job: Job | None) -> bool:
    return job is not None and job.state is State.ERROR and job.certain


def _lost_since(picture: Picture) -> float | None:
    if picture.link.phase is Phase.LIVE:
        return None if picture.stall is None else picture.stall.since
    return picture.link.stale_since


def _failed_item(keys: Sequence[JobKey], cause: str) -> Item:
    title, _, rest = cause.partition(CAUSE_END)
    where = rest.partition(CAUSE_END)[0]
    names = ", ".join(dict.fromkeys(safe(name) for name, _ in keys))
    words = f"{count_text(len(keys), 'job')} failed on {names}"
    document = {
        "kind": "failure",
        "cause": title or None,
        "where": where or None,
        "number": len(keys),
        "jobs": [{"workspace_id": name, "id": key} for name, key in keys[:MOST]],
    }
    return Item(f"{words}: {safe(title)}" if title else words, document)


def text_of(items: Sequence[Item]) -> str:
    """Return what is told as a line for the terminal; it begins with no digit, which has a meaning there."""
    text = "xpm-remote: " + " · ".join(item.words for item in items)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def terminal_text(text: str, *, term: str, is_tmux: bool) -> str:
    """Return the bell, and what makes a terminal show a text outside of itself (OSC 9).

    Args:
        text: The text, printable.
        term: The kind of the terminal: ``TERM``.
        is_tmux: Whether it is tmux, which passes on what is wrapped, if ``allow-passthrough`` is on.
    """
    if term.startswith("linux"):
        return "\a"
    shown = f"\x1b]9;{text}\a"
    if is_tmux:
        shown = "\x1bPtmux;" + shown.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    elif term.startswith("screen"):
        shown = f"\x1bP{shown}\x1b\\"
    return "\a" + shown
