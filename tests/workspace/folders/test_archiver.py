"""The background worker archives jobs at once, retries, and reports what is left."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.workspace.jobs_on_disk import JOB, leftovers, make_folder, make_job
from xpm_remote.workspace.failures import NoJobFailure, WorkspaceFailure
from xpm_remote.workspace.folders.archiver import Archiver
from xpm_remote.workspace.folders.archiving import archive
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout
from xpm_remote.workspace.outcomes import ArchiveOutcome, ArchiveStatus, ArchiveVerdict

LIMIT = 30.0
"""Seconds after which an event that must come counts as missing."""


@pytest.fixture
def workspace(workspace: Layout) -> Layout:
    """A workspace with a job."""
    make_job(workspace)
    return workspace


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder."""
    return make_folder(tmp_path / "folder", FolderMode.MOVE)


def test_submitted_job_is_archived(workspace: Layout, folder: Folder) -> None:
    """A job that was submitted, more than once, is archived once, and closing waits for it."""
    told: list[ArchiveOutcome] = []
    with Archiver(workspace, [folder], told.append) as archiver:
        archiver.submit(JOB)
        archiver.submit(JOB)
    assert archiver.close() == (1, ())
    assert workspace.job(JOB).is_symlink()
    assert told[0].folders[0].status is ArchiveStatus.MOVED
    with pytest.raises(WorkspaceFailure, match="closed"):
        archiver.submit(JOB)


def test_folder_that_comes_back(workspace: Layout, folder: Folder, tmp_path: Path) -> None:
    """A missing folder is tried again until it is there."""
    away = folder.path.rename(tmp_path / "away")
    failed, done = threading.Event(), threading.Event()

    def told(outcome: ArchiveOutcome) -> None:
        (done if outcome.is_archived else failed).set()

    with Archiver(workspace, [folder], told, first_delay=0.01) as archiver:
        archiver.submit(JOB)
        assert failed.wait(LIMIT)
        away.rename(folder.path)
        assert done.wait(LIMIT)
    assert archiver.close() == (1, ())


def test_close_says_what_is_left(workspace: Layout, tmp_path: Path) -> None:
    """A job that waits for another try has a last one when the worker is closed, and is listed if it fails."""
    missing = Folder(tmp_path / "missing", FolderMode.BACKUP)
    failed = threading.Event()
    archiver = Archiver(workspace, [missing], lambda _: failed.set())
    archiver.submit(JOB)
    assert failed.wait(LIMIT)
    assert archiver.close() == (0, (JOB,))


def test_closing_is_bounded(workspace: Layout, folder: Folder) -> None:
    """Work beyond the limit is given up and listed, and leaves nothing behind."""
    copying, goes_on = threading.Event(), threading.Event()

    def slow(job: JobId, size: int, files: int) -> None:
        copying.set()
        assert goes_on.wait(LIMIT)

    archiver = Archiver(workspace, [folder], lambda _: None, slow)
    archiver.submit(JOB)
    assert copying.wait(LIMIT)
    closing = threading.Timer(0.05, goes_on.set)  # after the limit of no time at all
    closing.start()
    report = archiver.close(limit=0)
    closing.join()
    assert report == (0, (JOB,))
    assert not workspace.job(JOB).is_symlink()
    assert leftovers(workspace.root, folder.path) == []


def test_opt_out_holds_for_later_runs(workspace: Layout, folder: Folder) -> None:
    """A job submitted with backup=False is not archived by any run until that is revoked."""
    with Archiver(workspace, [folder], lambda _: None) as archiver:
        archiver.submit(JOB, backup=False)
    with Archiver(workspace, [folder], lambda _: None) as later:
        later.submit(JOB)
    assert later.close() == (0, ())
    (outcome,) = archive(workspace, [folder], [JOB])
    assert outcome.verdict is ArchiveVerdict.OPTED_OUT
    assert not workspace.job(JOB).is_symlink()


def test_opt_out_needs_a_job(workspace: Layout, folder: Folder) -> None:
    """A job without a directory cannot be opted out, which is reported."""
    with Archiver(workspace, [folder], lambda _: None) as archiver, pytest.raises(NoJobFailure):
        archiver.submit(JobId("demo.other", "00"), backup=False)
