"""Jobs are archived whole, where they belong, and nothing is lost on the way."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workspace.jobs_on_disk import (
    JOB,
    OLD,
    leftovers,
    make_folder,
    make_job,
    make_workspace,
    tree,
)
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.folders.archiving import archive, plan_archive
from xpm_remote.workspace.folders.folder import Folder, Mode
from xpm_remote.workspace.folders.opt_out import opt_in, opt_out
from xpm_remote.workspace.folders.outcomes import (
    ArchiveOutcome,
    ArchivePlan,
    ArchiveStatus,
    ArchiveVerdict,
    FolderOutcome,
)
from xpm_remote.workspace.layout import JobId, Layout
from xpm_remote.workspace.locks import StagingLock

SCRIPTS = Path(__file__).parents[2] / "support" / "scripts"


@pytest.fixture
def workspace(tmp_path: Path) -> Layout:
    """A workspace without jobs."""
    return make_workspace(tmp_path / "ws")


@pytest.fixture
def backup(tmp_path: Path) -> Folder:
    """A folder that jobs are copied to."""
    return make_folder(tmp_path / "backup", Mode.BACKUP)


@pytest.fixture
def move(tmp_path: Path) -> Folder:
    """A folder that jobs are moved to."""
    return make_folder(tmp_path / "move", Mode.MOVE)


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system."""
    root = Path("/dev/shm") / f"xpm-{os.getpid()}-{tmp_path.name}"
    root.mkdir()
    assert root.stat().st_dev != tmp_path.stat().st_dev
    yield root
    shutil.rmtree(root)


def run(workspace: Layout, *folders: Folder) -> list[FolderOutcome]:
    """Archive the one job; give what came of it in each folder."""
    (outcome,) = archive(workspace, folders, [JOB])
    return list(outcome.folders)


def statuses(workspace: Layout, *folders: Folder) -> list[ArchiveStatus]:
    """Archive the one job; give the status in each folder."""
    return [each.status for each in run(workspace, *folders)]


def test_copy_keeps_everything(workspace: Layout, backup: Folder) -> None:
    """A copy has files, modes, times, links, hard links and directories of the job, and nothing is left beside it."""
    path = make_job(workspace)
    assert statuses(workspace, backup) == [ArchiveStatus.COPIED]
    assert tree(backup.job(JOB)) == tree(path)
    assert not path.is_symlink()
    assert leftovers(workspace.root, backup.path) == []


def test_move_leaves_a_link(workspace: Layout, move: Folder) -> None:
    """A moved job is a directory in the folder, and an absolute link to it in the workspace."""
    path = make_job(workspace)
    wanted = tree(path)
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]
    assert path.readlink() == move.job(JOB)
    assert tree(move.job(JOB)) == wanted
    assert leftovers(workspace.root, move.path) == []
    assert statuses(workspace, move) == [ArchiveStatus.PRESENT]


@pytest.mark.parametrize("mode", [Mode.BACKUP, Mode.MOVE])
def test_users_locks_and_pids_are_kept(workspace: Layout, tmp_path: Path, mode: Mode) -> None:
    """Files of the user named *.lock and *.pid are archived; the job's own lock, pid and .scheduler are not."""
    path = make_job(workspace)
    (path / ".lock").write_text("mine")
    (path / "server.pid").write_text("1")
    (path / "train.pid").write_text("{}")
    (path / ".scheduler").mkdir()
    (path / "out" / "train.lock").write_text("deeper, so the user's")
    folder = make_folder(tmp_path / "folder", mode)
    run(workspace, folder)
    copy = folder.job(JOB)
    assert {each.name for each in copy.iterdir()} == {
        *(".experimaestro", ".lock", "best", "out", "params.json"),
        *("server.pid", "train.done", "uv.lock"),
    }
    assert (copy / "out" / "train.lock").read_text() == "deeper, so the user's"


def test_other_file_system(workspace: Layout, other_disk: Path) -> None:
    """A job is moved to another file system as to the same one."""
    path = make_job(workspace)
    wanted = tree(path)
    folder = Folder(other_disk, Mode.MOVE)
    assert statuses(workspace, folder) == [ArchiveStatus.MOVED]
    assert tree(path.resolve()) == wanted


