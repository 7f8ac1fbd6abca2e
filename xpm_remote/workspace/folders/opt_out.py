"""Jobs that are not to be archived: said once, remembered in the job's own directory.

The word is an empty file, ``.experimaestro/no-backup``. It is among the files that a relaunch keeps and that a copy of
the job takes along; experimaestro does not know it and does not mind it.
"""

from __future__ import annotations

import os
from pathlib import Path

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import NoJobFailure
from xpm_remote.workspace.folders.durability import sync_directory
from xpm_remote.workspace.layout import JobFiles, JobId, Layout

FILE_NAME = "no-backup"
"""The file in ``.experimaestro/`` of a job that is not to be archived."""


def has_opted_out(layout: Layout, job: JobId) -> bool:
    """Tell whether a job is not to be archived."""
    return os.path.lexists(_file(layout, job))


def opt_out(layout: Layout, job: JobId) -> None:
    """Remember durably that a job is not to be archived; what is archived already stays.

    Raises:
        NoJobFailure: The workspace has no directory of that job to remember it in.
        OSError: The file cannot be made, or not be made durable.
    """
    files: JobFiles = layout.job_files(job)
    if not files.directory.is_dir():
        raise NoJobFailure(f"the workspace has no job {job}", "say so when it has run")
    if not files.own.is_dir():
        filesystem.mkdir(files.own)
        sync_directory(files.directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    filesystem.close(filesystem.open_file(_file(layout, job), flags, 0o666))
    sync_directory(files.own)  # the file is empty: that there is its name is all


def _file(layout: Layout, job: JobId) -> Path:
    return layout.job(job) / ".experimaestro" / FILE_NAME
