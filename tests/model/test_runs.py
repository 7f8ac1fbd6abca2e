"""Runs: what their records and events contain about their jobs."""

from __future__ import annotations

import pytest

from tests.model.builders import (
    EXPERIMENT,
    RUN,
    TASK,
    ZONE,
    epoch,
    experiment_record,
    info,
    iso,
    key,
    known_job,
    moment,
    scheduler_event,
)
from xpm_remote.model.entities import Service
from xpm_remote.model.records import ExperimentRecord, JobInfoRecord, SchedulerEvent, ServiceRecord
from xpm_remote.model.runs import SILENCE, Run, Word, submission
from xpm_remote.workspace.states import State

TIMED_OUT = Word(State.ERROR, "TIMEOUT")
DEPENDENCY = Word(State.ERROR, "DEPENDENCY")


def run_of(words: dict[str, str], run_id: str = RUN) -> Run:
    """Make a run by its record."""
    return Run.from_record(experiment_record(words, run_id=run_id), ZONE)


def test_record() -> None:
    """A run's record has the experiment that is shown, its times in the zone of the host."""
    record = ExperimentRecord(
        experiment_id="e",
        run_id="r",
        status="done",
        hostname="node1",
        started_at=iso(0),
        ended_at=epoch(9),
        job_infos={"a": info("a"), "b": info("b")},
        services={"s": ServiceRecord("s", "web page", "RUNNING", "http://x")},
        runs_count=3,
    )
    experiment = Run.from_record(record, ZONE).experiment
    assert (experiment.started, experiment.ended) == (moment(0), moment(9))
    assert experiment.jobs == (key("a"), key("b"))
    assert experiment.services == (Service("s", "web page", "RUNNING", "http://x"),)
    assert (experiment.status, experiment.hostname, experiment.run_count) == ("done", "node1", 3)


def test_bare_record() -> None:
    """A record with only its name makes a run without jobs."""
    run = Run.from_record(ExperimentRecord("e"), ZONE)
    assert (run.experiment.run_id, run.experiment.status, run.infos) == ("", "", {})
    bare_service = ExperimentRecord("e", services={"s": ServiceRecord("s")})
    assert Run.from_record(bare_service, ZONE).experiment.services == (Service("s", "", ""),)


def test_words_of_protocol_2() -> None:
    """The scheduler's states are read by job; those of jobs never submitted are left out."""
    record = experiment_record({"a": "done", "b": "error:TIMEOUT", "c": "running"}, jobs="ab")
    words = Run.from_record(record, ZONE).words
    assert words == {key("a"): Word(State.DONE), key("b"): TIMED_OUT}


def test_words_of_protocol_1() -> None:
    """Protocol 1.0 lists the jobs that ended, and nothing of the others."""
    record = ExperimentRecord(
        "old",
        finished_jobs=["a"],
        failed_jobs=["b"],
        job_infos={name: info(name) for name in "abc"},
    )
    words = Run.from_record(record, ZONE).words
    assert words == {key("a"): Word(State.DONE), key("b"): Word(State.ERROR)}


def test_words_of_protocol_1_as_numbers() -> None:
    """Where protocol 1.0 only counts the ended jobs, none has a state."""
    record = ExperimentRecord("old", finished_jobs=1, failed_jobs=0, job_infos={"a": info("a")})
    assert Run.from_record(record, ZONE).words == {}


def test_run_from_an_event() -> None:
    """An experiment that was not listed yet is known by the first announcement of its scheduler."""
    experiment = Run.from_event(scheduler_event("submitted", at=3), ZONE).experiment
    assert (experiment.experiment_id, experiment.run_id) == (EXPERIMENT, RUN)
    assert (experiment.status, experiment.started) == ("running", moment(3))
    without_run = scheduler_event("submitted", run_id=None)
    assert Run.from_event(without_run, ZONE).experiment.run_id == ""


@pytest.mark.parametrize(
    ("before", "word", "kept"),
    [
        (TIMED_OUT, Word(State.ERROR), TIMED_OUT),
        (DEPENDENCY, Word(State.UNSCHEDULED), DEPENDENCY),
        (TIMED_OUT, Word(State.RUNNING), TIMED_OUT),
        (DEPENDENCY, Word(State.WAITING), DEPENDENCY),
        (Word(State.DONE), Word(State.SCHEDULED), Word(State.DONE)),
        (TIMED_OUT, Word(State.ERROR, "MEMORY"), Word(State.ERROR, "MEMORY")),
        (Word(State.RUNNING), Word(State.ERROR), Word(State.ERROR)),
        (Word(State.RUNNING), Word(State.WAITING), Word(State.WAITING)),
        (None, Word(State.ERROR), Word(State.ERROR)),
    ],
)
def test_ends_are_kept(before: Word | None, word: Word, kept: Word) -> None:
    """An end and its cause outlive an answer without them, such as the states that a run has in the end."""
    old, new = run_of({"a": "waiting"}), run_of({"a": "waiting"})
    old.words = {} if before is None else {key("a"): before}
    new.words = {key("a"): word}
    new.succeed(old, lambda _: known_job())
    assert new.words == {key("a"): kept}
    old.answer(word, known_job())
    assert old.words == {key("a"): kept}


