"""Documents for scripts: their contents, and that docs/json.md describes them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.model.builders import (
    EXPERIMENT,
    ZONE,
    experiment_record,
    iso,
    job_record,
    key,
    moment,
    progress_event,
    scheduler_event,
    state_event,
    store_with,
)
from tests.ui.pictures import (
    LONG_JOB,
    NOW,
    busy_store,
    example_experiment,
    example_picture,
    picture,
    pictures,
)
from xpm_remote.model.agent_pages import Unreadable, UnreadablePage
from xpm_remote.model.entities import Change
from xpm_remote.model.records import ExperimentRecord, JobProgressEvent, JobRecord, JobStateEvent
from xpm_remote.model.store import Store
from xpm_remote.session.state import Phase, Picture, Stall, Update
from xpm_remote.ui.documents import (
    EVENT_SCHEMA,
    PICTURE_SCHEMA,
    event_documents,
    json_line,
    link_event,
    picture_document,
    trouble_events,
)
from xpm_remote.workspace import rows

GUIDE = (Path(__file__).parent.parent.parent / "docs" / "json.md").read_text()

Document = dict[str, Any]


def documents(store: Store, changes: list[Change], **options: bool) -> list[Document]:
    """Return the documents for some changes, as a script reads them."""
    made = event_documents(Update(tuple(changes)), store, NOW, **options)
    return [json.loads(json_line(document)) for document in made]


# The picture


def test_picture() -> None:
    """The picture has the link, every experiment with its counts, and every job once."""
    document = picture_document(picture(busy_store()), NOW)
    assert document["schema"] == PICTURE_SCHEMA
    assert (document["host"], document["workspace"]) == ("alice@cluster", "/data/ws")
    finished, running = document["experiments"]
    assert (finished["id"], running["id"]) == ("finished", EXPERIMENT)
    assert running["counts"] == {
        "total": 6,
        "done": 1,
        "failed": 1,
        "running": 1,
        "waiting": 2,
        "idle": 1,
        "uncertain": 0,
    }
    assert running["jobs"][0] == key("running-job")
    ids = [job["id"] for job in document["jobs"]]
    assert sorted(ids) == sorted(finished["jobs"] + running["jobs"])


def test_job() -> None:
    """A job has both sources' states and the one to believe, its tags, progress and times."""
    jobs = {job["job_id"]: job for job in picture_document(picture(busy_store()), NOW)["jobs"]}
    job = jobs["running-job"]
    assert (job["state"], job["execution"], job["scheduler"]) == ("running",) * 3
    assert job["tags"] == {"lr": 0.1, "model": "big"}
    assert job["progress"][0] == {"level": 0, "fraction": 0.45, "description": "epoch 5"}
    assert (job["started"], job["ended"]) == (moment(600).isoformat(), None)
    assert jobs["failed-job"]["reason"] == "TIMEOUT"


def test_messages() -> None:
    """Further details of a failure are beside its reason, and only where there are any."""
    told = {key(name): f"of {name}" for name in ("failed-job", "done-job")}
    document = picture_document(picture(busy_store(), messages=told), NOW)
    messages = {job["job_id"]: job["message"] for job in document["jobs"] if job["message"]}
    assert messages == {"failed-job": "of failed-job"}


@pytest.mark.parametrize(
    ("heard", "detail", "expected"),
    [(None, "", (None, None)), (NOW, "it broke", ("2026-11-22T15:30:00+05:30", "it broke"))],
)
def test_link(heard: float | None, detail: str, expected: tuple[str | None, str | None]) -> None:
    """The link has its phase, since when, and when the remote was last heard, in local time."""
    link = picture_document(picture(phase=Phase.ENDED, heard=heard, detail=detail), NOW)["link"]
    assert (link["phase"], link["since"]) == ("ended", "2026-11-22T15:29:00+05:30")
    assert (link["heard"], link["detail"]) == expected