@pytest.mark.parametrize("second", [Mode.BACKUP, Mode.MOVE])
def test_second_folder_gets_a_copy(
    workspace: Layout, move: Folder, tmp_path: Path, second: Mode
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
    folder = make_folder(tmp_path / "use", Mode.USE)
    (outcome,) = archive(workspace, [folder], [JOB])
    assert outcome.verdict is ArchiveVerdict.NO_FOLDER
    assert list(folder.path.iterdir()) == []


def test_copy_without_move_is_moved_by_the_next_run(workspace: Layout, move: Folder) -> None:
    """A whole copy whose job is still a directory here, as a crash leaves it, is verified and then linked to."""
    path = make_job(workspace)
    run(workspace, Folder(move.path, Mode.BACKUP))
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]
    assert path.is_symlink()


@pytest.mark.parametrize("mode", [Mode.BACKUP, Mode.MOVE])
def test_incomplete_copy_is_completed(workspace: Layout, tmp_path: Path, mode: Mode) -> None:
    """A copy that lacks files, or has the beginnings of some, is replaced by a whole one."""
    path = make_job(workspace)
    wanted = tree(path)
    folder = make_folder(tmp_path / "folder", mode)
    run(workspace, Folder(folder.path, Mode.BACKUP))
    (folder.job(JOB) / "uv.lock").unlink()
    os.truncate(folder.job(JOB) / "out" / "model.bin", 1000)
    expected = ArchiveStatus.MOVED if mode is Mode.MOVE else ArchiveStatus.COMPLETED
    assert statuses(workspace, folder) == [expected]
    assert tree(folder.job(JOB)) == wanted
    assert leftovers(workspace.root, folder.path) == []


@pytest.mark.parametrize("change", ["flip", "longer", "extra", "kind", "link"])
def test_other_data_is_reported(workspace: Layout, move: Folder, change: str) -> None:
    """A copy that has data which the workspace lacks is not touched, and the job here is not moved."""
    path = make_job(workspace)
    run(workspace, Folder(move.path, Mode.BACKUP))
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