FAILED = Word(State.ERROR, "TIMEOUT", moment(6), is_dated=True, started=moment(1))
LISTED = Word(State.ERROR, None, moment(6), started=moment(1))


@pytest.mark.parametrize(
    ("before", "word", "is_kept"),
    [
        (FAILED, Word(State.WAITING, None, moment(7)), False),
        (FAILED, Word(State.RUNNING, None, moment(7)), False),
        (FAILED, Word(State.WAITING, None, moment(5)), True),
        (FAILED, Word(State.WAITING, None, moment(6)), True),
        (FAILED, Word(State.UNSCHEDULED, None, moment(7)), True),
        (FAILED, Word(State.WAITING), True),
        (LISTED, Word(State.WAITING, None, moment(6)), False),
        (LISTED, Word(State.WAITING, None, moment(5)), True),
        (LISTED._replace(at=None), Word(State.WAITING, None, moment(7)), True),
        (Word(State.RUNNING, None, moment(6)), Word(State.ERROR, None, moment(5)), True),
        (Word(State.RUNNING, None, moment(6)), Word(State.WAITING), True),
        (Word(State.RUNNING, None, moment(6)), Word(State.ERROR), False),
    ],
)
def test_what_is_announced_after_an_end(before: Word, word: Word, *, is_kept: bool) -> None:
    """A job that has ended waits or runs again by a later announcement only; older ones change nothing."""
    run = run_of({"a": "waiting"})
    run.words = {key("a"): before}
    run.announce(word, known_job())
    assert run.words[key("a")].state is (before if is_kept else word).state


def test_announced_after_a_listed_end() -> None:
    """Where an end has no time of the scheduler, the job's own end counts."""
    run = run_of({"a": "waiting"})
    for at, state in ((7, State.ERROR), (9, State.WAITING)):
        run.words = {key("a"): LISTED._replace(at=None)}
        run.announce(Word(State.WAITING, None, moment(at)), known_job(State.ERROR, ended=8))
        assert run.words[key("a")].state is state


def test_outlived() -> None:
    """A word that a job ended counts no more once another try has begun, unless the run is over."""
    run, retried = run_of({"a": "waiting"}), known_job(State.RUNNING, started=10, retry_count=1)
    for word in (FAILED, LISTED, Word(State.ERROR, retry_count=0)):
        run.words = {key("a"): word}
        assert run.word(retried) == (SILENCE if word.is_dated else word)
        assert run.word(known_job(State.RUNNING, started=1)) == word
        run.answer(Word(State.SCHEDULED), retried)
        assert run.words[key("a")].state is State.SCHEDULED
        run.words = {key("a"): Word(State.ERROR)}
        assert run.word(retried).state is State.ERROR
    over = Run.from_record(experiment_record({"a": "error"}, status="done"), ZONE)
    assert over.word(retried).state is State.ERROR


def test_run_that_has_ended_does_not_run_again() -> None:
    """A later list that has the same run as running is outdated."""
    over = Run.from_record(experiment_record({}, status="done"), ZONE)
    late = run_of({})
    late.succeed(over, lambda _: known_job())
    assert late.experiment == over.experiment


def test_reasons_of_another_run() -> None:
    """A new run of the experiment begins without the causes of the old one."""
    new = run_of({"a": "error"}, run_id="20261123_100000")
    new.succeed(run_of({"a": "error:TIMEOUT"}), lambda _: known_job())
    assert new.words == {key("a"): Word(State.ERROR)}


@pytest.mark.parametrize("tags", [{"x": 0, "kind": "b"}, {}, None])
def test_submission(tags: dict[str, object] | None) -> None:
    """A job's tags are in the announcement of its submission, as a list of pairs."""
    event = scheduler_event("submitted", at=2, tags=tags)
    assert submission(event) == JobInfoRecord("a", TASK, tags, epoch(2))


def test_submission_with_a_mapping() -> None:
    """Tags may be a mapping, too."""
    event = SchedulerEvent("e", "a", TASK, tags={"x": 0})
    assert submission(event).tags == {"x": 0}
