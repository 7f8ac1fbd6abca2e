"""Processes of this host: whether they live, and which others they started.

A pid alone does not identify a process for long, since pids are used again. A process is identified by its pid and its
start time, in ticks since the system started.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Callable, NamedTuple

from xpm_remote.workspace.locks import lock_is_held
from xpm_remote.workspace.states import Process

PROC = "/proc"

_PARENT, _GROUP, _STARTED = 1, 2, 19
"""Fields of /proc/<pid>/stat, counted from the state, which follows the name in brackets."""

_DEAD = frozenset({b"Z", b"X", b"x"})

REUSE_SLACK = 300.0
"""Seconds by which a process may seem younger than its pid file and still be the one that the file names: the clock of
a file server may differ from ours, and ours may have been set since."""


class ProcessName(NamedTuple):
    """A process, past or present: its pid and its start time, in ticks since the system started."""

    pid: int
    started: int


class ProcessEntry(NamedTuple):
    """A living process in the system's table."""

    name: ProcessName
    parent: int
    group: int


def has_process_table() -> bool:
    """Return whether this system lists its processes in /proc."""
    return Path(f"{PROC}/self/stat").exists()


def find_process(pid: int) -> ProcessEntry | None:
    """Return a living process, or None."""
    fields = _read_stat(pid)
    if len(fields) <= _STARTED or fields[0] in _DEAD:
        return None
    parent, group, started = (int(fields[each]) for each in (_PARENT, _GROUP, _STARTED))
    return ProcessEntry(ProcessName(pid, started), parent, group)


def process_is_running(pid: int, at: float | None) -> bool:
    """Return whether a process lives and, where the system has its start time, did not start after the time ``at``."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # it lives, and is another user's
    except (OSError, OverflowError):
        return False
    fields = _read_stat(pid)
    if fields and fields[0] in _DEAD:
        return False
    if at is not None:
        with contextlib.suppress(IndexError, ValueError, OSError):
            return start_time(ProcessName(pid, int(fields[_STARTED]))) <= at + REUSE_SLACK
    return True


def is_alive(name: ProcessName) -> bool:
    """Return whether a process still lives; another one that has its pid now does not count."""
    entry = find_process(name.pid)
    return entry is not None and entry.name == name


def start_time(name: ProcessName) -> float:
    """Return the start time of a process, in epoch seconds.

    Raises:
        OSError: The system has no record of its own start time.
    """
    with Path(f"{PROC}/stat").open("rb") as file:
        for line in file:
            if line.startswith(b"btime "):
                return float(line.split()[1]) + name.started / os.sysconf("SC_CLK_TCK")
    message = f"{PROC}/stat has no btime"
    raise OSError(message)


def family(pid: int) -> list[ProcessName]:
    """Return a process, all that it and its descendants started, and all of its group if it leads one."""
    pids = (int(each.name) for each in Path(PROC).iterdir() if each.name.isdecimal())
    table = {entry.name.pid: entry for entry in map(find_process, pids) if entry is not None}
    if pid not in table:
        return []
    children: dict[int, list[int]] = {}
    for entry in table.values():
        children.setdefault(entry.parent, []).append(entry.name.pid)
    found = {pid}
    if table[pid].group == pid:
        found.update(entry.name.pid for entry in table.values() if entry.group == pid)
    waiting = list(found)
    while waiting:
        fresh = set(children.get(waiting.pop(), ())) - found
        found |= fresh
        waiting += fresh
    return [table[each].name for each in sorted(found)]


def _read_stat(pid: int) -> list[bytes]:
    """Return the fields of /proc/<pid>/stat from the state on; none where there is no such file."""
    try:
        return Path(f"{PROC}/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def lock_held(path: str) -> bool:
    """Return whether a process holds a lock.

    Raises:
        OSError: It cannot be read.
    """
    return lock_is_held(Path(path))


class Host:
    """The host on which this code runs.

    Args:
        name: Its name, as processes write it into their pid files.
        is_running: Returns whether a process of this host lives that existed at a time (epoch seconds).
        is_locked: Returns whether the lock of a file is held.
    """

    def __init__(
        self,
        name: str | None = None,
        is_running: Callable[[int, float | None], bool] | None = None,
        is_locked: Callable[[str], bool] = lock_held,
    ) -> None:
        self.name = name or os.uname().nodename
        self.is_running = is_running or process_is_running
        self.is_locked = is_locked

    def is_me(self, name: str | None) -> bool:
        """Return whether a name is this host's; one of the two names may lack the domain."""
        if not name:
            return False
        short, domain = name.lower().partition(".")[::2]
        mine, my_domain = self.name.lower().partition(".")[::2]
        return short == mine and (not domain or not my_domain or domain == my_domain)

    def is_alive(self, process: Process, written: float | None) -> bool | None:
        """Return whether the process of a pid file lives; None where this host cannot know.

        Args:
            process: The content of the pid file.
            written: When that file was written, epoch seconds.
        """
        if process.kind != "local" or not isinstance(process.pid, int) or process.pid <= 0:
            return None
        return self.is_running(process.pid, written) if self.is_me(process.host) else None

    def has_died(self, process: Process, written: float | None, lock: str) -> bool:
        """Return whether a job's process has certainly ended.

        Args:
            process: The content of the job's pid file.
            written: When that file was written, epoch seconds.
            lock: The job's lock, which its process holds from start to end.
        """
        return self.is_alive(process, written) is False and not self.is_locked(lock)
