"""Whether an experiment or a job may be running. What cannot be found out counts as running."""

from __future__ import annotations

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import BusyFailure, explain
from xpm_remote.workspace.layout import JobFiles, Layout
from xpm_remote.workspace.locks import lock_is_held
from xpm_remote.workspace.orphans.references import References
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.jobs import process_of
from xpm_remote.workspace.reading.json_files import SMALL_LIMIT, Problems, read_object, reason
from xpm_remote.workspace.schedulers.questions import Schedulers, UnansweredFailure


def why_not_idle(layout: Layout, references: References, host: Host) -> str:
    """Return why an experiment may be running; empty if none is.

    A scheduler of this host holds a lock. One of another host may hold one that is not seen here, so its run counts as
    running until it has an end.
    """
    try:
        names = sorted(filesystem.list_directory(layout.experiments))
    except FileNotFoundError:
        names = []
    except OSError as error:
        return f"{layout.experiments} cannot be read ({reason(error)}): an experiment may run"
    for name in names:
        lock = layout.scheduler_lock(name)
        try:
            if lock_is_held(lock):
                return f"the experiment {name} runs"
        except OSError as error:
            return f"the experiment {name} may run ({explain(error, lock)})"
    for run, where in references.unended.items():
        if not host.is_me(where):
            return f"the run {run} has no end, and is of {where or 'an unknown host'}: it may run"
    return ""


def why_running(
    files: JobFiles, host: Host, schedulers: Schedulers, *, is_forced: bool = False
) -> str:
    """Return why a job may be running; empty if it is not.

    Args:
        files: The files of the job.
        host: The host on which this code runs.
        schedulers: What is asked whether they have it.
        is_forced: Whether a scheduler that does not answer is taken to have ended it.

    Raises:
        UnansweredFailure: That is not known.
        OSError: Its files cannot be read.
    """
    if lock_is_held(files.lock):
        return "it runs: its lock is held"
    try:
        if schedulers.check_ended(files, is_forced=is_forced):
            return ""
    except UnansweredFailure:
        raise
    except BusyFailure as failure:
        return f"it may run: {failure}"
    status = filesystem.lstat_or_none(files.pid)
    has_ended = filesystem.stat_or_none(files.done) or filesystem.stat_or_none(files.failed)
    if has_ended or status is None:
        return ""
    process = process_of(read_object(str(files.pid), SMALL_LIMIT, Problems()), None)
    if process is None or process.kind != "local":
        return ""  # as by force
    if host.has_died(process, status.st_mtime, str(files.lock)):
        return ""
    where = f" on {process.host}" if process.host else ""
    return f"it may run: {process.kind} process {process.pid}{where}, as {files.pid.name} says"
