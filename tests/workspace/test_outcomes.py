"""The meaning of the statuses of a job's copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from xpm_remote.workspace.layout import Folder, FolderMode, JobId
from xpm_remote.workspace.outcomes import (
    ArchiveOutcome,
    ArchiveStatus,
    ArchiveVerdict,
    FolderOutcome,
    RecoveryOutcome,
    RecoveryStatus,
)

JOB = JobId("t.x", "aaaa")
FOLDERS = [Folder(Path(name), FolderMode.BACKUP) for name in ("/one", "/two")]


@pytest.mark.parametrize("status", RecoveryStatus)
def test_recovery_status(status: RecoveryStatus) -> None:
    """Only an existing or restored job counts as there; only a restored one, or one still busy, is to be done."""
    assert status.is_there == (status.name in ("THERE", "RECOVERED"))
    assert status.is_to_do == (status.name in ("RECOVERED", "BUSY"))


@pytest.mark.parametrize("status", ArchiveStatus)
def test_archiving(status: ArchiveStatus) -> None:
    """One folder that is busy, or lacks the job, decides for the job."""
    statuses = (ArchiveStatus.COPIED, status)
    folders = tuple(FolderOutcome(*each) for each in zip(FOLDERS, statuses, strict=True))
    outcome = ArchiveOutcome(JOB, ArchiveVerdict.ARCHIVE, folders=folders)
    assert outcome.is_busy == (status.name == "BUSY")
    assert outcome.is_archived == (
        status.name in ("COPIED", "MOVED", "PRESENT", "COMPLETED", "KEPT")
    )
    assert outcome.is_worth_another_try == (status.name in ("BUSY", "UNAVAILABLE", "FAILED"))


@pytest.mark.parametrize("verdict", ArchiveVerdict)
def test_not_archived(verdict: ArchiveVerdict) -> None:
    """A job that went into no folder is not archived; where it could not be read, that may pass."""
    outcome = ArchiveOutcome(JOB, verdict)
    assert not outcome.is_archived
    assert not outcome.is_busy
    assert outcome.is_worth_another_try == (verdict.name == "UNREADABLE")


@pytest.mark.parametrize("status", RecoveryStatus)
def test_recovery(status: RecoveryStatus) -> None:
    """An outcome tells as its status does whether the job is there, and whether another process has it."""
    outcome = RecoveryOutcome(JOB, status, Path("/ws/jobs/t.x/aaaa"))
    assert outcome.is_there == status.is_there
    assert outcome.is_busy == (status.name == "BUSY")
