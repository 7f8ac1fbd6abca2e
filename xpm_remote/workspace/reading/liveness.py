"""Whether the processes that files name still live.

A lock that is held proves that its holder lives. One that is free proves the opposite only where locks reach all
hosts, so a process of another host is believed to live while the files say so.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Callable

from xpm_remote.workspace.locks import is_held
from xpm_remote.workspace.states import Process

REUSE_SLACK = 300.0
"""Seconds by which a process may seem younger than its pid file and still be the one that the file names: the clock of
a file server may differ from ours, and ours may have been set since."""

_NO_PROCESS = frozenset({"Z", "X", "x"})
_STARTED_FIELD = (
    19  # of /proc/<pid>/stat, counted from the state, which follows the name in brackets
)


def lock_held(path: str) -> bool:
    """Tell whether some process holds the lock; a lock that cannot be looked at counts as free."""
    try:
        return is_held(Path(path))
    except OSError:
        return False


class Host:
    """The host on which this code runs.

    Args:
        name: Its name, as processes write it into their pid files.
        is_running: Tells whether a process of this host lives that was there at a time (epoch seconds).
        is_locked: Tells whether the lock of a file is held.
    """

    def __init__(
        self,
        name: str | None = None,
        is_running: Callable[[int, float | None], bool] | None = None,
        is_locked: Callable[[str], bool] = lock_held,
    ) -> None:
        self.name = name or socket.gethostname()
        self.is_running = is_running or process_is_running
        self.is_locked = is_locked

    def is_me(self, name: str | None) -> bool:
        """Tell whether a name is this host's; one of two names may lack the domain."""
        if not name:
            return False
        short, domain = name.lower().partition(".")[::2]
        mine, my_domain = self.name.lower().partition(".")[::2]
        return short == mine and (not domain or not my_domain or domain == my_domain)

    def has_died(self, process: Process, written: float | None, lock: str) -> bool:
        """Tell whether a job's process has certainly ended.

        Args:
            process: What the job's pid file says.
            written: When that file was written, epoch seconds.
            lock: The job's lock, which its process holds from start to end.
        """
        if process.kind != "local" or not isinstance(process.pid, int) or process.pid <= 0:
            return False
        if not self.is_me(process.host):
            return False
        return not self.is_running(process.pid, written) and not self.is_locked(lock)


def process_is_running(pid: int, at: float | None) -> bool:
    """Tell whether a process lives and, where the system says so, is not younger than the time ``at``."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # it lives, and is another user's
    except (OSError, OverflowError):
        return False
    fields = _proc_stat(pid)
    if not fields:
        return True
    if fields[0] in _NO_PROCESS:
        return False
    started = _start_time(fields)
    return at is None or started is None or started <= at + REUSE_SLACK


def _proc_stat(pid: int) -> list[str]:
    """Give the fields of /proc/<pid>/stat from the state on; none where there is no such file."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _start_time(fields: list[str]) -> float | None:
    """Give the time at which a process started, epoch seconds."""
    try:
        ticks = int(fields[_STARTED_FIELD])
        return _boot_time() + ticks / os.sysconf("SC_CLK_TCK")
    except (ValueError, IndexError, OSError):
        return None


def _boot_time() -> float:
    """Give the time at which the system started.

    Raises:
        ValueError: It does not say.
    """
    with Path("/proc/stat").open("rb") as file:
        for line in file:
            if line.startswith(b"btime "):
                return float(line.split()[1])
    raise ValueError("no btime")
