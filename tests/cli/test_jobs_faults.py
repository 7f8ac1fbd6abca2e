"""An error of the system at any call of ``jobs archive`` and ``jobs recover`` costs no job, and is told."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.cli.commands import Commands
from tests.cli.local import Local
from tests.support.effort import ALL, examples
from tests.workspace.faults import below
from xpm_remote.workspace import filesystem

pytestmark = pytest.mark.slow

READING = ("stat", "lstat", "readlink", "read")
CALLS: list[tuple[ModuleType, str]] = [
    *((os, name) for name in (*READING, "open", "scandir", "listdir")),
    *((filesystem, name) for name in (*READING, "open_file", "scan", "read_at", "stat_open")),
    *(
        (filesystem, name)
        for name in ("lock", "mkdir", "write_at", "rename", "exchange", "symlink")
    ),
    *((filesystem, name) for name in ("unlink", "rmdir", "fsync", "utime", "chmod_open", "link")),
]
NUMBERS = ["EIO", "ESTALE", "EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT"]
NAMES = ("aaaa1", "aaaa2", "here1")
COMMANDS = [
    ("archive", "--all"),
    ("archive", "--experiment", "e"),
    ("recover", "--missing"),
    ("recover", "--filter", "x = 1"),
]
TOLD = (4, 30, 31, 33, 34, 35)
"""Exit statuses of a workspace, of jobs and of folders."""


class Faults:
    """Counts the calls about what is below a directory, and makes one of them fail.

    Args:
        root: The directory.
        at: The number of the call that fails, from 1 on.
        number: The number of the error.

    Attributes:
        count: How many calls there were.
    """

    def __init__(self, root: Path, at: int, number: int) -> None:
        self.count = 0
        self._is_about = below(root)
        self._at = at
        self._number = number
        self._is_busy = False

    @contextmanager
    def injected(self) -> Iterator[None]:
        """Count the calls that are made meanwhile."""
        with pytest.MonkeyPatch.context() as patch:
            for module, name in CALLS:
                patch.setattr(module, name, self._wrapped(getattr(module, name)))
            yield

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if self._counts(*args, **options) and self.count == self._at:
                first = os.fspath(args[0]) if isinstance(args[0], os.PathLike) else args[0]
                raise OSError(self._number, os.strerror(self._number), first)
            return real(*args, **options)

        return call

    def _counts(self, *args: Any, **options: Any) -> bool:
        if self._is_busy or not args:  # the look at the arguments makes calls, too
            return False
        self._is_busy = True
        try:
            is_ours = self._is_about(*args, **options)
        except OSError:
            is_ours = False
        finally:
            self._is_busy = False
        self.count += is_ours
        return is_ours


def make(commands: Commands, folder: Path, action: str) -> Local:
    """Make a workspace with jobs to archive, or to recover."""
    local = Local(commands, folder / "jobs")
    for name in NAMES:
        is_lost = action == "recover" and name != "here1"
        (local.backup if is_lost else local.made).job(f"t.x/{name}")
    if action == "archive":
        local.settle([(local.backup, "move")])
    local.made.run([f"t.x/{name}" for name in NAMES])
    return local


def is_done(local: Local, action: str) -> bool:
    """Return whether all jobs are where they belong."""
    places = [local.made] if action == "recover" else [local.made, local.backup]
    jobs = [place.layout.jobs / "t.x" / name for place in places for name in NAMES]
    return all((job / "x.done").exists() and (job / "result.txt").exists() for job in jobs)


def are_whole(local: Local) -> bool:
    """Return whether each job is whole at some place."""
    roots = [place.layout.jobs / "t.x" for place in (local.made, local.backup)]
    forms = {name: (name, f".tmp.{name}.aside") for name in NAMES}
    return all(
        any((root / form / "x.done").exists() for root in roots for form in forms[name])
        for name in NAMES
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_fault_at_each_call(tmp_path: Path, words: tuple[str, ...]) -> None:
    """No error ends in a traceback or in a status that tells of success; the next run finishes the work."""
    counted = Faults(tmp_path, 0, 0)
    (tmp_path / "counted").mkdir()
    local = make(Commands(tmp_path / "counted"), tmp_path / "counted", words[0])
    with counted.injected():
        assert local.run("jobs", *words).status == 0
    step = 1 if ALL else max(1, counted.count // examples(12, counted.count))
    numbers = cycle(NUMBERS)
    for at in range(1, counted.count + 1, step):
        name = next(numbers)
        folder = tmp_path / f"{at}"
        folder.mkdir()
        local = make(Commands(folder), folder, words[0])
        with Faults(folder / "jobs", at, getattr(errno, name)).injected():
            done = local.run("jobs", *words)
        said = f"{name} at {at}: {done}"
        assert "Traceback" not in done.stderr, said
        assert done.status in TOLD or (done.status == 0 and is_done(local, words[0])), said
        assert are_whole(local), said
        assert local.run("jobs", *words).status == 0, said
        assert is_done(local, words[0]), said
