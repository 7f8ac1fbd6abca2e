"""A batch of jobs brought back into the workspace: copied, checked, made durable, named."""

from __future__ import annotations

import os
from typing import Callable, NamedTuple, Sequence

from xpm_remote.workspace.failures import BusyFailure, WorkspaceFailure, explain
from xpm_remote.workspace.folders.batches import Turns
from xpm_remote.workspace.folders.comparing import compare_jobs
from xpm_remote.workspace.folders.durability import Durability
from xpm_remote.workspace.folders.finding import (
    Copy,
    FoundCopies,
    Presence,
    UsableFolders,
    find_copies,
    presence,
    usable_folders,
)
from xpm_remote.workspace.folders.staging import JobSlot
from xpm_remote.workspace.folders.transfers import Heartbeat, Transfer
from xpm_remote.workspace.layout import Folder, JobId, Layout
from xpm_remote.workspace.locks import is_held
from xpm_remote.workspace.outcomes import CopyProgress, RecoveryOutcome, RecoveryStatus


class _Work:
    """One job on its way back.

    Attributes:
        transfer: Its copy.
        copy: Where it comes from.
        decision: Why it is on its way.
        status: What came of it so far; ``message``: what a person should know.
    """

    def __init__(self, transfer: Transfer, copy: Copy, decision: Decision) -> None:
        self.transfer = transfer
        self.copy = copy
        self.decision = decision
        self.status = RecoveryStatus.RECOVERED
        self.message = ""

    def fail(self, error: OSError | WorkspaceFailure) -> None:
        """Note that it did not work."""
        self.status, self.message = _classify(error, self.transfer.place)


