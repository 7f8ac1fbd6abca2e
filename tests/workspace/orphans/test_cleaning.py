"""Removing orphans: no referred job, no running job, and nothing at another place."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.workspace.disk import TextHost
from tests.workspace.small import SmallWorkspace, locked
from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import BusyFailure, DamagedFailure, FolderFailure
from xpm_remote.workspace.layout import Folder, FolderMode
from xpm_remote.workspace.orphans.cleaning import Cleaner
from xpm_remote.workspace.orphans.listing import find_orphans
from xpm_remote.workspace.outcomes import (
    CleanAction,
    CleanOutcome,
    CleanStatus,
    CleanStep,
    from_wire,
    to_wire,
)


@pytest.fixture
def made(tmp_path: Path) -> SmallWorkspace:
    """A workspace with a job that a run refers to, and an orphan."""
    made = SmallWorkspace(tmp_path / "ws")
    made.job("t/known")
    made.run(["t/known"])
    made.job("t/lone")
    return made


def clean(
    cleaner: Cleaner,
    made: SmallWorkspace,
    folders: Sequence[Folder] = (),
    *,
    with_folders: bool = True,
) -> dict[str, CleanStatus]:
    """Plan, and carry it out; return the outcome of each job."""
    report = find_orphans(made.layout, folders, with_folders=with_folders)
    return {str(each.job): each.status for each in cleaner.apply(cleaner.plan(report))}


def names(made: SmallWorkspace, task: str = "t") -> list[str]:
    """Return the entries of a task's directory."""
    return sorted(each.name for each in (made.layout.jobs / task).iterdir())


def test_removed(made: SmallWorkspace, tmp_path: Path) -> None:
    """An orphan is removed with its contents; the targets of its links are kept, and so is everything else."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    lone = made.layout.jobs / "t" / "lone"
    (lone / "away").symlink_to(precious)
    (lone / "closed").mkdir()
    (lone / "closed" / "file").touch()
    (lone / "closed").chmod(0o500)
    assert clean(Cleaner(made.layout), made) == {"t/lone": CleanStatus.REMOVED}
    assert names(made) == ["known"]
    assert (precious / "file").exists()


def test_recoverable_is_kept(made: SmallWorkspace, tmp_path: Path) -> None:
    """A job that a folder has is not removed, unless folders do not count; the folder keeps it in any case."""
    folder = SmallWorkspace(tmp_path / "backup")
    copy = folder.job("t/lone")
    folders = [folder.as_folder("backup")]
    assert clean(Cleaner(made.layout, folders), made, folders=folders) == {}
    cleaner = Cleaner(made.layout, folders, with_folders=False)
    done = clean(cleaner, made, folders=folders, with_folders=False)
    assert done == {"t/lone": CleanStatus.REMOVED}
    assert (copy / "result.txt").exists()


def test_moved_job(made: SmallWorkspace, tmp_path: Path) -> None:
    """Of a moved job the link is removed, and the data is kept, where experimaestro deletes the data."""
    folder = SmallWorkspace(tmp_path / "move")
    made.link("t/moved", folder.job("t/moved"))
    made.link("t/half", folder.job("t/half", None))
    made.link("t/own", tmp_path)
    folders = [folder.as_folder("move")]
    done = clean(
        Cleaner(made.layout, folders, with_folders=False), made, folders=folders, with_folders=False
    )
    assert done == {
        "t/half": CleanStatus.KEPT,
        "t/lone": CleanStatus.REMOVED,
        "t/moved": CleanStatus.UNLINKED,
        "t/own": CleanStatus.KEPT,
    }
    assert names(made) == ["half", "known", "own"]
    assert (folder.layout.jobs / "t" / "moved" / "result.txt").exists()


@pytest.mark.parametrize("level", ["jobs", "task"])
def test_behind_a_link(made: SmallWorkspace, tmp_path: Path, level: str) -> None:
    """Nothing is removed through a link, in the place of any directory."""
    place = made.layout.jobs if level == "jobs" else made.layout.jobs / "t"
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert clean(Cleaner(made.layout), made) == {"t/lone": CleanStatus.KEPT}
    assert names(made) == ["known", "lone"]


def test_running(made: SmallWorkspace) -> None:
    """A job whose lock is held is kept, even with force."""
    cleaner = Cleaner(made.layout, is_forced=True)
    with locked(made.layout.jobs / "t" / "lone" / "t.lock"):
        (step,) = cleaner.plan(find_orphans(made.layout))
        assert (step.action, step.reason) == (CleanAction.KEEP, "it runs: its lock is held")
    # Planned before it runs, carried out while it runs.
    steps = cleaner.plan(find_orphans(made.layout))
    with locked(made.layout.jobs / "t" / "lone" / "t.lock"):
        assert [each.status for each in cleaner.apply(steps)] == [CleanStatus.KEPT]
    assert [each.status for each in cleaner.apply(steps)] == [CleanStatus.REMOVED]


@pytest.mark.parametrize("name", ["t.lock", "t.pid", "t.done"])
def test_job_that_cannot_be_read(
    name: str, made: SmallWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of which it cannot be read whether it runs is kept, and that counts as a failure."""
    lone = made.layout.jobs / "t" / "lone"
    refuse(monkeypatch, lone / name)
    cleaner = Cleaner(made.layout)
    (step,) = cleaner.plan(find_orphans(made.layout))
    assert (step.action, step.is_unknown) == (CleanAction.KEEP, True)
    assert step.reason.startswith(f"it may run: {lone / name}")
    assert "Permission denied" in step.reason
    (outcome,) = cleaner.apply([step])
    assert (outcome.status, lone.exists()) == (CleanStatus.FAILED, True)
    remove = step._replace(action=CleanAction.REMOVE, is_unknown=False)
    assert [each.status for each in cleaner.apply([remove])] == [CleanStatus.FAILED]
    assert lone.exists()


