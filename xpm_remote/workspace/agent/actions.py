"""Ending the process of a job, and removing the directory of a job that has ended: planned, then performed.

A plan has what would be done, or why not, and changes nothing. Performing checks again: what does not hold any more is
refused. Nothing is ever done through a symlink, and nothing is removed of a job that may run.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
from typing import Callable, Sequence

from xpm_remote.workspace import processes, states
from xpm_remote.workspace.failures import BusyFailure, NoJobFailure, WorkspaceFailure
from xpm_remote.workspace.folders.staging import discard_job
from xpm_remote.workspace.layout import JobFiles, JobId
from xpm_remote.workspace.outcomes import CLEAN, KILL, ActionOutcome, ActionPlan
from xpm_remote.workspace.processes import REUSE_SLACK, Host
from xpm_remote.workspace.reading.jobs import process_of
from xpm_remote.workspace.reading.json_files import SMALL_LIMIT, Problems, read_object
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.states import Process

TERM_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL: a job writes its marker and perhaps a checkpoint."""

SCANCEL_LIMIT = 60.0
"""Seconds for SLURM to accept a cancellation; a busy controller is slow, and one that is down never answers."""

_SLURM_ID = re.compile(r"\d{1,18}(?:_\d{1,9})?")

Run = Callable[[Sequence[str]], None]
"""Runs a program; raises WorkspaceFailure when it fails."""


class _OverFailure(BusyFailure):
    """There is no process left to end."""


