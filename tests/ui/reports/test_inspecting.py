"""Why jobs failed, and what is known of one, as lines and documents."""

from __future__ import annotations

import json

from xpm_remote.model.causes import find_causes
from xpm_remote.model.tells_apart import Distinction
from xpm_remote.ui.reports.inspecting import (
    cause_document,
    cause_lines,
    detail_document,
    detail_lines,
    distinction_text,
)
from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.inspecting.answers import (
    Attempt,
    Failure,
    Frame,
    JobDetail,
    JobFile,
    LinkedJob,
)
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import CurrentJob, JobFacts
from xpm_remote.workspace.rows import Account, Phase, Row
from xpm_remote.workspace.states import Process

JOB, OTHER, LAST = JobId("d.learn", "ab"), JobId("d.index", "cd"), JobId("d.last", "ef")
FRAME = Frame("/home/me/learner.py", 212, "forward")
FAILURE = Failure(
    JOB,
    "s",
    "BadError: lr *\nlearner.py:forward",
    "BadError",
    "lr 0.1\nsecond \x1b[2J",
    (FRAME,),
    7,
    99,
    "FAILED",
    1,
    1.5,
)
STOPPED = Failure(LAST, "", f"DEPENDENCY of {JOB}", reason="DEPENDENCY", needs=OTHER, root=JOB)
DISTINCTION = Distinction("lr", 0.1, 13, 13, 12, 290)


def test_a_cause_has_its_jobs() -> None:
    """A cause is shown with what its jobs have in common, and some of them; those that were stopped come last."""
    (cause,) = find_causes([("", FAILURE), ("", STOPPED)])
    tags = {JOB: {"lr": 0.1}}
    lines = list(cause_lines(cause, [DISTINCTION], tags, 2))
    assert lines[0] == "2  BadError: lr *  learner.py:forward"
    assert (
        lines[1]
        == "    goes with lr=0.1: 13 of 13 failed have it, 12 of 290 that succeeded (x24.2)"
    )
    assert lines[2].startswith("    d.learn/ab  lr=0.1  ")
    assert lines[2].endswith("lr 0.1")
    assert lines[3].startswith("    d.last/ef")
    assert lines[3].endswith("needs d.index/cd")
    assert list(cause_lines(cause, [], tags, 0)) == [lines[0], "    and 2 more jobs"]


def test_a_cause_as_a_document() -> None:
    """The document of a cause has all of its jobs, with their tags and places."""
    (cause,) = find_causes([("", FAILURE), ("", STOPPED)])
    never = DISTINCTION._replace(others_with=0)
    document = json.loads(
        json.dumps(cause_document(cause, [DISTINCTION, never], {JOB: {"lr": 0.1}}))
    )
    assert (document["schema"], document["total"]) == ("xpm-remote/cause/1", 2)
    assert (document["title"], document["where"]) == ("BadError: lr *", "learner.py:forward")
    (failed,), (stopped,) = document["failed"], document["stopped"]
    assert (failed["id"], failed["tags"], failed["offset"]) == (str(JOB), {"lr": 0.1}, 7)
    assert failed["frames"] == [{"file": "/home/me/learner.py", "line": 212, "function": "forward"}]
    assert (stopped["needs"], stopped["root"], stopped["tags"]) == (str(OTHER), str(JOB), {})
    assert [round(each["lift"] or 0) for each in document["goes_with"]] == [24, 0]


def test_a_distinction_without_a_lift() -> None:
    """What no other job has is not told as a number of times."""
    text = distinction_text(Distinction("@task", "d.x", 5, 6, 0, 9))
    assert text == "@task=d.x: 5 of 6 failed have it, 0 of 9 that succeeded"


def detail(facts: JobFacts) -> JobDetail:
    """Return a job of which much is known."""
    return JobDetail(
        CurrentJob(facts, {"lr": 0.1}, ("e", "f")),
        {"batch": 64, "index": {"type": "Index", "job": "cd"}},
        "node1",
        (LinkedJob(OTHER, "done"),),
        (LinkedJob(LAST, None),),
        (Attempt("20261128120000", None, 2048), Attempt("", 0, 10)),
        (JobFile("learn.err", 10, 1.5), JobFile("data", None, 2.5)),
        {"needs": 0, "needed_by": 3, "files": 0},
        (UnreadFile("/ws/x", "Stale file handle", "ESTALE"),),
    )


