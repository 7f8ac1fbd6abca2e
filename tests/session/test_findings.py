"""The book of an examination."""

from __future__ import annotations

from itertools import count

import pytest

from xpm_remote.errors import AuthenticationError, ExitCode, HostKeyError
from xpm_remote.link.observer import UNOBSERVED, Attempt, AttemptOutcome, Step
from xpm_remote.session.findings import Examination, Finding, Stage, Verdict

HOST = "cluster port 22"


class Told:
    """A book whose clock goes on by a second with each look, and what it has told.

    Attributes:
        findings: What the listener was given.
    """

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        seconds = count()
        self.book = Examination(lambda: float(next(seconds)), self.findings.append)


@pytest.fixture
def told() -> Told:
    """An empty book."""
    return Told()


def test_stage_by_stage(told: Told) -> None:
    """A stage is told when it begins and when it has ended, with its time and facts."""
    told.book.begin(Stage.TOOLS)
    told.book.fact("uv", "0.9")
    told.book.begin(Stage.WORKSPACE)
    told.book.finish()
    assert told.findings == [
        Finding(Stage.TOOLS, Verdict.RUNNING),
        Finding(Stage.TOOLS, Verdict.OK, seconds=1.0, facts={"uv": "0.9"}),
        Finding(Stage.WORKSPACE, Verdict.RUNNING),
        Finding(Stage.WORKSPACE, Verdict.OK, seconds=1.0),
    ]
    assert told.book.findings == [each for each in told.findings if each.seconds]
    assert (told.book.verdict, told.book.exit_code) == (Verdict.OK, ExitCode.OK)


def test_warning(told: Told) -> None:
    """A stage with a warning has succeeded all the same."""
    told.book.begin(Stage.TOOLS)
    told.book.warn("old")
    told.book.finish()
    assert told.book.findings[0].warnings == ("old",)
    assert (told.book.verdict, told.book.exit_code) == (Verdict.WARNING, ExitCode.OK)


def test_stage_in_progress(told: Told) -> None:
    """The stage in progress is known until it ends."""
    seen = [told.book.stage]
    told.book.begin(Stage.TOOLS)
    seen.append(told.book.stage)
    told.book.finish()
    assert [*seen, told.book.stage] == [None, Stage.TOOLS, None]


def test_failure(told: Told) -> None:
    """A failure gives the exit code; what would follow is skipped, and says why."""
    error = HostKeyError("changed")
    told.book.begin(Stage.HOST_KEY, HOST)
    told.book.fail(error)
    failed, *rest = told.book.findings
    assert (failed.verdict, failed.error, failed.host) == (Verdict.FAILED, error, HOST)
    assert {each.verdict for each in rest} == {Verdict.SKIPPED}
    assert {each.why for each in rest} == {"host key failed"}
    assert [each.stage for each in rest] == list(Stage)[4:]
    assert told.book.failure is error
    assert (told.book.verdict, told.book.exit_code) == (Verdict.FAILED, ExitCode.HOST_KEY)


def test_nothing_to_see(told: Told) -> None:
    """A stage in which there was nothing to see is skipped, with its time."""
    told.book.begin(Stage.EVENTS)
    told.book.leave("nothing happened")
    told.book.finish()
    assert told.book.findings == [
        Finding(Stage.EVENTS, Verdict.SKIPPED, seconds=1.0, why="nothing happened")
    ]


def test_steps_of_each_host(told: Told) -> None:
    """Steps are stages; each host on the way has its own, and those that are not made say why."""
    for host in ("gate port 22", HOST):
        told.book.leave_out(Step.TCP, host, "a command carries it")
        told.book.enter(Step.AUTHENTICATION, host)
        told.book.note("methods", ["publickey"])
        told.book.attempted(Attempt("publickey", "key", AttemptOutcome.REFUSED, 0.5))
        told.book.attempted(Attempt("password", "", AttemptOutcome.ACCEPTED, 2.0))
    told.book.enter(Step.SHELL, HOST)
    found = [(each.stage, each.host) for each in told.book.findings]
    assert found == [
        (Stage.TCP, "gate port 22"),
        (Stage.AUTHENTICATION, "gate port 22"),
        (Stage.TCP, HOST),
        (Stage.AUTHENTICATION, HOST),
    ]
    assert told.book.findings[3].facts == {
        "methods": ["publickey"],
        "attempts": [
            {"method": "publickey", "identity": "key", "outcome": "refused", "seconds": 0.5},
            {"method": "password", "identity": "", "outcome": "accepted", "seconds": 2.0},
        ],
    }


@pytest.mark.parametrize(
    ("done", "failed"),
    [(None, Stage.CONFIGURATION), (Stage.TCP, Stage.HOST_KEY), (Stage.EVENTS, Stage.EVENTS)],
)
def test_failure_between_stages(done: Stage | None, failed: Stage) -> None:
    """What fails between two stages is a failure of the next one; a listener is not needed."""
    book = Examination(lambda: 0.0)
    if done is not None:
        book.skip(done, "why")
    book.fail(AuthenticationError("refused"))
    assert [each.stage for each in book.findings if each.error] == [failed]
    assert book.exit_code is ExitCode.AUTHENTICATION


def test_unobserved() -> None:
    """Nobody looks on without harm."""
    UNOBSERVED.enter(Step.TCP, HOST)
    UNOBSERVED.leave_out(Step.TCP, HOST, "why")
    UNOBSERVED.note("name", 1.0)
    UNOBSERVED.attempted(Attempt("password", "", AttemptOutcome.ACCEPTED, 1.0))