def test_lock_of_an_experiment_that_cannot_be_read(
    made: SmallWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An experiment whose lock cannot be read is not said to run, but may."""
    lock = made.layout.scheduler_lock("e")
    lock.touch()
    refuse(monkeypatch, lock, "open_file")
    with pytest.raises(BusyFailure, match=f"e may run .{lock}: Permission denied"):
        Cleaner(made.layout).plan(find_orphans(made.layout))


@pytest.mark.parametrize("is_known", [True, False])
def test_task_that_cannot_be_followed(
    is_known: bool, made: SmallWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is a link which cannot be followed may have more orphans, or links of known jobs to others."""
    (made.layout.jobs / "u").symlink_to(tmp_path)
    if is_known:
        made.run(["u/known"], "f")
    refuse(monkeypatch, made.layout.jobs / "u")
    report = find_orphans(made.layout)
    (problem,) = report.unread if is_known else report.unlisted
    assert problem.path == str(made.layout.jobs / "u")


def refuse(monkeypatch: pytest.MonkeyPatch, path: Path, *calls: str) -> None:
    """Refuse to look at a path."""

    def refusing(call: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(name: Any, *words: Any, **more: Any) -> Any:
            if str(name) == str(path):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(name))
            return call(name, *words, **more)

        return attempt

    for name in calls or ("open_file", "lstat", "stat"):
        monkeypatch.setattr(filesystem, name, refusing(getattr(filesystem, name)))


def test_marker_that_is_a_directory(made: SmallWorkspace) -> None:
    """A directory in the place of the success marker is removed with the rest."""
    lone = made.layout.jobs / "t" / "lone"
    (lone / "t.done").unlink()
    (lone / "t.done").mkdir()
    assert clean(Cleaner(made.layout), made) == {"t/lone": CleanStatus.REMOVED}
    assert names(made) == ["known"]


@pytest.mark.parametrize(
    ("pid", "action"),
    [
        ({"type": "local", "pid": 77, "host": "node01"}, CleanAction.KEEP),
        ({"type": "local", "pid": 78, "host": "node01"}, CleanAction.REMOVE),
        ({"type": "local", "pid": 78, "host": "node02"}, CleanAction.KEEP),
        ({"type": "local", "pid": 78}, CleanAction.KEEP),
        ({"type": "slurm", "pid": "78"}, CleanAction.KEEP),
        ("nonsense", CleanAction.KEEP),
    ],
)
def test_process(made: SmallWorkspace, pid: object, action: CleanAction) -> None:
    """A job that has not ended is removed only when its process is certainly dead, one of SLURM by its word only."""
    directory = made.job("t/stray", None)
    (directory / "t.pid").write_text(json.dumps(pid))
    cleaner = Cleaner(made.layout, host=TextHost("node01", pids=[77]))
    steps = cleaner.plan(find_orphans(made.layout))
    assert {str(each.orphan.job): each.action for each in steps}["t/stray"] is action
    (directory / "t.done").touch()
    actions = {step.action for step in cleaner.plan(find_orphans(made.layout))}
    assert (CleanAction.KEEP in actions) == ("slurm" in str(pid))
    cleaner = Cleaner(made.layout, is_forced=True)
    assert {step.action for step in cleaner.plan(find_orphans(made.layout))} == {CleanAction.REMOVE}


def test_real_process(made: SmallWorkspace) -> None:
    """A job whose process lives on this host is kept, though no lock is held."""
    directory = made.job("t/stray", None)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        pid = {"type": "local", "pid": process.pid, "host": socket.gethostname()}
        (directory / "t.pid").write_text(json.dumps(pid))
        assert clean(Cleaner(made.layout), made)["t/stray"] is CleanStatus.KEPT
        process.send_signal(signal.SIGKILL)
    made.job("t/lone")
    assert clean(Cleaner(made.layout), made)["t/stray"] is CleanStatus.REMOVED


def test_experiment_runs(made: SmallWorkspace) -> None:
    """While an experiment runs nothing is removed, except with force."""
    report = find_orphans(made.layout)
    with locked(made.layout.scheduler_lock("e")):
        with pytest.raises(BusyFailure, match="the experiment e runs"):
            Cleaner(made.layout).plan(report)
        steps = Cleaner(made.layout, is_forced=True).plan(report)
        assert [each.action for each in steps] == [CleanAction.REMOVE]


def test_experiment_starts_meanwhile(made: SmallWorkspace) -> None:
    """An experiment that starts between two jobs stops the cleaning."""
    made.job("t/lone2")
    cleaner = Cleaner(made.layout)
    outcomes = cleaner.apply(cleaner.plan(find_orphans(made.layout)))
    assert next(outcomes).status is CleanStatus.REMOVED
    with locked(made.layout.scheduler_lock("e")), pytest.raises(BusyFailure):
        next(outcomes)
    assert names(made) == ["known", "lone2"]


def test_referred_to_meanwhile(made: SmallWorkspace) -> None:
    """A job to which a run refers since the plan was made is kept."""
    cleaner = Cleaner(made.layout)
    steps = cleaner.plan(find_orphans(made.layout))
    made.run(["t/lone"], "f")
    (outcome,) = cleaner.apply(steps)
    assert (outcome.status, outcome.message) == (CleanStatus.KEPT, "it is no orphan any more")


def test_unknown_references(made: SmallWorkspace, tmp_path: Path) -> None:
    """Nothing is removed while a run's references, or a folder's jobs, are unknown."""
    missing = Folder(tmp_path / "no", FolderMode.BACKUP)
    report = find_orphans(made.layout, [missing])
    with pytest.raises(FolderFailure, match="does not exist"):
        Cleaner(made.layout, [missing]).plan(report)
    with (made.layout.experiment("e") / "current" / "jobs.jsonl").open("a") as file:
        file.write("{broken\n")
    with pytest.raises(DamagedFailure, match=r"jobs.jsonl has a line that is no JSON, so"):
        Cleaner(made.layout, is_forced=True).plan(find_orphans(made.layout))


def test_job_that_is_being_written(made: SmallWorkspace) -> None:
    """A job that is being recovered or archived is kept."""
    with locked(made.layout.jobs / "t" / ".tmp.lone.lock"):
        assert clean(Cleaner(made.layout), made) == {"t/lone": CleanStatus.KEPT}
    assert names(made) == [".tmp.lone.lock", "known", "lone"]


def test_interrupted(made: SmallWorkspace) -> None:
    """The rest of an interrupted removal is no job, and is removed by the next one."""
    (made.layout.jobs / "t" / "lone").rename(made.layout.jobs / "t" / ".tmp.lone")
    assert find_orphans(made.layout).orphans == ()
    made.job("t/lone")
    assert clean(Cleaner(made.layout), made) == {"t/lone": CleanStatus.REMOVED}
    assert names(made) == ["known"]


def test_cannot_be_renamed(made: SmallWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that cannot be renamed is unchanged; one that cannot be emptied is reported, with the rest."""
    cleaner = Cleaner(made.layout)
    steps = cleaner.plan(find_orphans(made.layout))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error", "somewhere")

    with monkeypatch.context() as patched:
        patched.setattr("xpm_remote.workspace.filesystem.rename", refuse)
        (outcome,) = cleaner.apply(steps)
    assert outcome.status is CleanStatus.FAILED
    assert "Input/output error" in outcome.message
    assert names(made) == ["known", "lone"]
    with monkeypatch.context() as patched:
        patched.setattr("xpm_remote.workspace.filesystem.rmdir", refuse)
        (outcome,) = cleaner.apply(steps)
    assert outcome.status is CleanStatus.FAILED
    assert outcome.message.endswith(f"what is left is in {made.layout.jobs / 't' / '.tmp.lone'}")


def test_wire(made: SmallWorkspace) -> None:
    """Plans and outcomes are the same after they were sent."""
    cleaner = Cleaner(made.layout)
    (step,) = cleaner.plan(find_orphans(made.layout))
    assert from_wire(CleanStep, json.loads(json.dumps(to_wire(step)))) == step
    (outcome,) = cleaner.apply([step])
    assert from_wire(CleanOutcome, json.loads(json.dumps(to_wire(outcome)))) == outcome


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        ({"status": "running", "hostname": "node02"}, True),
        ({"status": "running", "hostname": "node02", "ended_at": None}, True),
        ({"status": "running"}, True),
        ({"hostname": "node02"}, True),
        ({"status": "running", "hostname": "node01"}, False),
        ({"status": "running", "hostname": "node02", "ended_at": "2026-11-01T12:00:00"}, False),
        ({"status": "done", "hostname": "node02"}, False),
        ("{broken", True),
    ],
)
def test_run_of_another_host(made: SmallWorkspace, status: object, refused: bool) -> None:
    """A run that has no end, of a host whose locks may not be seen here, keeps all orphans, except with force."""
    run = made.run(["t/known"], "f")
    text = status if isinstance(status, str) else json.dumps(status)
    (run / "status.json").write_text(text)
    host = TextHost("node01")
    report = find_orphans(made.layout)
    if refused:
        with pytest.raises(BusyFailure, match="has no end"):
            Cleaner(made.layout, host=host).plan(report)
    forced = Cleaner(made.layout, host=host, is_forced=refused)
    assert clean(forced, made) == {"t/lone": CleanStatus.REMOVED}


def test_set_aside_by_an_interrupted_command(made: SmallWorkspace) -> None:
    """A job that was set aside is listed, and decided on anew: it is removed, or put back if a run refers to it now."""
    tasks = made.layout.jobs / "t"
    (tasks / "lone").rename(tasks / ".orphan.lone")
    made.job("t/needed").rename(tasks / ".orphan.needed")
    made.run(["t/known", "t/needed"], "f")
    report = find_orphans(made.layout)
    assert [(str(each.job), each.path.name) for each in report.orphans] == [
        ("t/lone", ".orphan.lone")
    ]
    cleaner = Cleaner(made.layout)
    steps = cleaner.plan(report)
    assert [each.action for each in steps] == [CleanAction.REMOVE, CleanAction.SWEEP]
    outcomes = {str(each.job): each for each in cleaner.apply(steps)}
    assert outcomes["t/lone"].status is CleanStatus.REMOVED
    assert outcomes["t/needed"].status is CleanStatus.KEPT
    assert outcomes["t/needed"].message.startswith("put back")
    assert names(made) == ["known", "needed"]


def test_both_are_kept(made: SmallWorkspace) -> None:
    """Where a job has appeared anew under the name of one that is set aside, both are kept, and named."""
    tasks = made.layout.jobs / "t"
    made.job("t/known2").rename(tasks / ".orphan.known")
    cleaner = Cleaner(made.layout)
    (first, second) = cleaner.apply(cleaner.plan(find_orphans(made.layout)))
    assert (first.status, second.status) == (CleanStatus.REMOVED, CleanStatus.KEPT)
    assert second.message.endswith("look at both, and remove one")
    assert names(made) == [".orphan.known", "known"]


def test_sweeping(made: SmallWorkspace) -> None:
    """What an interrupted command left is removed although there is no orphan; what is being written is not."""
    tasks = made.layout.jobs / "t"
    (tasks / "lone").rename(tasks / ".tmp.lone")
    made.job("t/other").rename(tasks / ".tmp.other")
    with locked(tasks / ".tmp.other.lock"):
        assert clean(Cleaner(made.layout), made) == {"t/lone": CleanStatus.REMOVED}
        assert names(made) == [".tmp.other", ".tmp.other.lock", "known"]
    assert clean(Cleaner(made.layout), made) == {"t/other": CleanStatus.REMOVED}
    assert names(made) == ["known"]