class BatchRestorer:
    """Brings jobs back into a workspace.

    Args:
        workspace: Where they belong.
        folders: Where they may be.
        incomplete: Whether a copy without success marker will do.
        progress: Told of each step.
        abandon: Asked at each step whether to give up at once.
        turns: Shared by all that work at the same time.
    """

    def __init__(
        self,
        workspace: Layout,
        folders: Sequence[Folder],
        *,
        incomplete: bool,
        progress: CopyProgress,
        abandon: Callable[[], bool],
        turns: Turns,
    ) -> None:
        self._workspace = workspace
        self._folders = usable_folders(workspace, folders)
        self._incomplete = incomplete
        self._progress = progress
        self._heartbeat = Heartbeat(abandon)
        self._turns = turns
        self._works: list[_Work] = []
        self._done: dict[JobId, RecoveryOutcome] = {}

    def run(self, jobs: Sequence[JobId]) -> dict[JobId, RecoveryOutcome]:
        """Bring the jobs back; a failure costs one job, and is an outcome."""
        try:
            with Durability(self._workspace.root) as durable:
                self._run(jobs, durable)
        except OSError as error:
            message = explain(error, self._workspace.root)
            for job in jobs:
                self._done.setdefault(job, self._outcome(job, RecoveryStatus.FAILED, message))
        return self._done

    def _run(self, jobs: Sequence[JobId], durable: Durability) -> None:
        try:
            self._turns.copy(
                jobs,
                lambda job: self._begin(job, durable),
                lambda: self._flush(durable),
                waits=durable.each,
            )
        finally:
            for work in self._works:  # none, unless something unexpected ended the batch
                work.transfer.place.discard()

    def _begin(self, job: JobId, durable: Durability) -> int:
        """Copy a job beside its place; give the bytes."""
        decision = self._decide(job)
        if decision.status is RecoveryStatus.RECOVERED:
            place = JobSlot(self._workspace, job, shared=durable.each)
            try:
                place.take()
            except (WorkspaceFailure, OSError) as error:
                decision = Decision(*_classify(error, place), (), decision.unavailable)
            else:
                return self._begin_locked(place, durable)
        self._done[job] = self._outcome(job, decision.status, decision.reason, decision)
        return 0

    def _begin_locked(self, place: JobSlot, durable: Durability) -> int:
        """Look again, for what counts is what is there when the job is locked; then copy."""
        try:
            self._heartbeat.add(place.lock)
            decision = self._decide(place.job, locked=True)
            work = None
            if decision.status is RecoveryStatus.RECOVERED:
                work = self._stage(place, decision, sync=durable.is_each(place.parent))
        except BaseException:
            place.discard()
            raise
        if work is None:
            place.discard()
            outcome = self._outcome(place.job, decision.status, decision.reason, decision)
            self._done[place.job] = outcome
            return 0
        self._works.append(work)
        return work.transfer.report.size

    def _decide(self, job: JobId, *, locked: bool = False) -> Decision:
        return decide(
            self._workspace, self._folders, job, incomplete=self._incomplete, locked=locked
        )

    def _stage(self, place: JobSlot, decision: Decision, *, sync: bool) -> _Work:
        """Copy from the first folder that can be read."""
        works = []
        for copy in decision.copies:
            transfer = Transfer(copy.path, place, self._progress, self._heartbeat)
            work = _Work(transfer, copy, decision)
            try:
                place.clear()
                transfer.stage(sync=sync)
            except (WorkspaceFailure, OSError) as error:
                work.fail(error)
            works.append(work)
            if work.status in (RecoveryStatus.RECOVERED, RecoveryStatus.BUSY):
                break
        return works[-1]

    def _flush(self, durable: Durability) -> None:
        """Make durable, name, make durable; then say what came of each, and let go of it."""
        works, self._works = self._works, []
        try:
            _settle(works, durable)
            for work in works:
                if work.status is RecoveryStatus.RECOVERED:
                    self._publish(work)
            _settle(works, durable, named=True)
        finally:
            self._heartbeat.clear()
            for work in works:
                work.transfer.place.discard()
                job = work.transfer.place.job
                self._done[job] = self._outcome(job, work.status, work.message, work.decision, work)

    def _publish(self, work: _Work) -> None:
        """Give the job its place; a useless link, or the part of it that was there, gives way."""
        place = work.transfer.place
        there = presence(place.final, place.job)
        try:
            work.transfer.make_sure_of_source()
            if there is Presence.MISSING:
                place.publish()
            elif there in (Presence.NOWHERE, Presence.EMPTY, Presence.PART):
                place.replace()
            else:
                work.status, work.message = RecoveryStatus.BUSY, "somebody else has restored it"
        except (WorkspaceFailure, OSError) as error:
            work.fail(error)

    def _outcome(
        self,
        job: JobId,
        status: RecoveryStatus,
        message: str,
        decision: Decision | None = None,
        work: _Work | None = None,
    ) -> RecoveryOutcome:
        path = self._workspace.job(job)
        unavailable = decision.unavailable if decision else ()
        if work is None:
            return RecoveryOutcome(job, status, path, message=message, unavailable=unavailable)
        report, source = work.transfer.report, work.copy.folder
        if report.special_count and not message:
            message = f"not copied, for they are no files: {', '.join(report.special)}"
        return RecoveryOutcome(
            job, status, path, source, message, report.size, report.files, unavailable
        )


def _settle(works: Sequence[_Work], durable: Durability, *, named: bool = False) -> None:
    if not works:
        return
    names = [each for work in works for each in work.transfer.place.directories()]
    try:
        durable.settle(names if named else ())
    except OSError as error:
        for work in works:
            if work.status is RecoveryStatus.RECOVERED:
                work.fail(error)


def _classify(error: OSError | WorkspaceFailure, place: JobSlot) -> tuple[RecoveryStatus, str]:
    if isinstance(error, BusyFailure):
        return RecoveryStatus.BUSY, str(error)
    if isinstance(error, WorkspaceFailure):
        return RecoveryStatus.FAILED, str(error)
    return RecoveryStatus.FAILED, explain(error, place.final)


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
    place = JobSlot(workspace, job, shared=False)
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


def _busy(workspace: Layout, place: JobSlot, *, locked: bool) -> str:
    """Say who is at the job; empty when nobody is."""
    if not locked and is_held(place.lock.path):
        return f"somebody else holds {place.lock.path}"
    return "it runs" if is_held(place.final / f"{place.job.script_name}.lock") else ""


def _decide_on_copies(here: Presence, copies: tuple[Copy, ...], found: FoundCopies) -> Decision:
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
    workspace: Layout, job: JobId, copies: tuple[Copy, ...], found: FoundCopies
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
