"""Events as lines: text for people and grep, JSON for scripts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from xpm_remote.escaping import safe
from xpm_remote.session.state import Digest, Phase, Picture, Update
from xpm_remote.ui.documents import (
    event_documents,
    json_line,
    link_event,
    stall_event,
    trouble_events,
)
from xpm_remote.ui.text import (
    SHORT_ID,
    Format,
    count_text,
    digest_words,
    reread_words,
    span,
    unread_words,
)


class EventLines:
    """Writes what a monitor publishes, one line for each change.

    What the first snapshot brings is not news: a line counts it. Everything after it is.

    Args:
        form: How to write.
        progress: Whether changes of progress alone get a line.
        name: The name of the workspace, which each line has where there are several; empty for one alone.
    """

    def __init__(self, form: Format, *, progress: bool = True, name: str = "") -> None:
        self._form = json_line if form is Format.JSON else text_line
        self._name = {"workspace_id": name} if name else {}
        self._progress = progress
        self._phase: Phase | None = None
        self._before: Picture | None = None
        self._stalled: float | None = None

    def lines(self, update: Update, picture: Picture, now: float) -> Iterator[str]:
        """Yield the lines for an update, and for a change of the link's state.

        Args:
            update: What happened.
            picture: What there is to be seen after it.
            now: The local time in epoch seconds.
        """
        if self._phase is not picture.link.phase:
            self._phase = picture.link.phase
            yield self._write(link_event(picture, now))
        if self._phase is not Phase.LIVE:
            yield from map(self._write, self._new_stall(picture, now))
        if self._phase is Phase.LIVE:
            yield from map(self._write, trouble_events(self._before, picture, now))
            self._before = picture
            documents = event_documents(update, picture.store, now, progress=self._progress)
            yield from map(self._write, documents)

    def _write(self, document: dict[str, Any]) -> str:
        return self._form({**document, **self._name})

    def _new_stall(self, picture: Picture, now: float) -> Iterator[dict[str, Any]]:
        """Yield the event for a wait before the first snapshot, or the next one; its end is the next phase."""
        if picture.stall is not None and picture.stall.since != self._stalled:
            self._stalled = picture.stall.since
            yield stall_event(picture.stall, now)


def text_line(document: dict[str, Any]) -> str:
    """Write an event as text: the time here, what it is about, what became of it."""
    words = _WORDS[document["event"]](document)
    if document.get("recovered"):
        words += "  (recovered)"
    # Some times are the remote's and some ours; a person reads one clock.
    moment = datetime.fromisoformat(document["time"]).astimezone().replace(tzinfo=None)
    if "workspace_id" in document:
        words = f"{document['workspace_id']}: {words}"
    return f"{moment.isoformat(timespec='seconds')}  {safe(words)}"


def _short(key: str) -> str:
    task, _, job = key.rpartition("/")
    return f"{task}/{job[:SHORT_ID]}"


def _job_words(event: dict[str, Any]) -> str:
    state = event["state"]
    if state is None:
        return f"{_short(event['id'])}  in no current run"
    previous = event["previous"] or "new"
    words = f"{_short(event['id'])}  {previous} → {state}"
    if event["reason"]:
        words += f" ({event['reason']})"
    return words + _doubt(event) + _where(event)


def _doubt(event: dict[str, Any]) -> str:
    return "" if event["certain"] else "?"


def _progress_words(event: dict[str, Any]) -> str:
    steps = " > ".join(
        f"{step['fraction']:.0%} {step['description'] or ''}".strip() for step in event["progress"]
    )
    return f"{_short(event['id'])}  {steps}{_where(event)}"


def _where(event: dict[str, Any]) -> str:
    tags = " ".join(f"{name}={value}" for name, value in sorted(event["tags"].items()))
    return f"  [{', '.join(event['experiments'])}]{' ' + tags if tags else ''}"


def _experiment_words(event: dict[str, Any]) -> str:
    if event["status"] is None:
        return f"experiment {event['id']}  deleted"
    counts = event["counts"]
    previous = event["previous"] or "new"
    return (
        f"experiment {event['id']}  {previous} → {event['status']}{_doubt(event)}"
        f"  {counts['done']}/{counts['total']} done, {counts['failed']} failed"
    )


def _link_words(event: dict[str, Any]) -> str:
    words = f"link to {event['host']}:{event['workspace']}  {event['phase']}"
    if "jobs" in event:
        experiments = count_text(event["experiments"], "experiment")
        words += f": {experiments}, {count_text(event['jobs'], 'job')}"
    if event["digest"]:
        words += f"; {digest_words(Digest(**event['digest']))}"
    return words + (f": {event['detail']}" if event["detail"] else "")


def _stall_words(event: dict[str, Any]) -> str:
    since = datetime.fromisoformat(event["not_read_since"])
    lasted = span(datetime.fromisoformat(event["time"]).timestamp() - since.timestamp())
    words = f"{event['not_read_because']} (waiting for {event['waits_for']})"
    return f"not read for {lasted}: {words}"


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "job": _job_words,
    "progress": _progress_words,
    "experiment": _experiment_words,
    "link": _link_words,
    "unreadable": lambda event: unread_words(event["path"], event["message"], 0),
    "readable": lambda event: reread_words(event["path"]),
    "stalled": _stall_words,
    "answering": lambda event: f"the workspace is read again ({event['waits_for']} is answered)",
    "notice": lambda event: f"notice  {event['message']}",
}