class Actions:
    """Plans and performs actions on the jobs of a workspace.

    Args:
        reader: Reads the workspace.
        host: The host on which this code runs.
        run: Runs a program of the host.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self, reader: WorkspaceReader, host: Host, run: Run | None = None, grace: float = TERM_GRACE
    ) -> None:
        self._reader = reader
        self._host = host
        self._run = run or run_program
        self._grace = grace

    def plan_kill(self, job: JobId) -> ActionPlan:
        """Return the plan to end a job's process.

        Raises:
            NoJobFailure: There is no such job.
        """
        files = self._files(job)
        process = process_of(read_object(str(files.pid), SMALL_LIMIT, Problems()), None)
        try:
            if process is None:
                raise _OverFailure("it has no process")
            what = self._check_process(files, process)
        except _OverFailure as refusal:
            pid = None if process is None else process.pid
            return ActionPlan(job, KILL, refusal=str(refusal), pid=pid, is_over=True)
        except WorkspaceFailure as refusal:
            return ActionPlan(job, KILL, refusal=str(refusal))
        return ActionPlan(job, KILL, what, pid=process.pid, kind=process.kind)

    def plan_clean(self, job: JobId) -> ActionPlan:
        """Return the plan to remove a job's directory.

        Raises:
            NoJobFailure: There is no such job.
        """
        try:
            self._check_ended(job)
        except BusyFailure as refusal:
            return ActionPlan(job, CLEAN, refusal=str(refusal))
        return ActionPlan(job, CLEAN, f"remove {self._reader.layout.job(job)}")

    def plan(self, action: str, job: JobId) -> ActionPlan:
        """Return the plan of an action on a job.

        Args:
            action: ``kill`` or ``clean``.
            job: The job.

        Raises:
            NoJobFailure: There is no such job.
        """
        return self.plan_kill(job) if action == KILL else self.plan_clean(job)

    def repeat(self, plan: ActionPlan) -> ActionOutcome:
        """Carry out a plan that may have been carried out already, which is a success."""
        if not os.path.lexists(self._reader.layout.job(plan.job)):
            is_wanted = plan.action == CLEAN
            return plan.outcome(is_wanted, "its directory is gone")
        if plan.action == KILL:
            now = self.plan_kill(plan.job)
            if now.is_over and now.pid in (plan.pid, None):
                return plan.outcome(True, now.refusal)
        return self.perform(plan)

    def perform(self, plan: ActionPlan) -> ActionOutcome:
        """Carry out a plan, if it still holds."""
        try:
            now = self.plan(plan.action, plan.job)
            if now.refusal:
                return plan.outcome(False, now.refusal)
            if now.pid != plan.pid:
                return plan.outcome(False, "its process is another one than that of the plan")
            if plan.action == KILL:
                done = self._kill(now)
            else:
                discard_job(self._reader.layout, plan.job)
                done = f"removed {self._reader.layout.job(plan.job)}"
        except (WorkspaceFailure, OSError) as failure:
            return plan.outcome(False, str(failure))
        return plan.outcome(True, done)

    def _files(self, job: JobId) -> JobFiles:
        """Return the files of a job.

        Raises:
            NoJobFailure: There is no such job.
        """
        files = self._reader.layout.job_files(job)
        if not os.path.lexists(files.directory):
            raise _no_job(job)
        return files

    def _check_process(self, files: JobFiles, process: Process) -> str:
        """Return how a process would be ended.

        Raises:
            BusyFailure: It is not the job's, or that cannot be known here.
        """
        if process.kind == "slurm":
            if not _SLURM_ID.fullmatch(str(process.pid)):
                raise BusyFailure(f"its pid file names no job of SLURM: {process.pid!r}")
            return f"scancel {process.pid}"
        if process.kind != "local" or not isinstance(process.pid, int) or process.pid <= 1:
            raise BusyFailure(f"its process is of another kind: {process.kind} {process.pid}")
        if process.host is not None and not self._host.is_me(process.host):
            raise BusyFailure(
                f"its process is on the host {process.host}", "kill it from there, this host cannot"
            )
        self._check_identity(files, process.pid)
        members = processes.family(process.pid)
        return f"end {', '.join(str(each.pid) for each in members)}: SIGTERM, then SIGKILL"

    def _check_identity(self, files: JobFiles, pid: int) -> None:
        """Raise unless a pid is still the process for which the pid file was written."""
        if not processes.has_process_table():
            raise BusyFailure("this system does not show which process it is", "kill it by hand")
        entry = processes.find_process(pid)
        if entry is None:
            raise _OverFailure(f"its process {pid} has ended")
        written = files.pid.stat().st_mtime
        if processes.start_time(entry.name) > written + REUSE_SLACK:
            raise BusyFailure(f"the process {pid} is younger than the job's pid file")
        held = self._host.is_locked(str(files.lock))
        if not held and not processes.mentions(pid, str(files.directory)):
            raise BusyFailure(f"the process {pid} is not the job's, whose lock is free")

    def _kill(self, plan: ActionPlan) -> str:
        if plan.kind == "slurm":
            self._run(["scancel", str(plan.pid)])
            return f"SLURM was told to cancel {plan.pid}"
        left = processes.end_processes(int(plan.pid or 0), self._grace)
        if left:
            pids = ", ".join(str(each.pid) for each in left)
            raise BusyFailure(f"the processes {pids} do not end even by SIGKILL")
        return f"the process {plan.pid} has ended"

    def _check_ended(self, job: JobId) -> None:
        """Raise unless a job may be removed.

        Raises:
            NoJobFailure: There is no such job.
            BusyFailure: It is a link, or it may run, or it has not ended.
        """
        files = self._files(job)
        for path in (files.directory.parent, files.directory):
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise BusyFailure(f"{path} is no directory of the workspace but a link or a file")
        facts = self._reader.job(job)
        if facts is None:
            raise _no_job(job)
        if self._host.is_locked(str(files.lock)):
            raise BusyFailure("its lock is held: it runs, or is about to")
        if facts.state not in states.FINAL:
            raise BusyFailure(f"it is {facts.state}, and only a job that has ended is removed")


def _no_job(job: JobId) -> NoJobFailure:
    return NoJobFailure(f"there is no job {job}", "list them with `jobs list`")


def run_program(words: Sequence[str]) -> None:
    """Run a program of the host to its end.

    Raises:
        WorkspaceFailure: It is not there, fails, or takes too long.
    """
    try:
        done = subprocess.run(  # noqa: S603  (the words are ours, the id is checked)
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SCANCEL_LIMIT,
            check=False,
        )
    except FileNotFoundError:
        raise WorkspaceFailure(f"there is no {words[0]} here", "put it in the PATH") from None
    except subprocess.TimeoutExpired:
        raise WorkspaceFailure(f"{words[0]} has not ended in {SCANCEL_LIMIT:g} s") from None
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").strip()
        raise WorkspaceFailure(f"{words[0]} failed with exit status {done.returncode}: {said}")
