"""Events as lines: text to read and grep, JSON for scripts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from tests.model.builders import (
    ZONE,
    epoch,
    experiment_record,
    job_record,
    key,
    progress_event,
    scheduler_event,
    state_event,
    store_with,
)
from tests.ui.pictures import HOSTILE, LONG_JOB, NOW, busy_store, example_picture, picture
from xpm_remote.model.agent_pages import Unreadable, UnreadablePage
from xpm_remote.model.records import JobProgressEvent, JobStateEvent
from xpm_remote.model.store import Store
from xpm_remote.session.state import Digest, Phase, Stall, Update
from xpm_remote.ui.documents import event_documents, link_event
from xpm_remote.ui.events import EventLines, text_line
from xpm_remote.ui.text import Format
from xpm_remote.workspace.rows import SLURM


def texts(store: Store, update: Update) -> list[str]:
    """Return the lines for an update."""
    return [text_line(document) for document in event_documents(update, store, NOW)]


# Text


def test_job() -> None:
    """A job's line has the time, its short name, both states, its experiments and its tags."""
    store = Store(ZONE)
    store.apply_experiments(
        [experiment_record({"0123456789": "ready"}, tags={"lr": 0.1, "a": "b"})]
    )
    event = state_event("running", job_id="0123456789", started=2, at=2)
    assert texts(store, Update(tuple(store.apply_event(event)))) == [
        "2026-11-22T14:30:02  demo.task/01234567  ready → running  [exp] a=b lr=0.1"
    ]


def test_failed_job() -> None:
    """A failure's line has its reason."""
    store = store_with({"a": "running"})
    changes = store.apply_event(scheduler_event("error", reason="TIMEOUT", at=3))
    assert texts(store, Update(tuple(changes))) == [
        "2026-11-22T14:30:03  demo.task/a  running → error (TIMEOUT)  [exp]"
    ]


def test_new_job() -> None:
    """A new job's line marks it as new; one that was found by asking is marked, too."""
    store = store_with({})
    update = Update(tuple(store.apply_event(scheduler_event("submitted", at=1))), recovered=True)
    assert texts(store, update) == [
        "2026-11-22T14:30:01  demo.task/a  new → waiting  [exp]  (recovered)"
    ]


def test_dropped_job() -> None:
    """A job that no run lists any longer is reported so, by the local clock; its folder may be there."""
    store = Store(ZONE)
    store.apply_jobs(None, [job_record(state="done")])
    assert texts(store, Update(tuple(store.apply_absence(key("a"))))) == [
        "2026-11-22T15:30:00  demo.task/a  in no current run"
    ]


def test_progress() -> None:
    """A line of progress has each level, and its description."""
    store = store_with({"a": "running"}, [job_record(state="running", started=1)])
    store.apply_event(progress_event(0.25, description="epoch 2"))
    changes = store.apply_event(progress_event(0.5, level=1, at=4))
    assert texts(store, Update(tuple(changes))) == [
        "2026-11-22T14:30:04  demo.task/a  25% epoch 2 > 50%  [exp]"
    ]


def test_experiment() -> None:
    """An experiment's line has its status and how many of its jobs are done and failed."""
    store = Store(ZONE)
    record = experiment_record({"a": "done", "b": "error"})
    (line, *_) = texts(store, Update(tuple(store.apply_experiments([record]))))
    assert line == "2026-11-22T14:30:00  experiment exp  new → running  1/2 done, 1 failed"
    ended = experiment_record({"a": "done", "b": "error"}, status="done")
    (line,) = texts(store, Update(tuple(store.apply_experiments([ended]))))
    assert "experiment exp  running → done  1/2 done, 1 failed" in line
    (line, *_) = texts(store, Update(tuple(store.apply_experiments([]))))
    assert line == "2026-11-22T15:30:00  experiment exp  deleted"


def test_notice() -> None:
    """A notice has the remote's text."""
    assert texts(Store(), Update(notice="low on disk")) == [
        "2026-11-22T15:30:00  notice  low on disk"
    ]


def test_trouble() -> None:
    """What cannot be read, and what the workspace waits for, has a line when it begins and when it ends."""
    whole = picture(busy_store())
    broken = replace(
        whole,
        unreadable=UnreadablePage(files=[Unreadable("/data/ws/jobs/t.x", "Stale file handle")]),
        stall=Stall(NOW - 65, "the file server does not answer", "/data/ws/jobs"),
    )
    lines = EventLines(Format.TEXT)
    texts = [
        line.partition("  ")[2]
        for seen in (whole, broken, whole)
        for line in lines.lines(Update(), seen, NOW)
    ]
    assert texts[1:] == [
        "/data/ws/jobs/t.x cannot be read: Stale file handle",
        "not read for 1 min 5 s: the file server does not answer (waiting for /data/ws/jobs)",
        "/data/ws/jobs/t.x can be read again",
        "the workspace is read again (/data/ws/jobs is answered)",
    ]


def test_silence_of_slurm() -> None:
    """That SLURM does not answer, and that it does again, has a line."""
    whole = picture(busy_store())
    silent = replace(whole, unreadable=UnreadablePage(files=[Unreadable(SLURM, "squeue: down")]))
    lines = EventLines(Format.TEXT)
    told = [line for seen in (whole, silent, whole) for line in lines.lines(Update(), seen, NOW)]
    assert [line.partition("  ")[2] for line in told[1:]] == [
        "SLURM does not answer: squeue: down",
        "SLURM answers again",
    ]


