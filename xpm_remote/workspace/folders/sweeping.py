"""What dead processes have left among the jobs, cleared up; what living ones are doing, left alone."""

from __future__ import annotations

import contextlib
from typing import Iterable

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import WorkspaceFailure
from xpm_remote.workspace.folders.staging import ASIDE_SUFFIX, LOCK_SUFFIX, Place
from xpm_remote.workspace.layout import STAGING_PREFIX, JobId, Layout, is_name


class Sweeper:
    """Clears up the jobs of a task in a workspace or folder, once each.

    Args:
        layout: The workspace or folder.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._swept: set[str] = set()

    def sweep(self, tasks: Iterable[str]) -> None:
        """Clear up beside the jobs of these tasks; what cannot be cleared up waits for the next time."""
        for task in tasks:
            if task not in self._swept:
                self._swept.add(task)
                with contextlib.suppress(OSError):
                    self._sweep(task)

    def _sweep(self, task: str) -> None:
        leftovers = self._leftovers(task)
        if not leftovers:
            return
        shared = not mounts.belongs_to_one_host(self._layout.root)
        for job_hash in leftovers:
            place = Place(self._layout, JobId(task, job_hash), shared=shared)
            with contextlib.suppress(OSError, WorkspaceFailure):
                place.take()
                place.discard()

    def _leftovers(self, task: str) -> list[str]:
        with filesystem.scan(self._layout.jobs / task) as entries:
            names = {_hash_of(entry.name) for entry in entries}
        return sorted(name for name in names if is_name(name))


def _hash_of(name: str) -> str:
    """Give the hash of the job that a leftover belongs to; empty for any other name."""
    if not name.startswith(STAGING_PREFIX):
        return ""
    rest = name[len(STAGING_PREFIX) :]
    for suffix in (LOCK_SUFFIX, ASIDE_SUFFIX):
        if rest.endswith(suffix):
            return rest[: -len(suffix)]
    return rest
