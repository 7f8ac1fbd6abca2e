"""Ending the process of a job, and removing the directory of a job that has ended: planned, then performed.

A plan has what would be done, or why not, and changes nothing. Performing checks again: what does not hold any more is
refused. Nothing is ever done through a symlink, and nothing is removed of a job that may run.
"""

from __future__ import annotations

import os
import stat
import time
from typing import NamedTuple

from xpm_remote.workspace import filesystem, processes, states
from xpm_remote.workspace.ending import OverFailure, end_processes, own_process
from xpm_remote.workspace.failures import BusyFailure, NoJobFailure, WorkspaceFailure, explain
from xpm_remote.workspace.folders.removing import discard_job, imprint, put_back_interrupted
from xpm_remote.workspace.layout import JobFiles, JobId
from xpm_remote.workspace.outcomes import CLEAN, KILL, ActionOutcome, ActionPlan
from xpm_remote.workspace.processes import Host, ProcessName
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.schedulers.questions import (
    Evidence,
    Schedulers,
    UnansweredFailure,
    is_same_directory,
    read_evidence,
)
from xpm_remote.workspace.schedulers.rows import Cancelled
from xpm_remote.workspace.schedulers.slurm import SLURM_ID, Slurm

TERM_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL: a job writes its marker and perhaps a checkpoint."""


REMOVAL_WAIT = 1.0
"""Seconds for another process that has locked a job to set it aside, as one that removes it does at once."""

_REMOVAL_INTERVAL = 0.02


class _SlurmJob(NamedTuple):
    """A job of SLURM that runs a job."""

    slurm: Slurm
    row: Row


class Actions:
    """Plans and performs actions on the jobs of a workspace.

    Args:
        reader: Reads the workspace.
        host: The host on which this code runs.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    def __init__(self, reader: WorkspaceReader, host: Host, grace: float = TERM_GRACE) -> None:
        self._reader = reader
        self._host = host
        self._schedulers = Schedulers(host)
        self._grace = grace

    def plan_kill(self, job: JobId) -> ActionPlan:
        """Return the plan to end a job's process.

        Raises:
            NoJobFailure: There is no such job.
        """
        plan, _ = self._find_target(job)
        return plan

    def plan_clean(self, job: JobId, *, is_forced: bool = False) -> ActionPlan:
        """Return the plan to remove a job's directory.

        Args:
            job: The job.
            is_forced: Whether to remove it, too, where it cannot be known whether its scheduler still has it.

        Raises:
            NoJobFailure: There is no such job.
        """
        plan = ActionPlan(job, CLEAN, is_forced=is_forced)
        try:
            self._check_ended(job, is_forced=is_forced)
        except (BusyFailure, OSError) as refusal:
            return plan._replace(refusal=self._text(job, refusal))
        return plan._replace(what=f"remove {self._reader.layout.job(job)}")

    def plan(self, action: str, job: JobId, *, is_forced: bool = False) -> ActionPlan:
        """Return the plan of an action on a job.

        Args:
            action: ``kill`` or ``clean``.
            job: The job.
            is_forced: As of ``plan_clean``.

        Returns:
            The plan; one that is refused for a job that is gone.
        """
        try:
            if action == KILL:
                return self.plan_kill(job)
            return self.plan_clean(job, is_forced=is_forced)
        except NoJobFailure as failure:
            return ActionPlan(job, action, refusal=str(failure), is_over=action == CLEAN)

    def perform(self, plan: ActionPlan) -> ActionOutcome:
        """Carry out a plan, if it still holds; that what it wants is so already is a success."""
        try:
            message = self._kill(plan) if plan.action == KILL else self._clean(plan)
        except NoJobFailure:  # another one has removed it since the plan was made
            return plan.outcome(plan.action == CLEAN, "its directory is gone")
        except OverFailure as failure:
            return plan.outcome(not plan.refusal, str(failure))
        except (WorkspaceFailure, OSError) as failure:
            return plan.outcome(False, self._text(plan.job, failure))
        return plan.outcome(True, message)

    def _text(self, job: JobId, failure: Exception) -> str:
        if isinstance(failure, OSError):
            return explain(failure, self._reader.layout.job(job))
        return str(failure)

    def _files(self, job: JobId) -> JobFiles:
        """Return the files of a job.

        Raises:
            NoJobFailure: There is no such job.
            OSError: That is not known.
        """
        files = self._reader.layout.job_files(job)
        if filesystem.lstat_or_none(files.directory) is None:
            raise _no_job(job)
        return files

    def _find_target(self, job: JobId) -> tuple[ActionPlan, ProcessName | _SlurmJob | None]:
        """Return the plan to end what runs a job, and what it would end; None if that is refused."""
        plan = ActionPlan(job, KILL)
        try:
            files = self._files(job)
            evidence = read_evidence(files)
            process = evidence.process
            if process is None or not evidence.has_pid_file:
                found = self._without_pid_file(files, evidence)
                number = found.row.id
                return plan._replace(what=f"scancel {number}", pid=number, kind="slurm"), found
            plan = plan._replace(pid=process.pid, kind=process.kind)
            if process.kind == "slurm":
                job_of_slurm = self._slurm_job(files, evidence, str(process.pid))
                return plan._replace(what=f"scancel {process.pid}"), job_of_slurm
            if process.kind != "local" or not isinstance(process.pid, int) or process.pid <= 1:
                raise BusyFailure(
                    f"its process is of another kind: {process.kind} {process.pid}",
                    "end it where it runs",
                )
            if process.host is not None and not self._host.is_me(process.host):
                what = f"its process is on the host {process.host}"
                raise BusyFailure(what, "kill it from there, this host cannot")
            is_locked = self._host.is_locked(str(files.lock))
            own = own_process(files, process.pid, is_locked=is_locked)
        except OverFailure as refusal:
            return plan._replace(refusal=str(refusal), is_over=True), None
        except (BusyFailure, OSError) as refusal:
            return plan._replace(refusal=self._text(job, refusal)), None
        pids = ", ".join(str(each.pid) for each in processes.family(own.pid))
        what = f"end {pids}: SIGTERM, then SIGKILL"
        return plan._replace(what=what), own

    def _without_pid_file(self, files: JobFiles, evidence: Evidence) -> _SlurmJob:
        """Return the job of SLURM in a job's directory: the peer's server removes pid files of jobs that live.

        Raises:
            OverFailure: There is none.
            BusyFailure: SLURM does not answer.
        """
        row = None
        if evidence.is_of_slurm and filesystem.lstat_or_none(files.done) is None:
            row = self._schedulers.living_row(files, evidence)
        if row is None:
            raise OverFailure("it has no process")
        return _SlurmJob(Slurm(evidence.binpath), row)

    def _slurm_job(self, files: JobFiles, evidence: Evidence, number: str) -> _SlurmJob:
        """Return a job of SLURM that runs in the directory of the job here.

        Raises:
            OverFailure: It has ended.
            BusyFailure: It is not the job's, or SLURM does not answer.
        """
        if not SLURM_ID.fullmatch(number):
            raise BusyFailure(f"its pid file names no job of SLURM: {number!r}")
        slurm = Slurm(evidence.binpath)
        rows = slurm.find(number)
        if rows is None:
            raise BusyFailure(f"SLURM does not say what the job {number} is: {slurm.why}")
        foreign = [
            row.directory
            for row in rows
            if is_same_directory(row.directory, files.directory) is not True
        ]
        if foreign:
            what = f"the job {number} of SLURM is not this one: it runs in {foreign[0]}"
            raise BusyFailure(what, "its own has ended, or was submitted again")
        living = [row for row in rows if row.phase is not Phase.ENDED]
        if living:
            return _SlurmJob(slurm, living[0]._replace(id=number))
        if not rows and set(evidence.owners) - {os.geteuid()}:
            raise BusyFailure(
                f"SLURM shows you no job {number}: it has ended, or is hidden as another user's"
            )
        raise OverFailure(f"it has ended: SLURM has no job {number} any more")

    def _kill(self, plan: ActionPlan) -> str:
        """End what runs a job; return what was done.

        Raises:
            WorkspaceFailure: It was not, or that is not known.
        """
        now, target = self._find_target(plan.job)
        if now.pid not in (plan.pid, None):
            raise BusyFailure("its process is another one than that of the plan")
        if now.is_over:
            raise OverFailure(now.refusal)
        if target is None:
            raise BusyFailure(now.refusal)
        if isinstance(target, _SlurmJob):
            return _cancel(*target)
        left = end_processes(target, self._grace)
        if left:
            pids = ", ".join(str(each.pid) for each in left)
            raise BusyFailure(f"the processes {pids} do not end even by SIGKILL")
        return f"the process {plan.pid} has ended"

    def _clean(self, plan: ActionPlan) -> str:
        """Remove the directory of a job; while another process does the same, wait until it is gone."""
        until = time.monotonic() + REMOVAL_WAIT
        while True:
            try:
                return self._remove(plan)
            except (BusyFailure, FileNotFoundError) as failure:
                self._files(plan.job)  # it is gone
                if isinstance(failure, UnansweredFailure) or time.monotonic() > until:
                    raise
                time.sleep(_REMOVAL_INTERVAL)

    def _remove(self, plan: ActionPlan) -> str:
        layout = self._reader.layout
        put_back_interrupted(layout, plan.job)
        seen = imprint(layout.job_files(plan.job))
        self._check_ended(plan.job, is_forced=plan.is_forced)
        discard_job(layout, plan.job, seen)
        return f"removed {self._reader.layout.job(plan.job)}"

    def _check_ended(self, job: JobId, *, is_forced: bool) -> None:
        """Check that a job may be removed.

        Raises:
            NoJobFailure: There is no such job.
            BusyFailure: It is a link, or it may run, or it has not ended.
        """
        files = self._files(job)
        for path in (self._reader.layout.jobs, files.directory.parent, files.directory):
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise BusyFailure(f"{path} is no directory of the workspace but a link or a file")
        facts = self._reader.job(job)
        if facts is None:
            raise _no_job(job)
        if facts.unread is not None:
            raise BusyFailure(f"{facts.unread.path} cannot be read: {facts.unread.why}")
        if self._host.is_locked(str(files.lock)):
            raise BusyFailure("its lock is held: it runs, or is about to")
        has_ended = self._schedulers.check_ended(files, is_forced=is_forced)
        if not has_ended and facts.state not in states.FINAL:
            raise BusyFailure(f"it is {facts.state}, and only a job that has ended is removed")


def _cancel(slurm: Slurm, row: Row) -> str:
    """Cancel a job of SLURM; return what was done.

    Raises:
        BusyFailure: It was not, or that is not known.
    """
    outcome = slurm.cancel(row)
    if outcome is Cancelled.REFUSED:
        raise BusyFailure(f"SLURM refuses to cancel {row.id}: {slurm.why}")
    if outcome is Cancelled.UNKNOWN:
        raise BusyFailure(
            f"it is unknown whether SLURM cancels {row.id}: {slurm.why}",
            "it may still do so: look again in a minute",
        )
    return f"SLURM has cancelled {row.id}"


def _no_job(job: JobId) -> NoJobFailure:
    return NoJobFailure(f"there is no job {job}", "list them with `jobs list`")