def test_the_detail_of_a_failed_job() -> None:
    """All that is known of a failed job is shown, a subject a row; text of the host is escaped."""
    facts = JobFacts(
        *JOB, "/ws/jobs", state="error", ended=1.5, process=Process(12, "slurm", "node2")
    )
    lines = list(detail_lines(detail(facts), FAILURE))
    rows = [line.split(maxsplit=1) for line in lines]
    assert lines[0] == "FAIL  d.learn/ab"
    for row in (
        ["cause", "BadError: lr *"],
        ["message", "lr 0.1"],
        ["second", "\\x1b[2J"],
        ["at", "/home/me/learner.py:212 forward"],
        ["process", "slurm 12 on node2"],
        ["experiments", "e, f"],
        ["needs", "DONE  d.index/cd"],
        ["and", "3 more"],
        ["params", "batch = 64"],
        ["tries", "20261128120000: out none, err 2.0 KiB"],
        ["files", "learn.err  10 B"],
        ["unreadable", "/ws/x: Stale file handle"],
    ):
        assert row in rows


def test_the_detail_of_other_jobs() -> None:
    """A job that has not failed has no reason; one that was stopped has what it needed, and what that needed."""
    lines = list(
        detail_lines(detail(JobFacts(*JOB, "/ws/jobs", state="running", certain=False)), None)
    )
    assert lines[0] == "running?  d.learn/ab"
    assert not any("reason" in line for line in lines)
    facts = JobFacts(*LAST, "/ws/jobs", state="error", process=Process(12, "local"))
    rows = [line.split(maxsplit=1) for line in detail_lines(detail(facts), STOPPED)]
    assert ["process", "local 12"] in rows
    assert ["needed", "d.index/cd"] in rows
    assert ["which", "needed  d.learn/ab"] in rows


ROW = Row(
    "15", Phase.RUNNING, "RUNNING", "/ws", queue="main", nodes="n[1-2]", asked=5.0, warning="b"
)


def test_the_detail_of_a_job_of_slurm() -> None:
    """What SLURM and its accounting have of a job is shown, or why that is not known."""
    facts = JobFacts(*JOB, "/ws/jobs", state="running", row=ROW)
    account = Account((("elapsed", "00:01:00"),), "sstat\x1b failed")
    lines = list(detail_lines(detail(facts), None, account))
    found = "\n".join(" ".join(line.split()) for line in lines)
    for words in (
        "slurm job 15: RUNNING",
        "queue: main",
        "nodes: n[1-2]",
        "as it said: 1970-01-01",
    ):
        assert words in found
    assert "accounting elapsed: 00:01:00\nnot known: sstat\\x1b failed" in found
    waits = facts._replace(row=ROW._replace(phase=Phase.QUEUED, reason="Priority", starts=99.0))
    found = "\n".join(detail_lines(detail(waits), None))
    assert "waits for: Priority" in found
    assert "starts: 1970-01-01" in found
    assert "accounting" not in found
    document = detail_document(detail(facts), None, account)
    assert document["accounting"] == {
        "values": {"elapsed": "00:01:00"},
        "why_not": "sstat\x1b failed",
    }
    assert detail_document(detail(facts), None)["accounting"] is None
    assert detail_document(detail(facts), None, Account())["accounting"] == {
        "values": {},
        "why_not": None,
    }


def test_a_detail_as_a_document() -> None:
    """The document of a job has what `jobs list` has, and the rest."""
    facts = JobFacts(*JOB, "/ws/jobs", state="error", process=Process(12, "slurm", "node2"))
    document = json.loads(json.dumps(detail_document(detail(facts), FAILURE)))
    assert (document["schema"], document["id"]) == ("xpm-remote/job-detail/1", str(JOB))
    assert document["process"] == {"pid": 12, "kind": "slurm", "host": "node2"}
    assert document["needed_by"] == [{"id": str(LAST), "state": None}]
    assert document["attempts"][1] == {"attempt": None, "out": 0, "err": 10}
    assert document["failure"]["exception"] == "BadError"
    document = detail_document(detail(facts._replace(process=None)), None)
    assert (document["process"], document["failure"]) == (None, None)
