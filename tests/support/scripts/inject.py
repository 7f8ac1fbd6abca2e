"""Archive, move or recover a job, with a fault at each file-system call in turn, and check the result.

    python inject.py ROOT archive|complete|move|recover|replace kill|NUMBERS plain|portable [all|each-place]

Each time the work is done by a child process, on a fresh workspace; then either the job is asked for, or the work is
done again. With ``each-place``, a fault hits the first call that each place of the code makes of each function; the
ways to go on take turns, and so do the error numbers, such as ``EPERM,EROFS``. The disk is never waited for: a process
that is killed loses nothing that it has written. Prints one JSON object: how many calls there are, how many faults hit
them, and what was found to be wrong.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.workspace import jobs_on_disk
from tests.workspace.jobs_on_disk import JOB, leftovers, make_folder, make_job, make_workspace, tree
from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.folders import contents
from xpm_remote.workspace.folders.archiving import archive
from xpm_remote.workspace.folders.recovery import recover
from xpm_remote.workspace.folders.trees import Opened
from xpm_remote.workspace.layout import FolderMode

NAMES = (
    "chmod",
    "chmod_directory",
    "chmod_open",
    "chown_open",
    "clone",
    "close",
    "copy_attribute",
    "copy_range",
    "exchange",
    "fsync",
    "link",
    "list_attributes",
    "lock",
    "lseek",
    "lstat",
    "mkdir",
    "open_file",
    "read",
    "read_at",
    "readlink",
    "rename",
    "rename_to_free",
    "rmdir",
    "scan",
    "stat",
    "stat_open",
    "symlink",
    "sync_file_system",
    "truncate",
    "unlink",
    "utime",
    "write",
    "write_at",
)
SILENT = ("fsync", "sync_file_system")
SMALL = 4 << 10
"""Bytes up to which a file is copied at once here, so that the one that is larger is quickly made and compared."""
NEVER = 1 << 30
REFUSALS = ("EPERM", "EACCES")
"""Errors by which a file system refuses times, permissions and the like, which costs no job."""
RELAYS = frozenset(
    each.__code__
    for each in (
        Opened.__init__,
        Opened.__exit__,
        contents._call,
        filesystem._status,
        filesystem.is_directory,
        filesystem.is_link,
        filesystem.lstat_or_none,
        filesystem.stat_or_none,
    )
)
"""What calls the functions of ``filesystem`` for others."""


def caller() -> tuple[str, int]:
    """Return the file and the instruction that make a call, also through a relay."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_code in RELAYS:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lasti


class Counter:
    """Counts the calls, and makes one of them fail.

    Attributes:
        places: The function, and the file and the instruction that call it, of each call.
    """

    def __init__(self, fault: str, at: int) -> None:
        self.places: list[tuple[str, str, int]] = []
        self._fault = fault
        self._at = at

    def wrap(self, name: str, portable: bool) -> Callable[..., Any]:
        """Return a function that counts and then calls the one of that name."""
        real = getattr(filesystem, name)

        def call(*args: Any, **options: Any) -> Any:
            self.places.append((name, *caller()))
            if len(self.places) == self._at:
                first = os.fspath(args[0]) if isinstance(args[0], os.PathLike) else args[0]
                self._fail(lambda: real(*args, **options) if name == "close" else None, first)
            if name == "exchange" and portable:
                raise OSError(errno.ENOSYS, "not here")
            return real(*args, **options)

        return call

    def _fail(self, do_first: Callable[[], object], named: object) -> None:
        if self._fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        do_first()  # a close that fails has closed nevertheless
        number = getattr(errno, self._fault)
        raise OSError(number, os.strerror(number), named)


