"""Processes of this host: which they are, whom they started, and ending them.

A pid alone names nothing for long. A process is named by its pid and the time it started, which the system counts from
its own start; so one that took over the pid of another is never taken for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Callable, Iterable, NamedTuple

PROC = "/proc"

_PARENT, _GROUP, _STARTED = 1, 2, 19
_DEAD = frozenset("ZXx")


class ProcessName(NamedTuple):
    """A process, past or present: its pid and when it started, in ticks since the system did."""

    pid: int
    started: int


class ProcessEntry(NamedTuple):
    """What the system says of a process."""

    name: ProcessName
    parent: int
    group: int


def has_process_table() -> bool:
    """Tell whether this system tells of its processes in the way that is needed here."""
    return Path(f"{PROC}/self/stat").exists()


def find_process(pid: int) -> ProcessEntry | None:
    """Give a living process, or None."""
    try:
        fields = Path(f"{PROC}/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) <= _STARTED or fields[0].decode("ascii", "replace") in _DEAD:
        return None
    parent, group, started = (int(fields[each]) for each in (_PARENT, _GROUP, _STARTED))
    return ProcessEntry(ProcessName(pid, started), parent, group)


def start_time(name: ProcessName) -> float:
    """Give when a process started, epoch seconds.

    Raises:
        OSError: The system does not say when it started itself.
    """
    with Path(f"{PROC}/stat").open("rb") as file:
        for line in file:
            if line.startswith(b"btime "):
                return float(line.split()[1]) + name.started / os.sysconf("SC_CLK_TCK")
    message = f"{PROC}/stat has no btime"
    raise OSError(message)


def mentions(pid: int, text: str) -> bool:
    """Tell whether a text stands in a process's command line, or is its directory."""
    with contextlib.suppress(OSError):
        if os.fsencode(text) in Path(f"{PROC}/{pid}/cmdline").read_bytes():
            return True
        return os.readlink(f"{PROC}/{pid}/cwd") == text
    return False


def family(pid: int) -> list[ProcessName]:
    """Give a process, all that it and its descendants started, and all of its group if it leads one."""
    table = _table()
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


def is_alive(name: ProcessName) -> bool:
    """Tell whether that very process lives."""
    entry = find_process(name.pid)
    return entry is not None and entry.name == name


def end_processes(
    pid: int,
    grace: float,
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[ProcessName]:
    """End a process and its family: ask with SIGTERM, and after a grace make it with SIGKILL.

    Args:
        pid: The process.
        grace: Seconds that they have to end by themselves.
        pause: Waits for some seconds.
        clock: Seconds that never go back.

    Returns:
        Those that live in spite of it all.

    Raises:
        PermissionError: They are somebody else's.
    """
    members = family(pid)
    _signal(members, signal.SIGTERM)
    alive = _await_end(members, grace, pause, clock)
    # What was started meanwhile belongs to it, too.
    members = sorted({*alive, *(each for member in alive for each in family(member.pid))})
    _signal(members, signal.SIGKILL)
    return _await_end(members, KILL_WAIT, pause, clock)


KILL_WAIT = 5.0
"""Seconds for the system to end a process after SIGKILL; one that waits for a dead file server takes longer."""

_LOOK_INTERVAL = 0.05
"""Seconds between two looks at whether processes have ended: they are not our children, so nobody tells us."""


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
    for each in members:
        if is_alive(each):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, number)


def _table() -> dict[int, ProcessEntry]:
    pids = (int(each.name) for each in Path(PROC).iterdir() if each.name.isdecimal())
    found = ((pid, find_process(pid)) for pid in pids)
    return {pid: entry for pid, entry in found if entry is not None}
