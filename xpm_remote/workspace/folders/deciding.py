"""Whether a job is to be restored, and from where: decided by looking, without changing anything."""

from __future__ import annotations

import os
from typing import NamedTuple

from xpm_remote.workspace.failures import explain
from xpm_remote.workspace.folders.comparing import compare_jobs
from xpm_remote.workspace.folders.finding import (
    Copy,
    Found,
    Presence,
    UsableFolders,
    find_copies,
    presence,
)
from xpm_remote.workspace.folders.staging import Place
from xpm_remote.workspace.layout import JobId, Layout
from xpm_remote.workspace.locks import is_held
from xpm_remote.workspace.outcomes import RecoveryStatus


class Decision(NamedTuple):
    """What is to be done about a job.

    Attributes:
        status: ``RECOVERED`` when there is something to do; otherwise why there is nothing.
        reason: What a person should know, in a line.
        copies: Where it may come from, best first; none when what an interrupted move set aside is put back.
        unavailable: Why folders could not be looked into.
    """

    status: RecoveryStatus
    reason: str = ""
    copies: tuple[Copy, ...] = ()
    unavailable: tuple[str, ...] = ()


def decide(
    workspace: Layout,
    folders: UsableFolders,
    job: JobId,
    *,
    incomplete: bool,
    locked: bool = False,
) -> Decision:
    """Tell what is to be done to have a job in the workspace; nothing is changed.

    Args:
        workspace: The workspace.
        folders: Its folders.
        job: The job.
        incomplete: Whether a copy without success marker will do.
        locked: Whether the staging lock is ours.
    """
    here = presence(workspace.job(job), job)
    if here is Presence.WHOLE:
        return Decision(RecoveryStatus.THERE)
    if here is Presence.OTHER:
        what = "something that is not a directory, or cannot be read, is in its place"
        return Decision(RecoveryStatus.OBSTRUCTED, what)
    place = Place(workspace, job, shared=False)
    busy = _busy(workspace, place, locked=locked)
    if busy:
        return Decision(RecoveryStatus.BUSY, busy)
    if here is not Presence.PART and os.path.lexists(place.aside / place.done_name):
        return Decision(RecoveryStatus.RECOVERED, "an interrupted move has set it aside")
    found = find_copies(folders, job)
    copies = tuple(copy for copy in found.copies if copy.is_whole or incomplete)
    if here is Presence.PART:
        return _decide_on_part(workspace, job, copies, found)
    return _decide_on_copies(here, copies, found)


def _busy(workspace: Layout, place: Place, *, locked: bool) -> str:
    """Say who is at the job; empty when nobody is."""
    if not locked and is_held(place.lock.path):
        return f"somebody else holds {place.lock.path}"
    return "it runs" if is_held(place.final / f"{place.job.script_name}.lock") else ""


def _decide_on_copies(here: Presence, copies: tuple[Copy, ...], found: Found) -> Decision:
    if copies:
        best = tuple(sorted(copies, key=lambda copy: not copy.is_whole))  # keeps their order
        return Decision(RecoveryStatus.RECOVERED, "", best, found.unavailable)
    if found.copies:
        path = found.copies[0].path
        reason = f"{path} has no success marker"
        return Decision(RecoveryStatus.INCOMPLETE, reason, (), found.unavailable)
    leftover = {
        Presence.NOWHERE: "its link leads nowhere, and no folder has it",
        Presence.EMPTY: "its directory is empty, and no folder has it",
    }
    reason = leftover.get(here, "no folder has it")
    return Decision(RecoveryStatus.NOT_FOUND, reason, (), found.unavailable)


def _decide_on_part(
    workspace: Layout, job: JobId, copies: tuple[Copy, ...], found: Found
) -> Decision:
    """Let a whole copy take the place of a part of it; leave alone what has anything else."""
    whole = tuple(copy for copy in copies if copy.is_whole)
    path = workspace.job(job)
    if not whole or path.is_symlink():
        reason = "it has no success marker"
        return Decision(RecoveryStatus.THERE, reason, (), found.unavailable)
    try:
        compared = compare_jobs(whole[0].path, path, job.script_name)
    except OSError as error:
        return Decision(RecoveryStatus.FAILED, explain(error, path), (), found.unavailable)
    if compared.is_part:
        return Decision(RecoveryStatus.RECOVERED, "", whole[:1], found.unavailable)
    reason = f"{path} has no success marker, but files that {whole[0].path} has otherwise or not"
    names = ", ".join(compared.different)
    return Decision(RecoveryStatus.OBSTRUCTED, f"{reason}: {names}", (), found.unavailable)