def test_fifo_is_reported(
    workspace: Layout, move: Folder, backup: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FIFOs and sockets are named, the rest is copied, and the workspace keeps the directory that has them."""
    path = make_job(workspace)
    os.mkfifo(path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(path)  # the address of a socket is short
        server.bind("s")
    first, second = run(workspace, backup, move)
    assert first.status is ArchiveStatus.COPIED
    assert "pipe" in first.message
    assert second.status is ArchiveStatus.KEPT
    assert (path / "pipe").is_fifo()
    assert (move.job(JOB) / "uv.lock").exists()


def test_link_that_would_break_keeps_the_directory(workspace: Layout, move: Folder) -> None:
    """A relative link to something beside the job keeps the job where the link works."""
    path = make_job(workspace)
    (workspace.jobs / "shared.txt").write_text("x")
    (path / "shared").symlink_to("../../shared.txt")
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.KEPT
    assert (path / "shared").read_text() == "x"


def test_absolute_link_within_the_job_stays_valid(workspace: Layout, move: Folder) -> None:
    """An absolute link to a file of the job leads there through the link of the moved job."""
    path = make_job(workspace)
    (path / "absolute").symlink_to(path / "uv.lock")
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]
    assert (path / "absolute").read_text() == "the user's own"


def test_holes_stay_holes(workspace: Layout, backup: Folder) -> None:
    """A sparse file takes no more room in the folder, and has the same contents."""
    path = make_job(workspace)
    with (path / "sparse").open("wb") as file:
        file.seek(50_000_000)
        file.write(b"data")
        file.truncate(90_000_000)
    run(workspace, backup)
    copy = backup.job(JOB) / "sparse"
    assert copy.stat().st_size == 90_000_000
    assert copy.stat().st_blocks * 512 < 1_000_000
    with copy.open("rb") as file:
        file.seek(50_000_000)
        assert file.read(6) == b"data\0\0"
    assert statuses(workspace, backup) == [ArchiveStatus.PRESENT]


def test_attributes_are_kept(workspace: Layout, backup: Folder) -> None:
    """Extended attributes come along."""
    path = make_job(workspace)
    os.setxattr(path / "uv.lock", "user.note", b"hello")
    run(workspace, backup)
    assert os.getxattr(backup.job(JOB) / "uv.lock", "user.note") == b"hello"


def test_directory_without_write_permission(workspace: Layout, move: Folder) -> None:
    """A directory that its owner may not write is moved with its permissions."""
    path = make_job(workspace)
    (path / "out").chmod(0o500)
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]
    assert (path / "out").stat().st_mode & 0o777 == 0o500


def test_missing_folder_is_not_created(workspace: Layout, backup: Folder, tmp_path: Path) -> None:
    """A folder that is not there costs that folder only, and is never created."""
    make_job(workspace)
    missing = Folder(tmp_path / "not-mounted", Mode.MOVE)
    assert statuses(workspace, missing, backup) == [ArchiveStatus.UNAVAILABLE, ArchiveStatus.COPIED]
    assert not missing.path.exists()


@pytest.mark.parametrize("path", ["relative/folder", "ws"])
def test_impossible_folders(workspace: Layout, tmp_path: Path, path: str) -> None:
    """A relative folder, and the workspace itself, take no job: each would lose it."""
    primary = make_job(workspace)
    folder = Folder(Path(path) if "/" in path else tmp_path / path, Mode.MOVE)
    before = tree(primary)
    assert statuses(workspace, folder) == [ArchiveStatus.UNAVAILABLE]
    assert tree(primary) == before


def test_folder_whose_jobs_are_the_workspaces(workspace: Layout, move: Folder) -> None:
    """A folder whose jobs/ is a link to the workspace's takes no job: a move would remove the only copy."""
    path = make_job(workspace)
    (move.path / "jobs").symlink_to(workspace.jobs)
    assert statuses(workspace, move) == [ArchiveStatus.UNAVAILABLE]
    assert not path.is_symlink()


def test_folder_whose_task_is_the_workspaces(workspace: Layout, move: Folder) -> None:
    """A folder in which a task is a link to the workspace's has the job already, and it is not moved."""
    path = make_job(workspace)
    (move.path / "jobs").mkdir()
    (move.path / "jobs" / JOB.task).symlink_to(path.parent)
    assert statuses(workspace, move) == [ArchiveStatus.PRESENT]
    assert not path.is_symlink()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_full_or_read_only_folder(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A folder that cannot be written costs that folder only: nothing is left there, and the next run succeeds."""
    path = make_job(workspace)
    before = tree(path)

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(filesystem, "write_at", refuse)
        (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.UNAVAILABLE
    assert os.strerror(number) in outcome.message
    assert tree(path) == before
    assert leftovers(workspace.root, move.path) == []
    assert statuses(workspace, move) == [ArchiveStatus.MOVED]


def test_disk_that_is_really_full(tmp_path: Path) -> None:
    """A disk that fills up keeps what fitted, takes no part of what did not, and takes it when there is space."""
    alone = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip(
            "nothing can be mounted here; the errors of a full disk are injected all the same"
        )
    words = [*alone, sys.executable, str(SCRIPTS / "full_disk.py"), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["first"] == ["moved", "unavailable", "moved"]
    assert "no space is left" in said["message"]
    assert said["left"] == []
    assert said["again"] == ["present", "moved", "present"]
    assert said["whole"] == [True, True, True]


def test_unreadable_file(workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read is named, and the job stays here."""
    path = make_job(workspace)
    real = filesystem.open_file

    def refuse(name: str, *args: int, **options: int) -> int:
        if name == "uv.lock":
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return real(name, *args, **options)

    monkeypatch.setattr(filesystem, "open_file", refuse)
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.FAILED
    assert outcome.message == f"{path}/uv.lock: Permission denied"
    assert not path.is_symlink()
    assert not move.job(JOB).exists()


def test_damaged_copy_is_noticed(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not keep what was written is noticed before anything is removed."""
    path = make_job(workspace)
    before = tree(path)
    real = filesystem.write_at

    def corrupt(descriptor: int, data: bytes, offset: int) -> int:
        return real(descriptor, b"?" * len(data), offset)

    monkeypatch.setattr(filesystem, "write_at", corrupt)
    monkeypatch.setattr(filesystem, "copy_range", lambda *_: 0)
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.FAILED
    assert tree(path) == before
    assert not move.job(JOB).exists()


def test_change_by_somebody_else_is_noticed(
    workspace: Layout, backup: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job in whose directories somebody makes or removes files while it is copied is not published."""
    path = make_job(workspace)
    real = filesystem.truncate

    def write_meanwhile(descriptor: int, size: int) -> None:
        (path / "out" / "late").touch()
        real(descriptor, size)

    monkeypatch.setattr(filesystem, "truncate", write_meanwhile)
    (outcome,) = run(workspace, backup)
    assert outcome.status is ArchiveStatus.FAILED
    assert "changed" in outcome.message
    assert not backup.job(JOB).exists()


def test_write_after_the_copy_is_noticed(
    workspace: Layout, move: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is written while its job is moved keeps the job here."""
    path = make_job(workspace)
    real = filesystem.exchange

    def write_first(first: Path, second: Path) -> None:
        (path / "late.txt").write_text("late")
        real(first, second)

    monkeypatch.setattr(filesystem, "exchange", write_first)
    (outcome,) = run(workspace, move)
    assert outcome.status is ArchiveStatus.BUSY
    assert (path / "late.txt").read_text() == "late"
    assert not path.is_symlink()


def test_living_writer_is_left_alone(workspace: Layout, backup: Folder) -> None:
    """What another process stages is left alone while it holds its lock, and swept when it is dead."""
    make_job(workspace)
    staged = backup.job(JOB).with_name(f".tmp.{JOB.hash}")
    staged.mkdir(parents=True)
    (staged / "half").touch()
    with StagingLock(staged.with_name(f"{staged.name}.lock"), shared=False):
        assert statuses(workspace, backup) == [ArchiveStatus.BUSY]
        assert (staged / "half").exists()
    assert statuses(workspace, backup) == [ArchiveStatus.COPIED]
    assert leftovers(backup.path) == []


def test_leftovers_of_other_jobs_are_swept(workspace: Layout, backup: Folder) -> None:
    """What a dead process staged for another job of the task is removed, too."""
    make_job(workspace)
    other = backup.job(JobId(JOB.task, "ff")).with_name(".tmp.ff")
    other.mkdir(parents=True)
    run(workspace, backup)
    assert leftovers(backup.path) == []


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
    """A job that is not there, has not succeeded, runs or is opted out is not archived, and the plan says so, too."""
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


def test_opting_out_is_remembered_and_forgotten(workspace: Layout, backup: Folder) -> None:
    """The word that a job is not to be archived holds until it is taken back."""
    make_job(workspace)
    opt_out(workspace, JOB)
    opt_out(workspace, JOB)
    assert statuses(workspace, backup) == []
    opt_in(workspace, JOB)
    opt_in(workspace, JOB)
    assert statuses(workspace, backup) == [ArchiveStatus.COPIED]


def test_opting_out_is_durable(workspace: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory that has the word is written to the disk after the word, as is one that is made for it."""
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


def test_plan(workspace: Layout, backup: Folder, move: Folder, tmp_path: Path) -> None:
    """A plan says what is done in each folder, with sizes, and changes nothing."""
    path = make_job(workspace)
    gone = Folder(tmp_path / "gone", Mode.BACKUP)
    run(workspace, backup)
    (plan,) = plan_archive(workspace, [backup, move, gone], [JOB])
    assert [step.action for step in plan.steps] == ["verify", "move", "unavailable"]
    assert plan.size > (path / "out" / "model.bin").stat().st_size
    assert list(move.path.iterdir()) == []
    assert ArchivePlan.from_wire(plan.to_wire()) == plan


def test_many_jobs_in_order(workspace: Layout, move: Folder) -> None:
    """Many jobs are archived in batches; the outcomes come in the jobs' order and travel as JSON."""
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
    assert ArchiveOutcome.from_wire(outcomes[0].to_wire()) == outcomes[0]
    assert all(workspace.job(job).stat().st_mtime == OLD for job in jobs)


def test_abandoned_work_leaves_nothing(workspace: Layout, backup: Folder) -> None:
    """Work that is given up leaves nothing behind, and is taken up by the next run."""
    make_job(workspace)
    answers = iter([False, False, True])
    outcomes = list(archive(workspace, [backup], [JOB], abandon=lambda: next(answers, True)))
    assert [each.status for each in outcomes[0].folders] == [ArchiveStatus.BUSY]
    assert leftovers(workspace.root, backup.path) == []
    assert statuses(workspace, backup) == [ArchiveStatus.COPIED]
