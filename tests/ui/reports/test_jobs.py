"""Plans and outcomes of acting, archiving, recovering and cleaning, and lists of jobs, as lines and documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from xpm_remote.ui.reports import jobs as reports
from xpm_remote.ui.reports import orphans
from xpm_remote.workspace.layout import Folder, FolderMode, JobId
from xpm_remote.workspace.outcomes import (
    CLEAN,
    KILL,
    ActionOutcome,
    ActionPlan,
    ArchiveOutcome,
    ArchivePlan,
    ArchiveStatus,
    ArchiveStep,
    ArchiveVerdict,
    CleanAction,
    CleanOutcome,
    CleanStatus,
    CleanStep,
    FolderOutcome,
    Orphan,
    OrphanReport,
    RecoveryOutcome,
    RecoveryPlan,
    RecoveryStatus,
)
from xpm_remote.workspace.reading.jobs import CurrentJob, JobFacts
from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.states import Process, Progress

JOB = JobId("t.x", "aaaa")
FOLDER = Folder(Path("/slow/\x1bbackup"), FolderMode.BACKUP)


def test_recovery_plan() -> None:
    """A plan has for each job the source, the size and the completeness; and a sum."""
    plans = [
        RecoveryPlan(JOB, RecoveryStatus.RECOVERED, FOLDER, True, 1500, 3),
        RecoveryPlan(JOB, RecoveryStatus.INCOMPLETE, FOLDER, False, 10, 1, "no marker"),
        RecoveryPlan(JOB, RecoveryStatus.NOT_FOUND, unavailable=("/x is away",)),
    ]
    assert [" ".join(line.split()) for line in reports.recovery_plan_lines(plans)] == [
        "recover t.x/aaaa from /slow/\\x1bbackup 1.5 KiB 3 files complete",
        "incomplete t.x/aaaa from /slow/\\x1bbackup 10 B 1 file without success marker"
        " no marker; --incomplete takes it",
        "not-found t.x/aaaa /x is away",
    ]
    assert reports.recovery_total(plans) == "1 job to recover, 3 files, 1.5 KiB."
    assert reports.recovery_total(plans[1:]) == "Nothing is to be recovered."
    document = reports.recovery_plan_document(plans[0])
    assert (document["id"], document["status"]) == ("t.x/aaaa", "recover")
    assert reports.recovery_plan_document(plans[2])["status"] == "not-found"


def test_recovery_outcome() -> None:
    """An outcome has the status of a job, and its warnings."""
    done = RecoveryOutcome(JOB, RecoveryStatus.RECOVERED, Path("/ws/a"), FOLDER)
    assert reports.recovery_outcome_line(done) == (
        "recovered t.x/aaaa from /slow/\\x1bbackup into /ws/a"
    )
    failed = RecoveryOutcome(JOB, RecoveryStatus.FAILED, Path("/ws/a"), message="disk full")
    assert reports.recovery_outcome_line(failed) == "failed t.x/aaaa: disk full"
    assert reports.recovery_outcome_document(failed)["message"] == "disk full"
    for is_plan, schema in ((True, "recovery-plan"), (False, "recovery")):
        document = reports.unknown_document("zz", is_plan=is_plan)
        assert document == {"schema": f"xpm-remote/{schema}/1", "id": "zz", "status": "not-found"}


def test_archive() -> None:
    """A plan has a row for each folder, and so have outcomes; other jobs have the reason."""
    plans = [
        ArchivePlan(
            JOB, ArchiveVerdict.ARCHIVE, "", 5, 1, (ArchiveStep(FOLDER, "unavailable", "away"),)
        ),
        ArchivePlan(JOB, ArchiveVerdict.UNFINISHED, "it runs"),
    ]
    assert [" ".join(line.split()) for line in reports.archive_plan_lines(plans)] == [
        "unavailable t.x/aaaa to /slow/\\x1bbackup 5 B 1 file away",
        "unfinished t.x/aaaa it runs",
    ]
    assert reports.archive_plan_document(plans[1])["verdict"] == "unfinished"
    outcomes = [
        ArchiveOutcome(
            JOB,
            ArchiveVerdict.ARCHIVE,
            "",
            (
                FolderOutcome(FOLDER, ArchiveStatus.COPIED),
                FolderOutcome(FOLDER, ArchiveStatus.FAILED, "full"),
            ),
        ),
        ArchiveOutcome(JOB, ArchiveVerdict.OPTED_OUT, "it is marked"),
    ]
    assert [line for each in outcomes for line in reports.archive_outcome_lines(each)] == [
        "copied t.x/aaaa in /slow/\\x1bbackup",
        "failed t.x/aaaa in /slow/\\x1bbackup: full",
        "opted-out t.x/aaaa: it is marked",
    ]
    assert reports.archive_outcome_document(outcomes[1])["id"] == "t.x/aaaa"


@pytest.mark.parametrize(
    ("actions", "question"),
    [
        ([], ""),
        ([CleanAction.KEEP], ""),
        ([CleanAction.REMOVE] * 2, "Delete 2 jobs for good?"),
        ([CleanAction.UNLINK], "Remove 1 link of moved jobs?"),
        (
            [CleanAction.REMOVE, CleanAction.UNLINK, CleanAction.KEEP],
            "Delete 1 job for good and remove 1 link of moved jobs?",
        ),
        ([CleanAction.SWEEP], "Sweep what interrupted commands left of 1 job?"),
        (
            [CleanAction.REMOVE, CleanAction.SWEEP],
            "Delete 1 job for good and sweep what interrupted commands left of 1 job?",
        ),
    ],
)
def test_question(actions: list[CleanAction], question: str) -> None:
    """The question names what will be removed, if anything."""
    steps = [CleanStep(Orphan(JOB, Path("/ws/a")), action) for action in actions]
    assert orphans.question(steps) == question


def test_orphans() -> None:
    """Orphans are listed with known sizes, and those that a folder has separately."""
    report = OrphanReport(
        (Orphan(JOB, Path("/ws/a"), size=5),), (Orphan(JOB, Path("/ws/a"), True, FOLDER),)
    )
    assert list(orphans.orphan_lines(report)) == [
        "Found 1 orphan job (5 B):",
        " t.x/aaaa  5 B",
        "Found 1 recoverable job, which a folder has too:",
        " t.x/aaaa  backup /slow/\\x1bbackup",
    ]
    assert list(orphans.orphan_lines(OrphanReport())) == ["No orphan jobs found."]
    kinds = [each["kind"] for each in orphans.orphan_documents(report)]
    assert kinds == ["orphan", "recoverable"]
    step = CleanStep(report.orphans[0], CleanAction.KEEP, "it runs")
    assert list(orphans.clean_lines([step])) == ["keep  t.x/aaaa  5 B  it runs"]
    outcome = CleanOutcome(JOB, CleanStatus.FAILED, "no")
    assert orphans.cleaned_line(outcome) == "failed t.x/aaaa: no"
    assert orphans.is_bad(outcome)
    assert orphans.cleaned_document(outcome)["message"] == "no"


def test_jobs() -> None:
    """A job is a line with its state in experimaestro's notation, and a document with aware times."""
    facts = JobFacts("t.x", "aaaa", "/ws/jobs", "running", submitted=1e9, ended=1e300)
    facts = facts._replace(progress=(Progress(0, 0.5, "epoch"),))
    job = CurrentJob(facts=facts, tags={"lr": 0.1, "b": "\x1b"}, experiments=("e",))
    assert list(reports.job_lines([job], with_tags=True, with_paths=False)) == [
        "running t.x/aaaa lr=0.1 b=\\x1b"
    ]
    assert list(reports.job_lines([job], with_tags=False, with_paths=True)) == [
        "running /ws/jobs/t.x/aaaa"
    ]
    doubted = job._replace(facts=facts._replace(state="scheduled", certain=False))
    assert list(reports.job_lines([doubted], with_tags=False, with_paths=False)) == [
        "scheduled? t.x/aaaa"
    ]
    assert not reports.job_document(doubted)["certain"]
    assert (job.task_id, job.state) == ("t.x", "running")
    document = reports.job_document(job)
    assert document["progress"] == [{"level": 0, "fraction": 0.5, "description": "epoch"}]
    assert (document["started"], document["ended"]) == (None, None)
    assert document["submitted"][-6] in "+-"


