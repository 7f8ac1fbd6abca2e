"""The stages of an examination."""

from __future__ import annotations

from itertools import count

import pytest

from xpm_remote.doctor.stages import Examination, Stage, StageResult, Verdict
from xpm_remote.errors import AuthenticationError, ExitCode, HostKeyError
from xpm_remote.link.observer import UNOBSERVED, Attempt, AttemptOutcome, Observer, Step
from xpm_remote.link.waits import CurrentWait, Wait

HOST = "cluster port 22"


class Told:
    """An examination whose clock advances by a second at each reading, and the results that it reported.

    Attributes:
        results: What the listener was given.
    """

    def __init__(self) -> None:
        self.results: list[StageResult] = []
        seconds = count()
        self.examination = Examination(lambda: float(next(seconds)), self.results.append)


@pytest.fixture
def told() -> Told:
    """An empty examination."""
    return Told()


def test_stage_by_stage(told: Told) -> None:
    """A stage is reported when it begins and when it has ended, with its time and facts."""
    told.examination.begin(Stage.TOOLS)
    told.examination.note("uv", "0.9")
    told.examination.begin(Stage.WORKSPACE)
    told.examination.finish()
    assert told.results == [
        StageResult(Stage.TOOLS, Verdict.RUNNING),
        StageResult(Stage.TOOLS, Verdict.OK, seconds=1.0, facts={"uv": "0.9"}),
        StageResult(Stage.WORKSPACE, Verdict.RUNNING),
        StageResult(Stage.WORKSPACE, Verdict.OK, seconds=1.0),
    ]
    assert told.examination.results == [each for each in told.results if each.seconds]
    assert (told.examination.verdict, told.examination.exit_code) == (Verdict.OK, ExitCode.OK)


def test_warning(told: Told) -> None:
    """A stage with a warning has succeeded nevertheless."""
    told.examination.begin(Stage.TOOLS)
    told.examination.warn("old")
    told.examination.finish()
    assert told.examination.results[0].warnings == ("old",)
    assert (told.examination.verdict, told.examination.exit_code) == (Verdict.WARNING, ExitCode.OK)


def test_stage_in_progress(told: Told) -> None:
    """The stage in progress is known until it ends."""
    seen = [told.examination.stage]
    told.examination.begin(Stage.TOOLS)
    seen.append(told.examination.stage)
    told.examination.finish()
    assert [*seen, told.examination.stage] == [None, Stage.TOOLS, None]


def test_failure(told: Told) -> None:
    """A failure determines the exit code; the later stages are skipped, with the reason."""
    error = HostKeyError("changed")
    told.examination.begin(Stage.HOST_KEY, HOST)
    told.examination.fail(error)
    failed, *rest = told.examination.results
    assert (failed.verdict, failed.error, failed.host) == (Verdict.FAILED, error, HOST)
    assert {each.verdict for each in rest} == {Verdict.SKIPPED}
    assert {each.why for each in rest} == {"host key failed"}
    assert [each.stage for each in rest] == list(Stage)[4:]
    assert told.examination.failure is error
    assert (told.examination.verdict, told.examination.exit_code) == (
        Verdict.FAILED,
        ExitCode.HOST_KEY,
    )


def test_nothing_to_see(told: Told) -> None:
    """A stage without anything to examine is skipped, with its time."""
    told.examination.begin(Stage.EVENTS)
    told.examination.leave("nothing happened")
    told.examination.finish()
    assert told.examination.results == [
        StageResult(Stage.EVENTS, Verdict.SKIPPED, seconds=1.0, why="nothing happened")
    ]


def test_steps_of_each_host(told: Told) -> None:
    """Steps are stages; each host on the way has its own, and skipped ones have the reason."""
    for host in ("gate port 22", HOST):
        told.examination.leave_out(Step.TCP, host, "a command carries it")
        told.examination.enter(Step.AUTHENTICATION, host)
        told.examination.note("methods", ["publickey"])
        told.examination.attempted(Attempt("publickey", "key", AttemptOutcome.REFUSED, 0.5))
        told.examination.attempted(Attempt("password", "", AttemptOutcome.ACCEPTED, 2.0))
    told.examination.enter(Step.SHELL, HOST)
    found = [(each.stage, each.host) for each in told.examination.results]
    assert found == [
        (Stage.TCP, "gate port 22"),
        (Stage.AUTHENTICATION, "gate port 22"),
        (Stage.TCP, HOST),
        (Stage.AUTHENTICATION, HOST),
    ]
    assert told.examination.results[3].facts == {
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
    """A failure between two stages is a failure of the next one; a listener is not needed."""
    examination = Examination(lambda: 0.0)
    if done is not None:
        examination.skip(done, "why")
    examination.fail(AuthenticationError("refused"))
    assert [each.stage for each in examination.results if each.error] == [failed]
    assert examination.exit_code is ExitCode.AUTHENTICATION


def test_unobserved() -> None:
    """An examination without a listener works."""
    UNOBSERVED.enter(Step.TCP, HOST)
    UNOBSERVED.leave_out(Step.TCP, HOST, "why")
    UNOBSERVED.note("name", 1.0)
    UNOBSERVED.attempted(Attempt("password", "", AttemptOutcome.ACCEPTED, 1.0))
    UNOBSERVED.wait_for(None)


def test_waits_are_passed_on() -> None:
    """What is waited for, and that nothing is any more, reaches the observer of the waits."""
    seen: list[CurrentWait | None] = []

    class Waits(Observer):
        def wait_for(self, current: CurrentWait | None) -> None:
            seen.append(current)

    examination = Examination(lambda: 0.0, waits=Waits())
    current = CurrentWait(Wait.LOGIN, HOST, 0.0)
    examination.wait_for(current)
    examination.wait_for(None)
    assert seen == [current, None]
