"""Ending the process of a job: only what is surely the job's own process, with all that it started.

A pid is no proof, since pids are used again, and another process may hold the job's lock or read its files. So the
process that a pid file names must run the job's own script, be no younger than the file, be the user's own, and hold
the job's lock if that is held. Where the system has them, signals are sent through descriptors of processes, so that
none reaches a process that got the pid meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path
from typing import Callable, Iterable, Iterator, Sequence

from xpm_remote.workspace import processes
from xpm_remote.workspace.failures import BusyFailure
from xpm_remote.workspace.layout import JobFiles
from xpm_remote.workspace.processes import PROC, REUSE_SLACK, ProcessName, find_process, is_alive

KILL_WAIT = 5.0
"""Seconds for the system to end a process after SIGKILL; one that waits for a dead file server takes longer."""

_LOOK_INTERVAL = 0.05
"""Seconds between two checks whether processes have ended: they are not our children, so no signal announces it."""

_INTERPRETER = re.compile(r"(?:python|pypy)[0-9.]*\w*")
_FLAGS = re.compile(r"-(?:[^cmWX-][^cmWX]*)?(?:(?P<instead>[cm].*)|[WX](?P<value>.*))?", re.DOTALL)
"""A word of Python's single letters: up to one that says what runs instead of a script, or that has a value."""

_LONG_WITH_VALUE = "--check-hash-based-pycs"
_SHEBANG_MAX = 4096


class OverFailure(BusyFailure):
    """There is no process left to end."""


def own_process(files: JobFiles, pid: int, *, is_locked: bool) -> ProcessName:
    """Return the process of a job.

    Args:
        files: The files of the job.
        pid: The pid in its pid file.
        is_locked: Whether its lock is held.

    Raises:
        OverFailure: It has ended.
        BusyFailure: The pid is not surely of the job, or another user's process, or this program runs in it.
        OSError: The pid file is gone.
    """
    if not processes.has_process_table():
        raise BusyFailure("this system does not show which process it is", "kill it by hand")
    entry = find_process(pid)
    if entry is None:
        raise OverFailure(f"its process {pid} has ended")
    owner = _owner(pid)
    if owner is None:
        raise OverFailure(f"its process {pid} has ended")
    if os.geteuid() not in (0, owner):
        raise BusyFailure(f"the process {pid} is of the user {owner}, whose it is to end it")
    if processes.start_time(entry.name) > files.pid.stat().st_mtime + REUSE_SLACK:
        raise BusyFailure(f"the process {pid} is younger than the job's pid file")
    _check_program(files, pid, is_locked=is_locked)
    if not is_alive(entry.name):
        raise OverFailure(f"its process {pid} has ended")
    return entry.name


def may_run(files: JobFiles, pid: int) -> bool:
    """Return whether a living process may be that of a job: it runs the job's script, or cannot be examined."""
    owner = _owner(pid)
    is_hidden = os.geteuid() not in (0, owner)
    return owner is not None and (is_hidden or runs_script(pid, _script(files)))


def _script(files: JobFiles) -> Path:
    return files.directory / f"{files.name}.py"


def _check_program(files: JobFiles, pid: int, *, is_locked: bool) -> None:
    script = _script(files)
    if not runs_script(pid, script):
        raise BusyFailure(f"the process {pid} is not the job's: it does not run {script}")
    members = [each.pid for each in processes.family(pid)]
    if pid not in members:
        raise BusyFailure(f"{pid} is not a process but a thread of one, or has just ended")
    if {os.getpid(), *_ancestors(os.getpid())} & set(members):
        raise BusyFailure(f"this program is a part of the process {pid}", "run it from elsewhere")
    if is_locked and not any(holds_lock(each, files.lock) for each in members):
        what = f"the process {pid} is not the job's, or not yet: another one holds {files.lock}"
        raise BusyFailure(what)


