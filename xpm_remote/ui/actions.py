"""Actions on the jobs of a workspace, by their names: their plans, and their outcomes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from xpm_remote.ui.tables.acts import ARCHIVE, CLEAN, KILL, Outcome

if TYPE_CHECKING:
    from xpm_remote.jobs.remote import RemoteJobs
    from xpm_remote.workspace.layout import JobId


async def plan(jobs: RemoteJobs, action: str, ids: Sequence[JobId]) -> Sequence[Any]:
    """Return the plan for each job."""
    if action in (KILL, CLEAN):
        return await jobs.plan_action(action, ids, force=False)
    if action == ARCHIVE:
        return await jobs.plan_archive(ids)
    return await jobs.plan_recovery(ids, incomplete=False)


def perform(jobs: RemoteJobs, action: str, plans: Sequence[Any]) -> AsyncIterator[Outcome]:
    """Do what is planned; yield the outcomes."""
    if action in (KILL, CLEAN):
        return jobs.perform(plans)
    ids = [each.job for each in plans]
    if action == ARCHIVE:
        return jobs.archive(ids, progress=lambda *_: None)
    return jobs.recover(ids, incomplete=False, progress=lambda *_: None)