def test_half_a_character() -> None:
    """A document with half a character is still one line of JSON."""
    assert json_line({"a": "é"}) == '{"a":"é"}'
    assert json_line({"a": "\udce9"}) == r'{"a": "\udce9"}'
    assert json_line({"a": "\x9b\u202e"}) == r'{"a":"\u009b\u202e"}'
    assert json_line({"a": "\udce9\x7f"}) == r'{"a": "\udce9\u007f"}'


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None
)
@given(pictures())
def test_any_picture_is_json(picture: Picture) -> None:
    """For any input of the remote, the document is one line of JSON."""
    line = json_line(picture_document(picture, NOW))
    assert line.encode()
    assert "\n" not in line
    assert json.loads(line)["schema"] == PICTURE_SCHEMA


# Events


def test_new_state() -> None:
    """A job that comes into another state is reported with both states and its time on the remote."""
    store = store_with({"a": "scheduled"})
    (document,) = documents(store, store.apply_event(state_event("running", started=2, at=2)))
    assert document == {
        "event": "job",
        "time": moment(2).isoformat(),
        "id": key("a"),
        "experiments": [EXPERIMENT],
        "previous": "scheduled",
        "state": "running",
        "certain": True,
        "reason": None,
        "progress": [],
        "tags": {},
        "slurm": None,
        "recovered": False,
    }


def test_what_a_job_waits_for() -> None:
    """A job that waits in SLURM for something else is reported, and so is a contradiction; not a new estimate."""
    store = store_with({"a": "scheduled"})
    row = rows.Row("15", rows.Phase.QUEUED, "PENDING", "/ws", "Priority", "main")

    def told(row: rows.Row) -> list[Any]:
        task, job_id = key("a").split("/")
        record = JobRecord(job_id, task, state="scheduled", scheduler_state="scheduled", row=row)
        return documents(store, store.apply_judged([record]))

    (document,) = told(row)
    assert (document["previous"], document["state"]) == ("scheduled", "scheduled")
    assert (document["slurm"]["id"], document["slurm"]["phase"]) == ("15", "queued")
    assert document["slurm"]["starts"] is None
    assert told(row._replace(starts=1e9)) == []
    assert told(row._replace(starts=1e300, warning="no"))[0]["slurm"]["starts"] is None


def test_time_that_the_remote_does_not_tell() -> None:
    """A change without a time of its own has the time at which it was noticed."""
    store = store_with({"a": "waiting"})
    (document,) = documents(store, store.apply_event(scheduler_event("ready")))
    assert document["time"] == "2026-11-22T15:30:00+05:30"


def test_new_job() -> None:
    """A new job has no previous state, and its experiment is not reported."""
    store = store_with({})
    (document,) = documents(store, store.apply_event(scheduler_event("submitted", tags={"x": 1})))
    assert (document["previous"], document["state"], document["tags"]) == (
        None,
        "waiting",
        {"x": 1},
    )


def test_better_reason() -> None:
    """A reason that is learnt later is reported."""
    store = store_with({"a": "error"})
    (document,) = documents(store, store.apply_event(scheduler_event("error", reason="TIMEOUT")))
    assert (document["previous"], document["state"]) == ("error", "error")
    assert document["reason"] == "TIMEOUT"


@pytest.mark.parametrize(("progress", "expected"), [(True, ["progress"]), (False, [])])
def test_progress(*, progress: bool, expected: list[str]) -> None:
    """Progress alone is reported unless it is not wanted."""
    store = store_with({"a": "running"}, [job_record(state="running", started=1)])
    changes = store.apply_event(progress_event(0.5))
    assert [each["event"] for each in documents(store, changes, progress=progress)] == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (state_event("running", started=1), []),
        (progress_event(0.5), ["job"]),
        (state_event("done", ended=5), ["job"]),
    ],
)
def test_first_progress(event: JobStateEvent | JobProgressEvent, expected: list[str]) -> None:
    """Progress with a new state is reported with it; a reset of progress is not reported."""
    ready = store_with({"a": "ready"})
    running = store_with(
        {"a": "ready"}, [job_record(state="running", started=1, progress=[(0, 0.1, None)])]
    )
    store = running if expected == [] else ready
    assert [each["event"] for each in documents(store, store.apply_event(event))] == expected


