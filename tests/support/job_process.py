"""A process that behaves as a job: it runs the script of the job's directory and holds the job's lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from xpm_remote.workspace import processes

LIMIT = 30.0
"""Seconds for immediate work of a process."""

# Holds the job's lock, starts a child and a grandchild that leaves the group, prints a line, and waits.
JOB_SCRIPT = """
import fcntl, os, signal, subprocess, sys, time
lock = open(os.path.splitext(os.path.abspath(__file__))[0] + ".lock", "w")
if "free" not in sys.argv: fcntl.flock(lock, fcntl.LOCK_EX)
child = [sys.executable, "-c", "import time; time.sleep(600)"]
pids = [subprocess.Popen(child).pid, subprocess.Popen(child, start_new_session=True).pid]
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(*pids, flush=True); time.sleep(600)
"""


class Started:
    """Such a process.

    Args:
        directory: The job's directory.
        words: ``stubborn``: it ignores SIGTERM; ``free``: it has not locked yet.
        name: The script name of the job.
        leader: Whether it leads a group.
        script: The path by which it is started; None: the absolute one.
    """

    def __init__(
        self,
        directory: Path,
        *words: str,
        name: str = "learn",
        leader: bool = True,
        script: str | None = None,
    ) -> None:
        path = directory / f"{name}.py"
        path.write_text(JOB_SCRIPT)
        self.process = subprocess.Popen(
            [sys.executable, "-u", script or str(path), *words],
            cwd=directory,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=leader,
        )
        assert self.process.stdout is not None
        self.children = [int(word) for word in self.process.stdout.readline().split()]
        self.pid = self.process.pid

    @property
    def alive(self) -> list[int]:
        """The pids of those that live."""
        return [pid for pid in (self.pid, *self.children) if processes.find_process(pid)]

    def end(self) -> None:
        """End them all."""
        for pid in self.alive:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(LIMIT)
        assert self.process.stdout is not None
        self.process.stdout.close()
