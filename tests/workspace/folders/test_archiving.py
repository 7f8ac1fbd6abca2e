"""Jobs are archived completely, in the right folders, and no data is lost."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.workspace.folders.one_job import run, statuses
from tests.workspace.jobs_on_disk import JOB, OLD, leftovers, make_folder, make_job, tree
from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.folders.archiving import archive, opt_out, plan_archive
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout
from xpm_remote.workspace.outcomes import (
    ArchiveOutcome,
    ArchivePlan,
    ArchiveStatus,
    ArchiveVerdict,
    from_wire,
    to_wire,
)


def test_move_leaves_a_link(workspace: Layout, move: Folder) -> None:
    """A moved job is a directory in the folder, and an absolute link to it in the workspace."""
    path = make_job(workspace)
    wanted = tree(path)
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]
    assert path.readlink() == move.job(JOB)
    assert tree(move.job(JOB)) == wanted
    assert leftovers(workspace.root, move.path) == []
    assert statuses(workspace, move) == [ArchiveStatus.PRESENT]


@pytest.mark.parametrize("second", [FolderMode.BACKUP, FolderMode.MOVE])
def test_second_folder_gets_a_copy(
    workspace: Layout, move: Folder, tmp_path: Path, second: FolderMode
) -> None:
    """After a move another folder gets a copy, and the link keeps pointing to the first."""
    path = make_job(workspace)
    wanted = tree(path)
    other = make_folder(tmp_path / "other", second)
    assert statuses(workspace, move, other) == [ArchiveStatus.MOVED, ArchiveStatus.COPIED]
    assert path.resolve() == move.job(JOB).resolve()
    assert tree(other.job(JOB)) == wanted


def test_use_folder_is_never_written(workspace: Layout, tmp_path: Path) -> None:
    """A folder of mode use is not archived to."""
    make_job(workspace)
    folder = make_folder(tmp_path / "use", FolderMode.USE)
    (outcome,) = archive(workspace, [folder], [JOB])
    assert outcome.verdict is ArchiveVerdict.NO_FOLDER
    assert list(folder.path.iterdir()) == []


def test_copy_without_move_is_moved_by_the_next_run(workspace: Layout, move: Folder) -> None:
    """A complete copy whose job is still a directory here, as after a crash, is verified and then linked to."""
    path = make_job(workspace)
    run(workspace, Folder(move.path, FolderMode.BACKUP))
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]
    assert path.is_symlink()


@pytest.mark.parametrize("mode", [FolderMode.BACKUP, FolderMode.MOVE])
def test_incomplete_copy_is_completed(workspace: Layout, tmp_path: Path, mode: FolderMode) -> None:
    """An incomplete copy, with missing or partial files, is replaced by a complete one."""
    path = make_job(workspace)
    wanted = tree(path)
    folder = make_folder(tmp_path / "folder", mode)
    run(workspace, Folder(folder.path, FolderMode.BACKUP))
    (folder.job(JOB) / "uv.lock").unlink()
    os.truncate(folder.job(JOB) / "out" / "model.bin", 1000)
    expected = ArchiveStatus.MOVED if mode is FolderMode.MOVE else ArchiveStatus.COMPLETED
    assert statuses(workspace, folder) == [expected]
    assert tree(folder.job(JOB)) == wanted
    assert leftovers(workspace.root, folder.path) == []


@pytest.mark.parametrize("change", ["flip", "longer", "extra", "kind", "link"])
def test_other_data_is_reported(workspace: Layout, move: Folder, change: str) -> None:
    """A copy with data that the workspace lacks is not changed, and the job here is not moved."""
    path = make_job(workspace)
    run(workspace, Folder(move.path, FolderMode.BACKUP))
    copy = move.job(JOB)
    model = copy / "out" / "model.bin"
    if change == "flip":
        data = bytearray(model.read_bytes())
        data[-1] ^= 1
        model.write_bytes(data)
    elif change == "longer":
        with model.open("ab") as file:
            file.write(b"more")
    elif change == "extra":
        (copy / "notes.txt").write_text("only here")
    elif change == "kind":
        (copy / "uv.lock").unlink()
        (copy / "uv.lock").mkdir()
    else:
        (copy / "best").unlink()
        (copy / "best").symlink_to("elsewhere")
    before = tree(copy)
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.DIFFERS
    assert outcome.message
    assert tree(copy) == before
    assert not path.is_symlink()


def test_rewritten_bookkeeping_is_refreshed(workspace: Layout, backup: Folder) -> None:
    """Files that experimaestro rewrites do not make a copy another job, and what only the copy has of them is kept."""
    path = make_job(workspace)
    run(workspace, backup)
    (path / ".experimaestro" / "status.json").write_text('{"state": "dONE"}')
    (backup.job(JOB) / ".experimaestro" / "events").mkdir()
    (backup.job(JOB) / ".experimaestro" / "events" / "event-0.jsonl").write_text("old")
    (backup.job(JOB) / "params.json").write_text('{ "version":3 }')
    assert statuses(workspace, backup) == [ArchiveStatus.COMPLETED]
    own = backup.job(JOB) / ".experimaestro"
    assert (own / "status.json").read_text() == '{"state": "dONE"}'
    assert (own / "events" / "event-0.jsonl").read_text() == "old"


@pytest.mark.parametrize(
    ("prepare", "verdict"),
    [
        ("none", ArchiveVerdict.MISSING),
        ("dangling", ArchiveVerdict.MISSING),
        ("failed", ArchiveVerdict.UNFINISHED),
        ("running", ArchiveVerdict.UNFINISHED),
        ("opted out", ArchiveVerdict.OPTED_OUT),
    ],
)
def test_jobs_that_are_not_archived(
    workspace: Layout, backup: Folder, prepare: str, verdict: ArchiveVerdict
) -> None:
    """A missing, unsuccessful, running or opted-out job is not archived, as the plan already shows."""
    path = workspace.job(JOB)
    if prepare == "dangling":
        path.parent.mkdir(parents=True)
        path.symlink_to("nowhere")
    elif prepare != "none":
        make_job(workspace, done=prepare != "failed")
    if prepare == "opted out":
        opt_out(workspace, JOB)
    lock = os.open(path / "train.lock", os.O_RDONLY) if prepare == "running" else None
    if lock is not None:
        fcntl.flock(lock, fcntl.LOCK_EX)
    (plan,) = plan_archive(workspace, [backup], [JOB])
    (outcome,) = archive(workspace, [backup], [JOB])
    if lock is not None:
        os.close(lock)
    assert plan.verdict is outcome.verdict is verdict
    assert list(backup.path.iterdir()) == []


def test_opting_out_is_remembered(workspace: Layout, backup: Folder) -> None:
    """The opt-out of a job holds until its file is removed."""
    make_job(workspace)
    opt_out(workspace, JOB)
    opt_out(workspace, JOB)
    assert statuses(workspace, backup) == []
    (workspace.job(JOB) / ".experimaestro" / "no-backup").unlink()
    assert statuses(workspace, backup) == [ArchiveStatus.COPIED]


def test_opting_out_is_durable(workspace: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory of the opt-out file is synced after the file, as is one that is created for it."""
    path = make_job(workspace)
    shutil.rmtree(path / ".experimaestro")
    written: list[tuple[Path, list[str]]] = []

    def note(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        written.append((place, [each.name for each in place.iterdir()]))

    monkeypatch.setattr(filesystem, "fsync", note)
    opt_out(workspace, JOB)
    assert [place for place, _ in written] == [path, path / ".experimaestro"]
    assert ".experimaestro" in written[0][1]
    assert written[1][1] == ["no-backup"]


def test_link_is_durable(workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a shared file system the workspace's directory is synced after a link replaces a job."""
    path = make_job(workspace)
    links: list[Path] = []

    def note(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        if place == path.parent:
            links.extend(each for each in place.iterdir() if each.is_symlink())

    monkeypatch.setattr(mounts, "belongs_to_one_host", lambda _: False)
    monkeypatch.setattr(filesystem, "fsync", note)
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]
    assert path in links


def test_plan(workspace: Layout, backup: Folder, move: Folder, tmp_path: Path) -> None:
    """A plan has the work in each folder, with sizes, and changes nothing."""
    path = make_job(workspace)
    gone = Folder(tmp_path / "gone", FolderMode.BACKUP)
    run(workspace, backup)
    (plan,) = plan_archive(workspace, [backup, move, gone], [JOB])
    assert [step.action for step in plan.steps] == ["verify", "move", "unavailable"]
    assert plan.size > (path / "out" / "model.bin").stat().st_size
    assert list(move.path.iterdir()) == []
    assert from_wire(ArchivePlan, to_wire(plan)) == plan


def test_many_jobs_in_order(workspace: Layout, move: Folder) -> None:
    """Many jobs are archived in batches; the outcomes are in the jobs' order and can be sent as JSON."""
    jobs = [JobId("demo.train", f"{number:064x}") for number in range(230)]
    for job in jobs:
        path = workspace.job(job)
        path.mkdir(parents=True)
        (path / "train.done").touch()
        os.utime(path, (OLD, OLD))
    seen: list[tuple[JobId, int]] = []
    outcomes = list(
        archive(workspace, [move], jobs, progress=lambda job, _, files: seen.append((job, files)))
    )
    assert [outcome.job for outcome in outcomes] == jobs
    assert all(outcome.is_archived for outcome in outcomes)
    assert {job for job, _ in seen} == set(jobs)
    assert from_wire(ArchiveOutcome, to_wire(outcomes[0])) == outcomes[0]
    assert all(workspace.job(job).stat().st_mtime == OLD for job in jobs)


def test_abandoned_work_leaves_nothing(workspace: Layout, backup: Folder) -> None:
    """Abandoned work leaves nothing behind, and is resumed by the next run."""
    make_job(workspace)
    answers = iter([False, False, True])
    outcomes = list(archive(workspace, [backup], [JOB], abandon=lambda: next(answers, True)))
    assert [each.status for each in outcomes[0].folders] == [ArchiveStatus.BUSY]
    assert leftovers(workspace.root, backup.path) == []
    assert statuses(workspace, backup) == [ArchiveStatus.COPIED]
