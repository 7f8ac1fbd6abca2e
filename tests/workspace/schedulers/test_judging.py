"""A job by its files and its scheduler's answer: which of the two counts, for each pair."""

from __future__ import annotations

import pytest

from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.reading.jobs import CLAIM, JobFacts
from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.schedulers.judging import DEATH_AGE, Traces, judge, unconfirmed
from xpm_remote.workspace.states import Process

ASKED = 10_000.0
OLD = ASKED - DEATH_AGE - 1
RECENT = ASKED - 10
BASE = JobFacts("pkg.learn", "a" * 64, "/ws/jobs", process=Process("15", "slurm", "login"))
RUNS = BASE._replace(state="running", started=OLD)
CLAIMED = BASE._replace(
    state="error", failure_reason="FAILED", message=CLAIM, ended=RECENT, has_failure_marker=True
)
FAILED = CLAIMED._replace(message="no", process=None, exit_code=1)
ENDED_BY_SIGNAL = FAILED._replace(failure_reason="CANCELLED", exit_code=15)
QUEUED = Row("15", Phase.QUEUED, "PENDING", "/ws/jobs/pkg.learn/a", "Priority")
RUNNING = Row("15", Phase.RUNNING, "RUNNING", "/ws/jobs/pkg.learn/a", starts=OLD)


def traces(
    launched: float | None = OLD,
    marked: float | None = None,
    *,
    is_locked: bool = False,
    is_own: bool = True,
    hint: str | None = None,
) -> Traces:
    """Return what else a job's files have."""
    return Traces(launched, marked, is_locked, is_own, lambda: hint)


def over(state: str, ends: float | None = OLD) -> Row:
    """Return the row of a job that has ended."""
    return RUNNING._replace(phase=Phase.ENDED, state=state, ends=ends)


def test_answer_that_does_not_matter() -> None:
    """One that has succeeded, one that cannot be read, and one that was launched since are as their files are."""
    done = BASE._replace(state="done", has_done_marker=True)
    unread = RUNS._replace(unread=UnreadFile("/ws", "no", "EIO"))
    for facts in (done, unread):
        assert judge(facts, QUEUED, ASKED, traces()) == facts
    earlier = over("FAILED")._replace(id="14")
    assert judge(RUNS, earlier, ASKED, traces(ASKED + 1)) == RUNS
    assert judge(RUNS, QUEUED, ASKED, traces(ASKED + 1)).state == "scheduled", "it is the same"
    assert judge(RUNS, None, None, traces()) == RUNS, "no answer is none"


@pytest.mark.parametrize("facts", [BASE, RUNS, CLAIMED, RUNS._replace(certain=False)])
def test_what_slurm_has(facts: JobFacts) -> None:
    """A job that SLURM has waits or runs, whatever a monitor claims, and then a warning says so."""
    waits = judge(facts, QUEUED, ASKED, traces())
    assert (waits.state, waits.failure_reason, waits.started, waits.certain) == (
        "scheduled", None, None, True,
    )  # fmt: skip
    runs = judge(facts, RUNNING, ASKED, traces())
    assert (runs.state, runs.failure_reason, runs.started, runs.certain) == (
        "running", None, OLD, True,
    )  # fmt: skip
    for found in (waits, runs):
        assert found.row is not None
        assert bool(found.row.warning) is (facts.message == CLAIM)


def test_monitor_that_hides_its_claim() -> None:
    """A claim on a job that runs by its status is contradicted, too; a marker of an earlier try is no claim."""
    hidden = RUNS._replace(has_failure_marker=True, certain=False)
    found = judge(hidden, RUNNING, ASKED, traces())
    assert found.row is not None
    assert found.row.warning
    again = judge(hidden._replace(certain=True), RUNNING, ASKED, traces())
    assert again.row == RUNNING


def test_files_that_are_newer() -> None:
    """A start after the answer counts, and so does a marker while the process is still listed."""
    started = RUNS._replace(started=ASKED + 1)
    assert judge(started, QUEUED, ASKED, traces()) == started._replace(row=QUEUED)
    for ended in (RECENT, ASKED + 1):
        just = FAILED._replace(ended=ended)
        assert judge(just, RUNNING, ASKED, traces()) == just._replace(row=RUNNING)
    later = FAILED._replace(ended=ASKED + 1)
    assert judge(later, QUEUED, ASKED, traces()).state == "error"
    without = judge(FAILED._replace(has_failure_marker=False), RUNNING, ASKED, traces())
    assert without.state == "running", "no marker says that it failed"


