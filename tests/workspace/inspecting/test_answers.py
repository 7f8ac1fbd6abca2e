"""What is answered about jobs, and the same as plain JSON."""

from __future__ import annotations

import json

import pytest

from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.inspecting.answers import (
    Attempt,
    Failure,
    Frame,
    JobDetail,
    JobFile,
    LinkedJob,
    LogMatch,
    LogPart,
    LogSearch,
)
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import CurrentJob, JobFacts

JOB = JobId("demo.learn", "ab" * 32)
OTHER = JobId("demo.index", "cd" * 32)
FRAME = Frame("/home/me/code/learner.py", 212, "forward")
UNREAD = UnreadFile("/ws/x", "gone", "ESTALE")


@pytest.mark.parametrize(
    "failure",
    [
        Failure(JOB, "1", "ValueError: *\nlearner.py:forward", "ValueError", "1", (FRAME,), 5, 9),
        Failure(JOB, "", "DEPENDENCY", reason="DEPENDENCY", needs=OTHER, root=OTHER),
        Failure(JOB, "2", "FAILED", exit_code=3, ended=1.5, unread=UNREAD),
    ],
)
def test_a_failure_passes_as_json(failure: Failure) -> None:
    """A failure is the same after it was sent; keys of a later version are ignored."""
    wire = {**json.loads(json.dumps(failure.to_wire())), "later": 1}
    assert Failure.from_wire(wire) == failure


def test_the_parts_of_a_cause() -> None:
    """A cause has a title, and the innermost function where that is known."""
    known = Failure(JOB, "1", "ValueError: *\nlearner.py:forward\ntrainer.py:step")
    assert (known.title, known.where) == ("ValueError: *", "learner.py:forward")
    assert (Failure(JOB, "1", "FAILED").title, Failure(JOB, "1", "FAILED").where) == ("FAILED", "")


def test_a_frame_is_short() -> None:
    """A frame is shown by the name of its file."""
    assert str(FRAME) == "learner.py:212 forward"
    assert str(Frame("config.py", 2, "")) == "config.py:2"


def test_logs_pass_as_json() -> None:
    """Parts of logs, of any bytes, and what a search found are the same after they were sent."""
    part = LogPart("caf\udce9 \x1b[2J\n", 3, 12, 20, 7)
    assert LogPart.from_wire(json.loads(json.dumps(part.to_wire()))) == part
    search = LogSearch((LogMatch(5, 3, "line"),), 1, 12, 20, is_over=False)
    assert LogSearch.from_wire(json.loads(json.dumps(search.to_wire()))) == search


def test_a_detail_passes_as_json() -> None:
    """What is known of a job is the same after it was sent."""
    detail = JobDetail(
        CurrentJob(JobFacts(*JOB, "/ws/jobs"), {"lr": 0.1}, ("e",)),
        {"batch": 64, "model": {"type": "Colbert"}},
        "node1",
        (LinkedJob(OTHER, "done"),),
        (LinkedJob(OTHER, None),),
        (Attempt("20261128120000", 1, None), Attempt("", None, 3)),
        (JobFile("learn.err", 3, 1.5), JobFile("data", None, 2.5)),
        {"needs": 0, "needed_by": 3, "files": 0},
        (UNREAD,),
    )
    assert JobDetail.from_wire(json.loads(json.dumps(detail.to_wire()))) == detail
