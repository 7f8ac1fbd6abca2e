"""Whether processes live, with real ones."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from xpm_remote.workspace import processes
from xpm_remote.workspace.processes import REUSE_SLACK, Host, process_is_running
from xpm_remote.workspace.states import Process

END_LIMIT = 10.0
"""Seconds for a killed process to be gone."""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_living_process(sleeper: subprocess.Popen[bytes]) -> None:
    """A process lives while it does."""
    assert process_is_running(sleeper.pid, time.time())
    assert process_is_running(sleeper.pid, None)
    sleeper.kill()
    sleeper.wait(END_LIMIT)
    assert not process_is_running(sleeper.pid, time.time())


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells of zombies and start times")
def test_zombie_is_dead(sleeper: subprocess.Popen[bytes]) -> None:
    """A process that has ended and was not waited for counts as gone."""
    os.kill(sleeper.pid, 9)
    wait_until(
        lambda: not process_is_running(sleeper.pid, None), END_LIMIT, "the process to be a zombie"
    )
    os.kill(sleeper.pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells of zombies and start times")
def test_younger_process_is_another(sleeper: subprocess.Popen[bytes]) -> None:
    """A process that started long after its pid was written is another one."""
    assert not process_is_running(sleeper.pid, time.time() - REUSE_SLACK - 60)


def test_process_of_another_user_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that we may not signal lives."""

    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert process_is_running(os.getpid(), time.time())


def test_system_that_tells_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no data on zombies and start times, a process that can be signalled lives."""
    monkeypatch.setattr(processes, "_read_stat", lambda pid: [])
    assert process_is_running(os.getpid(), 0.0)
    monkeypatch.setattr(processes, "_read_stat", lambda pid: [b"S", b"1"])
    assert process_is_running(os.getpid(), 0.0)


@pytest.mark.parametrize("pid", [2**31 - 1, 2**70])
def test_impossible_pid(pid: int) -> None:
    """A number that no process can have is no process."""
    assert not process_is_running(pid, None)


@pytest.mark.parametrize(
    ("name", "is_me"),
    [
        ("node01", True),
        ("NODE01", True),
        ("node01.cluster", True),
        ("node02", False),
        ("", False),
        (None, False),
    ],
)
def test_own_name(name: str | None, is_me: bool) -> None:
    """A host knows its name, with or without the domain."""
    assert Host("node01").is_me(name) is is_me
    assert not Host("node01.here").is_me("node01.there")


@pytest.mark.parametrize(
    ("process", "has_died"),
    [
        (Process(5, "local", "node01"), True),
        (Process(6, "local", "node01"), False),
        (Process(5, "local", "node02"), False),
        (Process(5, "local", None), False),
        (Process("5", "slurm", "node01"), False),
        (Process("5", "local", "node01"), False),
        (Process(0, "local", "node01"), False),
        (Process(-1, "local", "node01"), False),
    ],
)
def test_who_is_judged(process: Process, has_died: bool) -> None:
    """Only local processes of this very host are found dead."""
    host = Host("node01", lambda pid, at: pid == 6, lambda path: False)
    assert host.has_died(process, 1.0, "/lock") is has_died


def test_held_lock_proves_life(tmp_path: Path) -> None:
    """A job whose lock is held lives, whatever its pid file says."""
    lock = tmp_path / "ok.lock"
    host = Host("node01", lambda pid, at: False)
    process = Process(5, "local", "node01")
    assert host.has_died(process, 1.0, str(lock))
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not host.has_died(process, 1.0, str(lock))
    assert host.has_died(process, 1.0, str(lock))