def test_requeued() -> None:
    """A job that is requeued waits, and runs again, although the marker of its earlier try is there."""
    assert judge(FAILED, QUEUED, ASKED, traces()).state == "scheduled"
    earlier = FAILED._replace(ended=OLD - 100)
    found = judge(earlier, RUNNING, ASKED, traces())
    assert (found.state, found.started) == ("running", OLD)
    unknown = RUNNING._replace(starts=None)
    assert judge(earlier, unknown, ASKED, traces()).state == "error"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("TIMEOUT", "TIMEOUT"),
        ("OUT_OF_MEMORY", "MEMORY"),
        ("CANCELLED", "CANCELLED"),
        ("NODE_FAIL", "NODE_FAIL"),
        ("BOOT_FAIL", "NODE_FAIL"),
        ("PREEMPTED", "PREEMPTED"),
        ("REVOKED", "FAILED"),
        ("FAILED", "FAILED"),
    ],
)
def test_ended(state: str, reason: str) -> None:
    """A job that SLURM has ended failed for its reason, unless its lock is held."""
    found = judge(RUNS, over(state), ASKED, traces())
    assert (found.state, found.failure_reason, found.ended) == ("error", reason, OLD)
    assert state in (found.message or "")
    assert judge(CLAIMED, over(state), ASKED, traces()).failure_reason == reason
    assert judge(RUNS, over(state), ASKED, traces(is_locked=True)).state == "running"
    marked = judge(ENDED_BY_SIGNAL, over(state), ASKED, traces())
    assert marked.failure_reason == ("CANCELLED" if reason == "FAILED" else reason)
    assert (state in (marked.message or "")) is (state != "FAILED")
    told = ENDED_BY_SIGNAL._replace(failure_reason="MEMORY")
    assert judge(told, over(state), ASKED, traces()).failure_reason == "MEMORY"


@pytest.mark.parametrize("ends", [RECENT, None])
def test_marker_that_may_come(ends: float | None) -> None:
    """A program that succeeded just now may have left a marker that is not visible here yet; one that failed did."""
    assert judge(RUNS, over("COMPLETED", ends), ASKED, traces()).state == "running"
    assert judge(RUNS, over("COMPLETED"), ASKED, traces()).state == "error"
    assert judge(RUNS, over("FAILED", ends), ASKED, traces()).state == "error"


def test_hint_of_a_failed_one() -> None:
    """A job that failed by SLURM's word alone has the reason of its log."""
    found = judge(RUNS, over("FAILED"), ASKED, traces(hint="OUT_OF_MEMORY"))
    assert found.failure_reason == "MEMORY"
    assert found.message == "OUT_OF_MEMORY by its log; SLURM has ended it: FAILED"
    by_word = BASE._replace(state="error", failure_reason="FAILED", certain=False)
    found = judge(by_word, over("FAILED"), ASKED, traces(hint="OUT_OF_MEMORY"))
    assert (found.failure_reason, found.certain) == ("MEMORY", True), (
        "its scheduler says so, and SLURM"
    )
    assert not judge(by_word, over("COMPLETED"), ASKED, traces()).certain
    killed = judge(RUNS, over("TIMEOUT"), ASKED, traces(hint="OUT_OF_MEMORY"))
    assert killed.failure_reason == "TIMEOUT", "SLURM's word is no hint"


def test_unlisted() -> None:
    """A job that SLURM does not have has died if its pid file is old, its lock free, and it is the user's own."""
    found = judge(RUNS, None, ASKED, traces())
    assert (found.state, found.failure_reason, found.has_died) == ("error", "FAILED", True)
    for others in (
        traces(RECENT), traces(None), traces(is_locked=True), traces(is_own=False),
    ):  # fmt: skip
        assert judge(RUNS, None, ASKED, others) == RUNS
    hinted = judge(RUNS, None, ASKED, traces(hint="OUT_OF_MEMORY"))
    assert hinted.failure_reason == "MEMORY"
    assert "OUT_OF_MEMORY by its log" in (hinted.message or "")
    claimed = judge(CLAIMED, None, ASKED, traces(None, OLD))
    assert (claimed.state, claimed.certain) == ("error", True)
    assert claimed.message != CLAIM


@pytest.mark.parametrize("asked", [None, ASKED])
def test_hint_of_the_log(asked: float | None) -> None:
    """A job that was ended by a signal has the reason of its log, marked so; another one's reason is its own."""
    late = judge(ENDED_BY_SIGNAL, None, asked, traces(hint="TIMEOUT"))
    assert (late.failure_reason, late.message) == ("TIMEOUT", "TIMEOUT by its log; no")
    silent = ENDED_BY_SIGNAL._replace(message=None)
    assert judge(silent, None, asked, traces(hint="TIMEOUT")).message == "TIMEOUT by its log"
    lost = judge(ENDED_BY_SIGNAL, None, asked, traces(hint="NODE_FAIL"))
    assert (lost.failure_reason, lost.message) == ("NODE_FAIL", "NODE_FAIL by its log; no")
    assert judge(ENDED_BY_SIGNAL, None, asked, traces(hint="REQUEUED")) == ENDED_BY_SIGNAL
    told = ENDED_BY_SIGNAL._replace(failure_reason="MEMORY")
    assert judge(told, None, asked, traces(hint="TIMEOUT")) == told


def test_unconfirmed() -> None:
    """An answer since which there has been none has its age, and shows nothing but an end, or a lock, for certain."""
    row = RUNNING._replace(asked=OLD)
    found = unconfirmed(RUNS._replace(row=RUNNING), OLD, is_locked=False)
    assert (found.certain, found.row) == (False, row)
    found = unconfirmed(RUNS._replace(row=RUNNING), OLD, is_locked=True)
    assert (found.certain, found.row) == (True, row)
    assert not unconfirmed(RUNS, None, is_locked=False).certain
    assert unconfirmed(FAILED, None, is_locked=False) == FAILED
    doubtful = RUNS._replace(certain=False)
    assert unconfirmed(doubtful, OLD, is_locked=True) == doubtful
