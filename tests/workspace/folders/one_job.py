"""Archive the one job of a workspace."""

from __future__ import annotations

from tests.workspace.jobs_on_disk import JOB
from xpm_remote.workspace.folders.archiving import archive
from xpm_remote.workspace.layout import Folder, Layout
from xpm_remote.workspace.outcomes import ArchiveStatus, FolderOutcome


def run(workspace: Layout, *folders: Folder) -> list[FolderOutcome]:
    """Archive the one job; return the outcome in each folder."""
    (outcome,) = archive(workspace, folders, [JOB])
    return list(outcome.folders)


def statuses(workspace: Layout, *folders: Folder) -> list[ArchiveStatus]:
    """Archive the one job; return the status in each folder."""
    return [each.status for each in run(workspace, *folders)]