@pytest.mark.parametrize(
    ("phase", "detail", "expected"),
    [
        (Phase.CONNECTING, "", "connecting"),
        (Phase.LIVE, "", "live: 2 experiments, 7 jobs"),
        (Phase.ENDED, "the connection broke", "ended: the connection broke"),
    ],
)
def test_link(phase: Phase, detail: str, expected: str) -> None:
    """The link's line has the target, the phase, and the counts or why it ended."""
    event = link_event(picture(busy_store(), phase=phase, detail=detail), NOW)
    assert text_line(event) == f"2026-11-22T15:30:00  link to alice@cluster:/data/ws  {expected}"


def test_link_to_one() -> None:
    """One of a kind is counted in the singular."""
    event = {**link_event(picture(busy_store()), NOW), "experiments": 1, "jobs": 1}
    assert text_line(event).endswith("  live: 1 experiment, 1 job")


def test_lines_of_several_workspaces() -> None:
    """Where there are several workspaces, each line begins with the name of its own, and is one line with any name."""
    update = Update(notice="low on disk")
    (_, line) = EventLines(Format.TEXT, name="jz\n\x1b").lines(update, picture(), NOW)
    assert line == r"2026-11-22T15:30:00  jz\n\x1b: notice  low on disk"
    (_, line) = EventLines(Format.JSON, name="jz").lines(update, picture(), NOW)
    assert json.loads(line)["workspace_id"] == "jz"
    (_, line) = EventLines(Format.JSON).lines(update, picture(), NOW)
    assert "workspace_id" not in json.loads(line)


def job_event(text: str) -> dict[str, Any]:
    """Make an event with a text of the remote in every field that may have one."""
    return {
        "event": "progress",
        "time": "2026-11-22T15:30:00+05:30",
        "id": f"{text}/{text}",
        "experiments": [text],
        "progress": [{"level": 0, "fraction": 0.5, "description": text}],
        "tags": {text: text},
    }


@given(HOSTILE)
def test_remote_text_is_escaped(text: str) -> None:
    """For any text of the remote, a line is one line, and moves no cursor."""
    assert text_line(job_event(text)).isprintable()
    notice = {"event": "notice", "time": "2026-11-22T15:30:00+05:30", "message": text}
    assert text_line(notice).isprintable()


# A stream of lines


def stream(form: Format, *, progress: bool = True) -> list[str]:
    """Return the lines of a link that comes up, has changes, and ends."""
    shown = example_picture()
    store = shown.store
    loading, ended = picture(store, phase=Phase.LOADING), picture(store, phase=Phase.ENDED)
    snapshot = Update(tuple(Store(ZONE).apply_experiments([experiment_record({"a": "done"})])))
    advanced = JobProgressEvent(LONG_JOB, "demo.train", epoch(3600), 0, 0.5)
    done = JobStateEvent(LONG_JOB, "demo.train", epoch(3610), "done")
    changes = Update((*store.apply_event(advanced), *store.apply_event(done)))
    lines = EventLines(form, progress=progress)
    return [
        line
        for update, seen in (
            (Update(), loading),
            (snapshot, loading),
            (Update(), shown),
            (changes, shown),
            (Update(notice="note"), shown),
            (Update(), ended),
            (changes, ended),
        )
        for line in lines.lines(update, seen, NOW)
    ]


@pytest.mark.parametrize(("progress", "expected"), [(True, ["progress", "job"]), (False, ["job"])])
def test_stream(*, progress: bool, expected: list[str]) -> None:
    """The first snapshot is counted, not listed; then every change has a line, until the link ends."""
    kinds = [json.loads(line)["event"] for line in stream(Format.JSON, progress=progress)]
    assert kinds == ["link", "link", *expected, "notice", "link"]


def test_text_and_json_tell_the_same() -> None:
    """Text and JSON are the same events, line by line."""
    documents = [json.loads(line) for line in stream(Format.JSON)]
    assert [text_line(document) for document in documents] == stream(Format.TEXT)


def test_return_is_summed_up() -> None:
    """When the link is live again, its line sums up the gap."""
    back = picture(busy_store(), digest=Digest(away=125.0, done=3))
    assert text_line(link_event(back, NOW)).endswith("; away 2 min 5 s: 3 done")


def test_wait_before_the_link_is_live() -> None:
    """What is waited for while the connection is made has a line, once for each wait."""
    events = EventLines(Format.TEXT)
    why = "the host is not connected"
    greeting = Stall(NOW - 5, why, "the SSH greeting of cluster port 22")
    login = Stall(NOW - 6, why, "the login to cluster port 22")
    seen = [
        replace(picture(phase=Phase.CONNECTING), stall=stall)
        for stall in (None, greeting, greeting, None, login)
    ]
    lines = [line for each in seen for line in events.lines(Update(), each, NOW)]
    assert [line.partition("waiting for ")[2] for line in lines[1:]] == [
        "the SSH greeting of cluster port 22)",
        "the login to cluster port 22)",
    ]
