"""The background worker archives jobs at once, retries, and reports what is left."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workspace.faults import make_fail
from tests.workspace.jobs_on_disk import JOB, leftovers, make_folder, make_job
from xpm_remote.workspace import filesystem
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


def test_worker_survives_anything(
    workspace: Layout, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that is none of the system's costs each job of the batch a try, and the next try is made."""
    real, errors = archive, [TypeError("odd"), RuntimeError("odd")]

    def fail(*args: Any, **options: Any) -> Iterator[ArchiveOutcome]:
        if errors:
            raise errors.pop()
        return real(*args, **options)

    monkeypatch.setattr("xpm_remote.workspace.folders.archiver.archive", fail)
    told: list[ArchiveOutcome] = []
    done = threading.Event()

    def tell(outcome: ArchiveOutcome) -> None:
        told.append(outcome)
        if outcome.is_archived:
            done.set()

    with Archiver(workspace, [folder], tell, first_delay=0.01) as archiver:
        archiver.submit(JOB)
        assert done.wait(LIMIT)
    assert archiver.close() == (1, ())
    assert [each.folders[0].status for each in told] == [
        ArchiveStatus.FAILED,
        ArchiveStatus.FAILED,
        ArchiveStatus.MOVED,
    ]
    assert told[0].folders[0].message == "unexpected error, report it: RuntimeError: odd"


def test_receiver_that_fails(workspace: Layout, folder: Folder) -> None:
    """An error of the receiver of outcomes does not end the worker, and is raised where jobs are submitted."""
    queued, second = threading.Event(), threading.Event()
    told: list[JobId] = []

    def refuse(outcome: ArchiveOutcome) -> None:
        told.append(outcome.job)
        assert queued.wait(LIMIT)
        if len(told) == 2:
            second.set()
        raise BrokenPipeError

    other = JobId(JOB.task, "ff")
    make_job(workspace, other)
    archiver = Archiver(workspace, [folder], refuse)
    archiver.submit(JOB)
    archiver.submit(other)
    queued.set()
    assert second.wait(LIMIT)  # so the first error is known
    with pytest.raises(BrokenPipeError):
        archiver.submit(JOB)
    assert archiver.close() == (2, ())
    assert workspace.job(other).is_symlink()
    again = Archiver(workspace, [folder], refuse)
    again.submit(JOB)
    with pytest.raises(BrokenPipeError):
        again.close()


@pytest.mark.parametrize("name", ["stat", "lstat", "scan", "open_file", "mkdir", "lock"])
def test_read_errors_cost_a_try(
    workspace: Layout, folder: Folder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A job that cannot be read now is tried again, and is never dropped as if it were absent."""
    real = getattr(filesystem, name)
    failed, done = threading.Event(), threading.Event()

    def told(outcome: ArchiveOutcome) -> None:
        (done if outcome.is_archived else failed).set()

    make_fail(monkeypatch, name, errno.ESTALE)
    with Archiver(workspace, [folder], told, first_delay=0.01) as archiver:
        archiver.submit(JOB)
        assert failed.wait(LIMIT)
        monkeypatch.setattr(filesystem, name, real)
        assert done.wait(LIMIT)
    assert archiver.close() == (1, ())
