"""A job taken away from a workspace for good: whole, and then not there, whatever ends the process.

Its directory is renamed to the name under which it would be staged, with the lock of that, and then emptied. So nobody
ever sees half a job; and what a process leaves that is ended meanwhile is swept, by us or by experimaestro, when a job
is next archived to or recovered into that place.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Iterator

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import BusyFailure, DamagedFailure, explain
from xpm_remote.workspace.folders.removal import remove
from xpm_remote.workspace.folders.staging import Place
from xpm_remote.workspace.layout import JobId, Layout
from xpm_remote.workspace.locks import holding


def discard_job(layout: Layout, job: JobId) -> None:
    """Remove the directory of a job; no link is followed, and no process of the job can start meanwhile.

    Whether the job is needed, or runs on another host, is for the caller to know.

    Raises:
        BusyFailure: It runs here, or somebody else writes it, or it is no directory.
        DamagedFailure: Not all of it could be removed; what is left lies beside its place, under no job's name.
        OSError: It cannot be taken away; it is as it was.
    """
    parent = layout.job(job).parent
    # Through the descriptor, for somebody could put a link in the place of the directory.
    with _opened(parent) as task:
        place = Place(layout, job, shared=not mounts.belongs_to_one_host(parent))
        place.take()
        try:
            with holding(layout.job_files(job).lock):
                if not stat.S_ISDIR(filesystem.lstat(job.hash, dir_fd=task).st_mode):
                    raise BusyFailure(f"{place.final} is no directory but a link or a file")
                filesystem.rename(job.hash, place.staged.name, src_dir_fd=task, dst_dir_fd=task)
            try:
                remove(place.staged, place.done_name)
            except OSError as error:
                left = explain(error, place.staged)
                raise DamagedFailure(f"{left}; what is left is in {place.staged}") from None
        finally:
            place.lock.release()


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    """Open a directory that is no link, so that what is done in it is done there and nowhere else."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = filesystem.open_file(directory, flags)
    try:
        yield descriptor
    finally:
        filesystem.close(descriptor)