def test_other_changes_are_not_reported() -> None:
    """A change of neither state, reason nor progress is not reported."""
    store = store_with({"a": "running"}, [job_record(state="running", started=1)])
    changes = store.apply_jobs(None, [job_record(state="running", started=2)])
    assert len(changes) == 1
    assert documents(store, changes) == []


def test_dropped_job() -> None:
    """A job that no run lists any longer is reported without a state."""
    store = Store(ZONE)
    store.apply_jobs(None, [job_record(state="done")])
    (document,) = documents(store, store.apply_absence(key("a")))
    assert (document["id"], document["state"]) == (key("a"), None)


def test_experiments() -> None:
    """An experiment is reported when it appears, gets another status or run, and when it is gone."""
    store = Store(ZONE)
    seen = []
    for records in (
        [experiment_record({"a": "done"})],
        [experiment_record({"a": "done"}, status="done")],
        [experiment_record({"a": "done"}, status="done", run_id="20261123_100000")],
        [],
    ):
        changes = store.apply_experiments(records)
        seen += [each for each in documents(store, changes) if each["event"] == "experiment"]
    assert [(each.get("previous"), each["status"]) for each in seen] == [
        (None, "running"),
        ("running", "done"),
        ("done", "done"),
        (None, None),
    ]
    assert seen[0]["counts"]["done"] == 1
    assert seen[0]["time"] == moment(0).isoformat()


def test_experiment_that_only_grew() -> None:
    """A new job of an experiment is reported by the job alone."""
    store = store_with({"a": "done"})
    grown = store.apply_experiments([experiment_record({"a": "done", "b": "waiting"})])
    assert [each["event"] for each in documents(store, grown)] == ["job"]


@pytest.mark.parametrize(
    ("ended", "started", "expected"),
    [
        (9.0, 0.0, moment(9).isoformat()),
        (None, 0.0, moment(0).isoformat()),
        (None, None, "2026-11-22T15:30:00+05:30"),
    ],
)
def test_time_of_an_experiment(ended: float | None, started: float | None, expected: str) -> None:
    """An experiment's event has the time of its end, else of its start, else of now."""
    store = Store(ZONE)
    record = ExperimentRecord("e", started_at=iso(started), ended_at=iso(ended))
    (document,) = documents(store, store.apply_experiments([record]))
    assert document["time"] == expected


def test_recovered() -> None:
    """A change that was found by asking is marked."""
    store = Store(ZONE)
    changes = store.apply_experiments([experiment_record({"a": "done"})])
    update = Update(tuple(changes), recovered=True)
    assert [each["recovered"] for each in event_documents(update, store, NOW)] == [True, True]


def test_notice() -> None:
    """A notice is reported after the changes that came with it."""
    (document,) = event_documents(Update(notice="low on disk"), Store(), NOW)
    assert document == {
        "event": "notice",
        "time": "2026-11-22T15:30:00+05:30",
        "message": "low on disk",
    }


@pytest.mark.parametrize("phase", list(Phase))
def test_link_event(phase: Phase) -> None:
    """A change of the link is reported, once it is live with the numbers of entities."""
    document = link_event(picture(busy_store(), phase=phase, detail="so"), NOW)
    assert (document["schema"], document["phase"]) == (EVENT_SCHEMA, phase.value)
    assert document["detail"] == "so"
    assert ("jobs" in document) == (phase is Phase.LIVE)
    if phase is Phase.LIVE:
        assert (document["experiments"], document["jobs"]) == (2, 7)


def test_each_trouble_is_reported_once() -> None:
    """What still cannot be read is not reported again; only what begins and what ends is."""
    first, second, third = (Unreadable(f"/data/ws/{name}") for name in "abc")
    before = replace(picture(), unreadable=UnreadablePage(files=[first, second]), stall=STALL)
    after = replace(before, unreadable=UnreadablePage(files=[second, third]))
    events = [(each["event"], each["path"]) for each in trouble_events(before, after, NOW)]
    assert events == [("unreadable", "/data/ws/c"), ("readable", "/data/ws/a")]


