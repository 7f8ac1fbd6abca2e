"""Which entries of a job's directory belong to the job: all but what its present owner keeps there for itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.folders.copying import join


def own_top_names(name: str) -> frozenset[str]:
    """Give what is not copied: the job's own lock and pid, and the scheduler's directory, at the top of a job."""
    return frozenset({f"{name}.lock", f"{name}.pid", ".scheduler"})


def job_entries(directory: Path, name: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Give what a job has, at any depth, but directories: each with its path in the job; links are not followed.

    Args:
        directory: The job's directory.
        name: The job's script name.

    Raises:
        OSError: Something cannot be read.
    """
    root, skipped = os.fspath(directory), own_top_names(name)
    pending = [""]
    while pending:
        inner = pending.pop()
        with filesystem.scan(join(root, inner)) as entries:
            for entry in entries:
                path = join(inner, entry.name)
                if not inner and entry.name in skipped:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                else:
                    yield path, entry