def test_action_plans() -> None:
    """A plan has the action for each job, or the reason against it."""
    do = ActionPlan(JOB, KILL, "end 12", pid=12, kind="local")
    keep = ActionPlan(JOB, CLEAN, refusal="its lock is \x1b held")
    assert list(reports.action_plan_lines([do, keep])) == [
        "kill  t.x/aaaa  end 12",
        r"keep  t.x/aaaa  its lock is \x1b held",
    ]
    assert reports.action_plan_document(do) == {
        "schema": "xpm-remote/action-plan/1",
        "id": "t.x/aaaa",
        "action": "kill",
        "status": "kill",
        "what": "end 12",
        "reason": None,
        "pid": 12,
        "launcher": "local",
    }
    assert reports.action_plan_document(keep)["status"] == "keep"
    assert reports.action_plan_document(keep)["reason"] == keep.refusal


def test_action_outcomes() -> None:
    """An outcome has the action, or the reason against it, escaped for a terminal."""
    done = ActionOutcome(JOB, CLEAN, True, "removed /\x1b")
    assert reports.action_outcome_line(done) == r"cleaned t.x/aaaa: removed /\x1b"
    assert (
        reports.action_outcome_line(ActionOutcome(JOB, KILL, False, "no")) == "failed t.x/aaaa: no"
    )
    assert reports.action_outcome_document(done) == {
        "schema": "xpm-remote/action/1",
        "id": "t.x/aaaa",
        "action": "clean",
        "status": "cleaned",
        "message": "removed /\x1b",
    }
    assert reports.action_outcome_document(ActionOutcome(JOB, KILL, False, ""))["message"] is None


def test_jobs_of_slurm() -> None:
    """Columns have what SLURM has of a job, a dash for nothing; a contradiction is a line, and in the document."""
    facts = JobFacts("t.x", "aaaa", "/ws/jobs", "scheduled", process=Process("15", "slurm"))
    row = Row(
        "15", Phase.QUEUED, "PENDING", "/ws", "Priority", "main", starts=1e9, warning="\x1bno"
    )
    queued = CurrentJob(facts._replace(row=row), {"lr": 0.1}, ("e", "f"))
    other = CurrentJob(facts._replace(process=None), {}, ("e",))
    names = ["state", "id", "launcher", "slurm", "slurm_state", "queue", "reason", "nodes", "tags"]
    lines = [line.split() for line in reports.column_lines([queued, other], names)]
    assert lines[0] == [
        "scheduled", "t.x/aaaa", "slurm", "15", "PENDING", "main", "Priority", "-", "lr=0.1",
    ]  # fmt: skip
    assert lines[1][2:] == ["-"] * 7
    (every,) = reports.column_lines([queued], list(reports.COLUMNS))
    assert "\x1b" not in every
    assert list(reports.warning_lines([queued, other])) == ["t.x/aaaa: \\x1bno"]
    document = reports.job_document(queued)
    assert (document["launcher"], document["slurm"]["phase"]) == ("slurm", "queued")
    assert document["slurm"]["nodes"] is None
    assert reports.launcher(other) is None
    assert reports.launcher(other._replace(facts=other.facts._replace(row=row))) == "slurm"