def _owner(pid: int) -> int | None:
    """Return the user of a process; that of its directory in /proc is root's where it may not be examined."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"{PROC}/{pid}/status").read_bytes().splitlines():
            if line.startswith(b"Uid:"):
                return int(line.split()[1])
    return None


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        entry = find_process(pid)
        if entry is None:
            return
        pid = entry.parent
        yield pid


def runs_script(pid: int, script: Path) -> bool:
    """Return whether a process is an interpreter that runs a script: not a reader of it, nor a program given it."""
    try:
        words = Path(f"{PROC}/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        program = os.readlink(f"{PROC}/{pid}/exe")
        directory = os.readlink(f"{PROC}/{pid}/cwd")
    except OSError:
        return False
    word = _script_of([os.fsdecode(word) for word in words[1:]])
    if word is None or not _is_interpreter(program, script):
        return False
    path = Path(directory, word)
    try:
        return path.samefile(script)
    except OSError:  # a script may be removed while it runs
        return os.path.realpath(path) == os.path.realpath(script)


def _script_of(words: Sequence[str]) -> str | None:
    """Return the script in the words after a Python's name; None when it runs something else."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            return word or None
        flags = _FLAGS.fullmatch(word)
        if word == "-" or (flags and flags["instead"]):
            return None
        if word == _LONG_WITH_VALUE or (flags and flags["value"] == ""):
            next(rest, None)
    return None


def _is_interpreter(program: str, script: Path) -> bool:
    program = program[: -len(" (deleted)")] if program.endswith(" (deleted)") else program
    if _INTERPRETER.fullmatch(os.path.basename(program)):  # noqa: PTH119
        return True
    try:
        with script.open("rb") as file:
            first = file.readline(_SHEBANG_MAX)
        named = os.fsdecode(first[2:].split()[0]) if first.startswith(b"#!") else ""
        return bool(named) and Path(named).samefile(program)
    except (OSError, IndexError):
        return False


def holds_lock(pid: int, lock: Path) -> bool:
    """Return whether a process has a file open through which it holds the ``flock`` of the file."""
    try:
        wanted = lock.stat()
        numbers = os.listdir(f"{PROC}/{pid}/fd")  # noqa: PTH208
    except OSError:
        return False
    for number in numbers:
        with contextlib.suppress(OSError):
            if not os.path.samestat(wanted, os.stat(f"{PROC}/{pid}/fd/{number}")):  # noqa: PTH116
                continue
            lines = Path(f"{PROC}/{pid}/fdinfo/{number}").read_bytes().splitlines()
            if any(line.startswith(b"lock:") and b" FLOCK " in line for line in lines):
                return True
    return False


def end_processes(
    name: ProcessName,
    grace: float,
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[ProcessName]:
    """End a process and its family: send SIGTERM, and SIGKILL to those that remain after a grace.

    Args:
        name: The process.
        grace: Seconds that they have to end by themselves.
        pause: Waits for some seconds.
        clock: Seconds that never go back.

    Returns:
        Those that still live.

    Raises:
        PermissionError: Some belong to another user; the others have got the signal.
    """
    members = processes.family(name.pid) if is_alive(name) else []
    if name not in members:
        return []
    _signal(members, signal.SIGTERM)
    alive = _await_end(members, grace, pause, clock)
    # What was started meanwhile belongs to it, too.
    members = sorted({*alive, *(each for member in alive for each in processes.family(member.pid))})
    _signal(members, signal.SIGKILL)
    return _await_end(members, KILL_WAIT, pause, clock)


def _await_end(
    members: Iterable[ProcessName],
    limit: float,
    pause: Callable[[float], None],
    clock: Callable[[], float],
) -> list[ProcessName]:
    end = clock() + limit
    alive = [each for each in members if is_alive(each)]
    while alive and clock() < end:
        pause(_LOOK_INTERVAL)
        alive = [each for each in alive if is_alive(each)]
    return alive


def _signal(members: Iterable[ProcessName], number: signal.Signals) -> None:
    refused: PermissionError | None = None
    for each in members:
        try:
            _signal_one(each, number)
        except PermissionError as error:
            refused = PermissionError(
                error.errno, f"{error.strerror} to end the process {each.pid}"
            )
        except ProcessLookupError:
            pass
    if refused is not None:
        raise refused


def _signal_one(name: ProcessName, number: signal.Signals) -> None:
    """Send a signal to a process, through a descriptor of it where the system has one."""
    open_descriptor = getattr(os, "pidfd_open", None)  # from Python 3.9 and Linux 5.3 on
    descriptor = -1
    if open_descriptor is not None:
        with contextlib.suppress(OSError):
            descriptor = open_descriptor(name.pid)
    try:
        # Looked at after it was opened: what is named so now was it then, too.
        if not is_alive(name):
            return
        if descriptor < 0:
            os.kill(name.pid, number)
        else:
            getattr(signal, "pidfd_send_signal")(descriptor, number)  # noqa: B009
    finally:
        if descriptor >= 0:
            os.close(descriptor)
