"""Two users share a workspace: what one of them left or runs, and what the other may do about it."""

from __future__ import annotations

import codecs
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.job_process import LIMIT
from tests.support.slurm import FakeSlurm, slurm_job
from tests.workspace.small import SmallWorkspace
from xpm_remote.workspace.agent.actions import Actions
from xpm_remote.workspace.failures import WorkspaceFailure
from xpm_remote.workspace.folders.archiving import archive
from xpm_remote.workspace.folders.recovery import recover
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.orphans.cleaning import Cleaner
from xpm_remote.workspace.orphans.listing import find_orphans
from xpm_remote.workspace.outcomes import CLEAN, KILL, ArchiveOutcome, RecoveryOutcome
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.reader import WorkspaceReader

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can be two users; in .ci/run the container is root's"
)
ANN, BOB = 3001, 3002
JOB = JobId("u", "shared1")


def as_user(user: int, work: Callable[[], Any]) -> Any:
    """Do work in a process of a user; return what it returns."""
    codecs.lookup("ascii")  # loaded here: an interpreter in root's home is out of the user's reach
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            os.umask(0)
            result = json.dumps({"result": work()})
        except BaseException:  # noqa: BLE001 - told to the test
            result = json.dumps({"failed": traceback.format_exc()})
        os.write(writing, result.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    os.waitpid(child, 0)
    answer = json.loads(text)
    assert "result" in answer, answer["failed"]
    return answer["result"]


@pytest.fixture
def made() -> Iterator[SmallWorkspace]:
    """A workspace that everybody may write, with a job of Ann's that has ended, and an empty folder beside it."""
    folder = Path(
        tempfile.mkdtemp(prefix="two-users-", dir="/tmp")
    )  # above tmp_path only root may pass
    made = SmallWorkspace(folder / "ws")
    (folder / "backup" / "jobs").mkdir(parents=True)
    made.job(str(JOB))
    made.run([str(JOB)])
    give(folder, ANN)
    yield made
    shutil.rmtree(folder)


def give(root: Path, user: int, mode: int = 0o777) -> None:
    """Give a tree to a user; everybody may write its directories."""
    for path in (root, *root.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(mode if path.is_dir() else 0o644)


def act(made: SmallWorkspace, action: str, *, force: bool = False) -> list[Any]:
    """Plan and perform an action on the job; return the refusal, whether it was done, and the message."""
    host = Host()
    actions = Actions(WorkspaceReader(made.root, host), host, 1.0)
    plan = actions.plan(action, JOB, is_forced=force)
    outcome = actions.perform(plan)
    return [plan.refusal, outcome.success, outcome.message]


def outcomes(made: SmallWorkspace, work: Callable[..., Any], name: str = str(JOB)) -> list[str]:
    """Archive or recover a job; return the statuses."""
    folder = SmallWorkspace.__new__(SmallWorkspace)
    folder.layout = type(made.layout)(made.root.parent / "backup")
    task, _, job_hash = name.partition("/")
    done: list[ArchiveOutcome | RecoveryOutcome] = list(
        work(made.layout, [folder.as_folder("backup")], [JobId(task, job_hash)])
    )
    (outcome,) = done
    if isinstance(outcome, ArchiveOutcome):
        return [each.status.value for each in outcome.folders] or [outcome.verdict.value]
    return [outcome.status.value]


def test_setuid_file_of_another_user(made: SmallWorkspace) -> None:
    """A copy of another user's setuid and setgid file, archived or recovered, is neither: it is the copier's."""
    file = made.layout.job(JOB) / "tool"
    file.write_text("#!/bin/sh\n")
    os.chown(file, ANN, ANN)
    file.chmod(0o6755)
    backup = made.root.parent / "backup"
    assert as_user(BOB, lambda: outcomes(made, archive)) == ["copied"]
    copy = (backup / "jobs" / str(JOB) / "tool").stat()
    assert (copy.st_uid, stat.S_IMODE(copy.st_mode)) == (BOB, 0o755)
    (backup / "jobs" / str(JOB) / "tool").chmod(0o6755)
    shutil.rmtree(made.layout.job(JOB))
    assert as_user(ANN, lambda: outcomes(made, recover)) == ["recovered"]
    found = file.stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (ANN, 0o755)


def test_unreadable_directory_of_another_user(made: SmallWorkspace) -> None:
    """A directory of Ann's that Bob may not read costs him that job; her experiment, all cleaning of orphans."""
    private = made.layout.job(JOB) / "private"
    private.mkdir(mode=0o700)
    os.chown(private, ANN, ANN)
    assert as_user(BOB, lambda: outcomes(made, archive)) == ["failed"]
    assert not (made.root.parent / "backup" / "jobs" / str(JOB)).exists()
    lost = made.job("u/lost1")
    give(lost, ANN)
    made.layout.experiment("e").chmod(0o700)

    def clean() -> str:
        cleaner = Cleaner(made.layout)
        try:
            list(cleaner.apply(cleaner.plan(find_orphans(made.layout))))
        except WorkspaceFailure as failure:
            return str(failure)
        return "cleaned"

    assert "not known which jobs" in as_user(BOB, clean)
    assert lost.is_dir()
    assert made.layout.job(JOB).is_dir()


@pytest.fixture
def running(made: SmallWorkspace) -> Iterator[subprocess.Popen[str]]:
    """The process of Ann's job, which holds its lock."""
    directory = made.layout.job(JOB)
    (directory / "u.py").write_text(
        f"import ctypes, fcntl, os; os.setgid({ANN}); os.setuid({ANN})\n"
        "ctypes.CDLL(None).prctl(4, 1)  # as a process that was hers from the beginning\n"
        "lock = open('u.lock', 'w'); fcntl.flock(lock, fcntl.LOCK_EX); print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, str(directory / "u.py")],
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        (directory / "u.pid").write_text(json.dumps({"type": "local", "pid": process.pid}))
        os.chown(directory / "u.pid", ANN, ANN)
        yield process
        process.kill()


@pytest.mark.parametrize("lock_mode", [0o644, 0o600])
def test_running_job_of_another_user(
    lock_mode: int, made: SmallWorkspace, running: subprocess.Popen[str]
) -> None:
    """Ann's process is hers to end, and her job is not removed while it runs, whether Bob may read its lock or not."""
    (made.layout.job(JOB) / "u.lock").chmod(lock_mode)
    for work in (lambda: act(made, CLEAN), lambda: act(made, CLEAN, force=True)):
        refusal, success, _ = as_user(BOB, work)
        assert (bool(refusal), success) == (True, False)
    refusal, success, _ = as_user(BOB, lambda: act(made, KILL))
    assert success is False
    assert f"of the user {ANN}" in refusal or "u.lock: Permission denied" in refusal
    assert running.poll() is None
    assert made.layout.job(JOB).is_dir()
    refusal, success, _ = as_user(ANN, lambda: act(made, KILL))
    assert (refusal, success) == ("", True)
    assert running.wait(LIMIT) != 0


def test_pid_file_of_another_user_names_a_process_of_mine(made: SmallWorkspace) -> None:
    """A pid file that Ann wrote does not make Bob end a process of his that has nothing to do with the job."""
    (made.layout.job(JOB) / "u.py").write_text("")

    def kill() -> list[Any]:
        with subprocess.Popen(
            ["tail", "-f", str(made.layout.job(JOB) / "u.py")], cwd=made.layout.job(JOB)
        ) as mine:
            content = json.dumps({"type": "local", "pid": mine.pid})
            (made.layout.job(JOB) / "u.pid").write_text(content)
            done = [*act(made, KILL), mine.poll()]
            mine.kill()
        return done

    refusal, success, _, status = as_user(BOB, kill)
    assert ("does not run" in refusal, success, status) == (True, False, None)


@pytest.mark.parametrize("whose", [ANN, BOB])
def test_programs_of_another_user(
    whose: int, made: SmallWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that Ann's pid file names are not run by Bob, who asks those of his PATH; SLURM has the job."""
    directory = made.layout.job(JOB)
    folder = made.root.parent
    for name in ("ann", "path"):
        (folder / name).mkdir()
    hers, ours = FakeSlurm(folder / "ann"), FakeSlurm(folder / "path")
    for slurm in (hers, ours):
        slurm.settle(slurm_job("4711", directory, uid=ANN))
        program = slurm.bin / "squeue"
        told = f'echo "4711|RUNNING|||||||||||{directory}"; echo {slurm.bin.parent.name} >> {folder}/ran'
        program.write_text(f"#!/bin/sh\n{told}\n")
    (folder / "ran").touch()
    (folder / "ran").chmod(0o666)
    (directory / "u.done").unlink()
    content = {"type": "slurm", "pid": "4711", "options": [["binpath", str(hers.bin)]]}
    (directory / "u.pid").write_text(json.dumps(content))
    for path in (directory / "u.pid", hers.bin, hers.bin / "squeue", hers.bin / "scancel"):
        os.chown(path, ANN, ANN)
    directory.chmod(0o775)
    monkeypatch.setenv("PATH", f"{ours.bin}:/usr/bin:/bin")
    refusal, success, _ = as_user(whose, lambda: act(made, CLEAN))
    assert ("SLURM has it: job 4711" in refusal, success) == (True, False)
    assert set((folder / "ran").read_text().split()) == {"ann" if whose == ANN else "path"}