# The guide


def described(heading: str) -> list[str]:
    """Return the keys that a table of the guide describes."""
    section = GUIDE.split(f"\n### {heading}\n", 1)[1].split("\n#", 1)[0]
    return re.findall(r"^\| `(\w+)` \| \S.*? \| \S.* \|$", section, re.MULTILINE)


def example(name: str) -> str:
    """Return an example of the guide."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    return GUIDE.split(begin, 1)[1].split(end, 1)[0]


UNREADABLE = UnreadablePage(
    files=[Unreadable("/data/ws/experiments/old", "Stale file handle", "ESTALE", NOW + 100)]
)
STALL = Stall(NOW + 105, "the file server does not answer", "/data/ws/jobs")


def example_events() -> list[Document]:
    """Return the events of an example: the changes of the example picture."""
    shown = example_picture()
    store = shown.store
    at = moment(3600).timestamp()
    progress = JobProgressEvent(LONG_JOB, "demo.train", at, 0, 0.5, "epoch 2")
    done = JobStateEvent(LONG_JOB, "demo.train", at + 90, "done", ended_time=iso(3690))
    lines = [link_event(shown, NOW)]
    for update in (
        Update(tuple(store.apply_event(progress))),
        Update(tuple(store.apply_event(done))),
        Update(notice="the disk of node1 is nearly full"),
        Update(tuple(store.apply_experiments([example_experiment("done", 3700)])), recovered=True),
    ):
        lines += event_documents(update, store, NOW + 100)
    broken = replace(shown, unreadable=UNREADABLE, stall=STALL)
    lines += trouble_events(shown, broken, NOW + 110)
    lines += trouble_events(broken, shown, NOW + 170)
    return lines


def guide_examples() -> dict[str, str]:
    """Return the examples in the form of the guide."""
    shown = json.dumps(picture_document(example_picture(), NOW), indent=2)
    events = "\n".join(map(json_line, example_events()))
    return {"picture": f"```json\n{shown}\n```\n", "events": f"```json\n{events}\n```\n"}


@pytest.mark.parametrize("name", ["picture", "events"])
def test_examples_of_the_guide(name: str) -> None:
    """The examples of the guide are the code's output."""
    assert example(name) == guide_examples()[name]


def test_guide_describes_the_picture() -> None:
    """The guide describes every key of the picture, in order, and no other."""
    document = picture_document(replace(picture(busy_store()), unreadable=UNREADABLE), NOW)
    experiment, job = document["experiments"][1], document["jobs"][1]
    parts = {
        "picture": document,
        "backend": document["backend"],
        "unreadable": document["unreadable"][0],
        "link": document["link"],
        "experiment": experiment,
        "counts": experiment["counts"],
        "service": experiment["services"][0],
        "job": job,
        "progress": job["progress"][0],
    }
    for heading, part in parts.items():
        assert described(heading) == list(part), heading


def test_guide_describes_the_events() -> None:
    """The guide describes every key of each kind of event, in order, and no other."""
    kinds = {f"{line['event']} event": line for line in example_events()}
    store = example_picture().store
    for line in documents(store, store.apply_experiments([])):
        kinds[f"dropped {line['event']}"] = line
    assert len(kinds) == 11
    for like, kind in (("progress", "job"), ("readable", "unreadable"), ("answering", "stalled")):
        assert list(kinds.pop(f"{like} event")) == described(f"{kind} event")
    for heading, line in kinds.items():
        assert described(heading) == list(line), heading


def test_guide_names_the_schemas() -> None:
    """The guide has the schemas that the code writes."""
    for schema in (PICTURE_SCHEMA, EVENT_SCHEMA):
        assert f"\n## `{schema}`\n" in GUIDE