class Trial:
    """One workspace with one folder, and the work to be done."""

    def __init__(self, root: Path, action: str, portable: bool) -> None:
        shutil.rmtree(root, ignore_errors=True)
        self.action = action
        self.portable = portable
        self.was_refused = False
        self.workspace = make_workspace(root / "ws")
        mode = FolderMode.MOVE if action == "move" else FolderMode.BACKUP
        self.folder = make_folder(root / "folder", mode)
        self.path = make_job(self.workspace)
        self.wanted = tree(self.path)
        self.copy = self.folder.job(JOB)
        self.partial: Path | None = None
        if action in ("complete", "recover", "replace"):
            list(archive(self.workspace, [self.folder], [JOB]))
        if action == "recover":
            shutil.rmtree(self.path)
            self.path.symlink_to("nowhere")
        elif action in ("complete", "replace"):
            self.partial = self.copy if action == "complete" else self.path
            (self.partial / "out" / "again.bin").unlink()
            (self.partial / "train.done").unlink()

    def work(self) -> list[str]:
        """Do the work; return its outcome as text."""
        if self.action in ("recover", "replace"):
            return [each.status.value for each in recover(self.workspace, [self.folder], [JOB])]
        outcomes = list(archive(self.workspace, [self.folder], [JOB]))
        return [each.status.value for outcome in outcomes for each in outcome.folders] or [
            outcomes[0].verdict.value
        ]

    def work_with(self, fault: str, at: int) -> tuple[list[str], Counter]:
        """Do the work with a fault; return its outcome as text, and the calls."""
        counter = Counter(fault, at)
        self.was_refused = fault in REFUSALS
        real = {name: getattr(filesystem, name) for name in NAMES}
        for name in NAMES:
            setattr(filesystem, name, counter.wrap(name, self.portable))
        try:
            return self.work(), counter
        finally:
            for name in NAMES:
                setattr(filesystem, name, real[name])

    def work_and_die(self, at: int) -> bool:
        """Do the work in a child that is killed; return False when it was done before that call."""
        child = os.fork()
        if child == 0:
            self.work_with("kill", at)
            os._exit(0)
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])

    def is_whole(self, path: Path) -> bool:
        """Return whether all of the job is there; times and permissions only where nothing refused them."""
        if not (path / "train.done").exists():
            return False
        found = tree(path)
        if found == self.wanted:
            return True
        return self.was_refused and contents_of(found) == contents_of(self.wanted)

    def check_once(self) -> list[str]:
        """Return what is wrong after the fault: the job must be whole at some place."""
        places = (self.path, self.copy, self.path.with_name(f".tmp.{JOB.hash}.aside"))
        if not any(map(self.is_whole, places)):
            return ["no whole job"]
        if self.copy.exists() and self.partial != self.copy and not self.is_whole(self.copy):
            return ["the copy is there, but is not whole"]
        return []

    def check_recovery(self) -> list[str]:
        """Return what is wrong with recovering the job."""
        list(recover(self.workspace, [self.folder], [JOB]))
        return [] if self.is_whole(self.path.resolve()) else ["recovered, it is not whole"]

    def check_again(self) -> list[str]:
        """Return what is wrong with doing the work again."""
        said = self.work()
        wrong = [f"again: {each}" for each in said if each in ("failed", "busy", "unavailable")]
        if not (self.is_whole(self.path.resolve()) and self.is_whole(self.copy)):
            wrong.append("again: not whole")
        if self.action == "move" and not self.path.is_symlink():
            wrong.append("again: not moved")
        return wrong + leftovers(self.workspace.root, self.folder.path)

    def let_time_pass(self) -> None:
        """Make the remaining locks look as old as those of a dead process on another host."""
        for each in leftovers(self.workspace.root, self.folder.path):
            if each.endswith(".lock"):
                os.utime(each, (0, 0))


def contents_of(found: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Return the contents of a tree, without times, permissions and numbers of links."""
    return {
        name: entry[:2] if entry[0] == "link" else (stat.S_IFMT(cast("int", entry[0])), entry[2])
        for name, entry in found.items()
    }


Check = Callable[[Trial], list[str]]

CHECKS: tuple[Check, ...] = (Trial.check_recovery, Trial.check_again)
"""The ways to go on after a fault."""


def chosen(
    calls: Counter, faults: list[str], portable: bool, all_of_them: bool
) -> list[tuple[str, int, tuple[Check, ...]]]:
    """Return faults, with the numbers of the calls that they hit, from 1 on, and the ways to continue after them."""
    if all_of_them:
        numbers = range(1, len(calls.places) + 1)
        return [(fault, at, CHECKS) for at in numbers for fault in faults]
    first = {place: at for at, place in reversed(list(enumerate(calls.places, 1)))}
    # The other way is taken by the other error, and on the other system.
    turn = ("EIO" in faults) + portable
    return [
        (faults[n % len(faults)], at, (CHECKS[(n + turn) % len(CHECKS)],))
        for n, at in enumerate(sorted(first.values()))
    ]


def trials(
    root: Path, action: str, portable: bool, hit: tuple[str, int, tuple[Check, ...]]
) -> list[str]:
    """Make a call fail, once for each way to continue; return what is wrong then."""
    fault, at, checks = hit
    wrong = []
    for check in checks:
        trial = Trial(root / str(os.getpid()), action, portable)
        said: list[str] = []
        if fault != "kill":
            said, _ = trial.work_with(fault, at)
        elif not trial.work_and_die(at):
            continue  # a call that is not made every time
        found = trial.check_once()
        trial.let_time_pass()
        found += check(trial)
        wrong += [f"{fault} at {at}: {each} (said {said})" for each in found]
    return wrong


def main() -> None:
    """Run all trials, as many at once as there are processors."""
    root, action, faults, kind = Path(sys.argv[1]), *sys.argv[2:5]
    all_of_them = sys.argv[5:] != ["each-place"]
    portable = kind == "portable"
    if portable:
        mounts.belongs_to_one_host = lambda path: False
    contents.SMALL = jobs_on_disk.SMALL = SMALL
    for name in SILENT:
        setattr(filesystem, name, lambda descriptor: None)
    _, calls = Trial(root / "counted", action, portable).work_with("kill", NEVER)
    hit = chosen(calls, faults.split(","), portable, all_of_them)
    with multiprocessing.get_context("fork").Pool() as pool:
        found = pool.map(partial(trials, root, action, portable), hit, 4)
    wrong = [each for some in found for each in some]
    print(json.dumps({"calls": len(calls.places), "hit": len(hit), "wrong": wrong}))


if __name__ == "__main__":
    main()
