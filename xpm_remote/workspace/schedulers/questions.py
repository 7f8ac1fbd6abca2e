"""Whether a scheduler, or this host, may still have a job, from the job's files and the scheduler's answer."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Callable, NamedTuple

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.ending import may_run
from xpm_remote.workspace.failures import BusyFailure
from xpm_remote.workspace.layout import JobFiles
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.jobs import process_of
from xpm_remote.workspace.reading.json_files import SMALL_LIMIT, JsonObject, Problems, read_object
from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.schedulers.scripts import has_batch_script
from xpm_remote.workspace.schedulers.slurm import Slurm, trusted_binpath
from xpm_remote.workspace.states import Process

ANSWER_AGE = 5.0
"""Seconds for which an answer counts: many jobs are one question, as sites forbid to ask in a loop. A job that has
ended comes back to life only when a person requeues it."""

FORCE = "clean it with --force if it surely has ended"
"""The hint where it cannot be known whether a job has ended."""


class UnansweredFailure(BusyFailure):
    """It is not known whether a job has ended: a file cannot be read, or its scheduler does not answer."""


class Evidence(NamedTuple):
    """What the files of a job say of the process that runs it.

    Attributes:
        process: The process of the pid file, else of status.json; None if they have none.
        has_pid_file: Whether it is that of the pid file.
        binpath: A trusted directory of the scheduler's programs.
        is_of_slurm: Whether it is, or was, a job of SLURM.
        owners: The users who may have submitted it.
    """

    process: Process | None
    has_pid_file: bool
    binpath: Path | None
    is_of_slurm: bool
    owners: tuple[int, ...]


def read_evidence(files: JobFiles) -> Evidence:
    """Read what the files of a job say of its process.

    Raises:
        UnansweredFailure: One of them is there and cannot be read, or the pid file names no process.
        OSError: It is not known whether one is there.
    """
    owners = {os.lstat(files.directory).st_uid}
    content = _read(files.pid)
    if content is not None:
        process = process_of(content, None)
        if process is None:
            raise UnansweredFailure(f"{files.pid} names no process", FORCE)
        owners.add(os.lstat(files.pid).st_uid)
    else:
        status = _read(files.own / "status.json") or {}
        process = process_of(status.get("process"), None)
    is_of_slurm = process.kind == "slurm" if process else has_batch_script(files)
    binpath = trusted_binpath(files.pid, content.get("options")) if content else None
    return Evidence(process, content is not None, binpath, is_of_slurm, tuple(sorted(owners)))


def _read(path: Path) -> JsonObject | None:
    """Return the content of a file; None if there is none."""
    problems = Problems()
    content = read_object(str(path), SMALL_LIMIT, problems)
    for unread in problems:
        raise UnansweredFailure(f"{unread.path} {unread.why}", FORCE)
    if content is None and filesystem.lstat_or_none(path) is not None:
        raise UnansweredFailure(f"{path} cannot be read", FORCE)
    return content


class Schedulers:
    """The schedulers that jobs of a workspace are given to, each asked once for many jobs.

    Args:
        host: The host on which this code runs.
        clock: Seconds that never go back.
    """

    def __init__(self, host: Host, clock: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._clock = clock
        self._answers: dict[tuple[Path | None, tuple[int, ...]], tuple[float, _Answer]] = {}

    def check_ended(self, files: JobFiles, *, is_forced: bool = False) -> bool:
        """Check that no scheduler may have a job, and that its process does not live here, whatever its markers say.

        Args:
            files: The files of the job.
            is_forced: Whether to take no answer as an end, where an answer cannot be had.

        Returns:
            Whether a scheduler has said that it has ended; False if none had it.

        Raises:
            BusyFailure: A scheduler has it, or its process lives.
            UnansweredFailure: That cannot be known.
        """
        try:
            return self._has_ended(files)
        except UnansweredFailure:
            if not is_forced:
                raise
            return False

    def _has_ended(self, files: JobFiles) -> bool:
        # The job's own last act: nothing else writes it.
        is_done = filesystem.lstat_or_none(files.done) is not None
        try:
            evidence = read_evidence(files)
        except UnansweredFailure:
            if is_done:
                return False
            raise
        process = evidence.process
        if is_done and not evidence.has_pid_file:
            return False
        if process is not None and evidence.has_pid_file:
            written = filesystem.lstat(files.pid).st_mtime
            is_alive = self._host.is_alive(process, written)
            if is_alive and isinstance(process.pid, int) and may_run(files, process.pid):
                raise BusyFailure(f"its process {process.pid} lives", "end it with `jobs kill`")
        if process is not None and process.kind not in ("local", "slurm"):
            what = f"its process is of the kind {process.kind}, which cannot be asked"
            raise UnansweredFailure(what, FORCE)
        if not evidence.is_of_slurm:
            return False
        self._check_slurm(files, evidence)
        return True

    def living_row(self, files: JobFiles, evidence: Evidence) -> Row | None:
        """Return the row of a job of SLURM that has not ended, by its directory alone.

        Raises:
            UnansweredFailure: SLURM does not answer.
        """
        answer = self._ask(evidence)
        if answer.rows is None:
            raise UnansweredFailure(f"SLURM does not say whether it has ended: {answer.why}")
        rows = (r for path, r in answer.rows.items() if is_same_directory(path, files.directory))
        return next((row for row in rows if row.phase is not Phase.ENDED), None)

    def _check_slurm(self, files: JobFiles, evidence: Evidence) -> None:
        answer = self._ask(evidence)
        if answer.rows is None:
            what = f"SLURM does not say whether it has ended: {answer.why}"
            raise UnansweredFailure(what, FORCE)
        row = find_row(files.directory, evidence.process, answer.rows)
        if row is not None and row.phase is not Phase.ENDED:
            what = f"SLURM has it: job {row.id}, {row.state}"
            raise BusyFailure(what, "cancel it with `jobs kill`")
        if row is None and set(evidence.owners) - {os.geteuid()}:
            what = "it is of another user, whose jobs SLURM may hide from you"
            raise UnansweredFailure(what, FORCE)

    def _ask(self, evidence: Evidence) -> _Answer:
        users = tuple(sorted({*evidence.owners, os.geteuid()}))
        key = (evidence.binpath, users)
        when, answer = self._answers.get(key, (0.0, None))
        if answer is None or self._clock() - when > ANSWER_AGE:
            slurm = Slurm(evidence.binpath)
            rows = slurm.ask(users)
            answer = _Answer(rows, slurm.why)
            self._answers[key] = (self._clock(), answer)
        return answer


class _Answer(NamedTuple):
    """The answer of SLURM: its jobs by directory, or why there is none."""

    rows: dict[str, Row] | None
    why: str


def find_row(directory: Path, process: Process | None, rows: dict[str, Row]) -> Row | None:
    """Return the row of a job's directory, which may have another path where the job runs.

    Such a path leads nowhere here; or it is that of the job's own id, and leads to something else here.
    """
    number = process and str(process.pid)
    found = [
        row
        for path, row in rows.items()
        if is_same_directory(path, directory) is not False
        or (row.id == number and _has_same_end(path, directory))
    ]
    return next((row for row in found if row.phase is not Phase.ENDED), next(iter(found), None))


def is_same_directory(path: str, directory: Path) -> bool | None:
    """Return whether a path of a scheduler is a job's directory; None if it may be, by another host's mounts."""
    if path == str(directory):
        return True
    if not _has_same_end(path, directory):  # few of many: only these are looked up
        return False
    try:
        return directory.samefile(path)
    except OSError:
        return None


def _has_same_end(path: str, directory: Path) -> bool:
    return Path(path).parts[-2:] == directory.parts[-2:]
