"""The jobs of a workspace on another host, by our agent there."""

from __future__ import annotations

import functools
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.exceptions import Exit

from xpm_remote.cli.local_jobs import no_experiment
from xpm_remote.cli.options import ssh_overrides
from xpm_remote.cli.remote_loop import StepLoop
from xpm_remote.escaping import safe
from xpm_remote.link.library.locked_keys import OpenedKeys
from xpm_remote.link.prompts import Prompter
from xpm_remote.rpc.client import Listener
from xpm_remote.session.agent_client import AgentClient, open_agent, open_local_agent
from xpm_remote.session.remote_jobs import RemoteJobs
from xpm_remote.session.target import resolve_target
from xpm_remote.settings.schema import Settings, Workspace
from xpm_remote.settings.workspaces import normal
from xpm_remote.ui.job_list import ListedJob
from xpm_remote.ui.keyboard import call_person
from xpm_remote.workspace.agent.outcomes import ActionOutcome, ActionPlan
from xpm_remote.workspace.folders.folder import Folder, Mode
from xpm_remote.workspace.folders.outcomes import (
    ArchiveOutcome,
    ArchivePlan,
    Progress,
    RecoveryOutcome,
    RecoveryPlan,
)
from xpm_remote.workspace.layout import JobId, Layout
from xpm_remote.workspace.orphans.listing import OrphanReport
from xpm_remote.workspace.orphans.outcomes import CleanOutcome, CleanStep
from xpm_remote.workspace.reading.json_files import Problem
from xpm_remote.workspace.reading.lookup import Found
from xpm_remote.workspace.watching.logs import Piece, Position


@contextmanager
def remote_place(
    settings: Settings, workspace: Workspace, workdir: str | None, way: dict[str, Any]
) -> Iterator[RemotePlace]:
    """Connect to a workspace; in the end, the job in hand is finished there.

    Args:
        settings: What the file says.
        workspace: The workspace, a remote one.
        workdir: Another directory there; None: the workspace's own.
        way: The values of ``ssh_options``.

    Raises:
        XpmRemoteError: It cannot be reached.
    """
    target = resolve_target(settings, workspace.id, ssh_overrides(way, workdir))
    folders = as_folders(workspace)

    def tell(line: str) -> None:
        click.echo(safe(f"{target.name}: {line}"), err=True)

    # A key that a person opens stays open for the way back from a lost link.
    opener = functools.partial(open_agent, target, opened=OpenedKeys())
    call = functools.partial(call_person, target.name)
    jobs = RemoteJobs(opener, folders, tell, call)
    with _running(jobs, target.name) as (loop, layout):
        keepers = _keepers(settings, workspace, target.workspace)
        yield RemotePlace(loop, jobs, layout, folders, keepers)


@contextmanager
def _running(jobs: RemoteJobs, name: str) -> Iterator[tuple[StepLoop, Layout]]:
    loop = StepLoop()
    try:
        yield loop, loop.run(jobs.open())
    finally:
        try:
            if jobs.is_acting:
                what = f"{name}: the job in hand is finished there; Ctrl-C again to leave at once"
                click.echo(safe(what), err=True)
            loop.run(jobs.aclose(finish=True))
        except Exit:
            loop.run(jobs.aclose())
            raise
        finally:
            loop.close()


def as_folders(workspace: Workspace) -> tuple[Folder, ...]:
    """Give the folders of a remote workspace as the agent takes them: ``~`` is the home there."""
    return tuple(Folder(Path(each.path), Mode(each.mode.value)) for each in workspace.folders)


def _keepers(settings: Settings, workspace: Workspace, directory: str) -> tuple[str, ...]:
    """Name the other workspaces of the same host that have a directory as a folder, as far as the settings tell."""
    host = workspace.ssh.host if workspace.ssh else ""
    return tuple(
        each.id
        for each in settings.workspaces
        if each.ssh is not None
        and each.ssh.host == host
        and each.id != workspace.id
        and any(normal(folder.path) == normal(Path(directory)) for folder in each.folders)
    )


class RemotePlace:
    """As ``JobsPlace``.

    Args:
        loop: Does what is asynchronous.
        jobs: The jobs there.
        layout: The paths there.
        folders: The folders, as the settings spell them.
        keepers: The ids of other workspaces that have it as a folder.
    """

    is_local = False

    def __init__(
        self,
        loop: StepLoop,
        jobs: RemoteJobs,
        layout: Layout,
        folders: tuple[Folder, ...],
        keepers: tuple[str, ...],
    ) -> None:
        self._loop = loop
        self._jobs = jobs
        self.layout = layout
        self.folders = folders
        self.keepers = keepers

    def find(self, texts: Sequence[str], *, everywhere: bool = False) -> list[Found]:
        """Find the jobs that texts mean."""
        return self._loop.run(self._jobs.find(texts, everywhere=everywhere))

    def references(self) -> tuple[tuple[JobId, ...], tuple[Problem, ...]]:
        """Give all jobs that runs refer to, and what could not be read of them."""
        return self._loop.run(self._jobs.references())

    def current(self, experiment: str | None) -> tuple[list[ListedJob], list[Problem]]:
        """Give the jobs of the current runs."""
        jobs, experiments, problems = self._loop.run(self._jobs.current(experiment))
        if jobs is None:
            raise no_experiment(experiment or "", experiments, self.layout)
        return [ListedJob(**job._asdict()) for job in jobs], problems

    def directory(self, job: JobId) -> tuple[str, bool]:
        """Give the directory of a job, and whether it is there."""
        return self._loop.run(self._jobs.directory(job))

    def plan_recovery(self, jobs: Iterable[JobId], *, incomplete: bool) -> list[RecoveryPlan]:
        """Say what ``recover`` would do."""
        return self._loop.run(self._jobs.plan_recovery(jobs, incomplete=incomplete))

    def recover(
        self, jobs: Iterable[JobId], *, incomplete: bool, progress: Progress
    ) -> Generator[RecoveryOutcome, None, None]:
        """Restore jobs."""
        work = self._jobs.recover(jobs, incomplete=incomplete, progress=progress)
        yield from self._loop.each(work)

    def plan_archive(self, jobs: Iterable[JobId]) -> list[ArchivePlan]:
        """Say what ``archive`` would do."""
        return self._loop.run(self._jobs.plan_archive(jobs))

    def archive(
        self, jobs: Iterable[JobId], *, progress: Progress
    ) -> Generator[ArchiveOutcome, None, None]:
        """Copy or move jobs to the folders."""
        yield from self._loop.each(self._jobs.archive(jobs, progress=progress))

    def find_orphans(self, *, with_folders: bool, with_sizes: bool) -> OrphanReport:
        """Report the jobs that no run refers to."""
        work = self._jobs.find_orphans(with_folders=with_folders, with_sizes=with_sizes)
        return self._loop.run(work)

    def plan_orphans(
        self, report: OrphanReport, *, with_folders: bool, force: bool
    ) -> Sequence[CleanStep]:
        """Say what ``clean_orphans`` would do, with the sizes of the report."""
        steps = self._loop.run(self._jobs.plan_orphans(with_folders=with_folders, force=force))
        known = {orphan.job: orphan for orphan in report.orphans}
        return [step._replace(orphan=known.get(step.orphan.job, step.orphan)) for step in steps]

    def clean_orphans(
        self, steps: Sequence[CleanStep], *, with_folders: bool, force: bool
    ) -> Generator[CleanOutcome, None, None]:
        """Do what steps say."""
        work = self._jobs.clean_orphans(steps, with_folders=with_folders, force=force)
        yield from self._loop.each(work)

    def plan_action(self, action: str, jobs: Iterable[JobId]) -> list[ActionPlan]:
        """Say what killing or cleaning jobs would do."""
        return self._loop.run(self._jobs.plan_action(action, jobs))

    def perform(self, plans: Iterable[ActionPlan]) -> Generator[ActionOutcome, None, None]:
        """Do what plans say."""
        yield from self._loop.each(self._jobs.perform(plans))

    def log_pieces(
        self, job: JobId, stream: str, lines: int | None
    ) -> Generator[Piece, None, None]:
        """Give the last lines of a log, or all of it."""
        wire = self._loop.run(self._jobs.read_log(job, stream, lines=lines))
        while wire["position"] is not None:
            yield Piece(wire["text"], Position.from_wire(wire["position"]))
            if not wire["more"]:
                return
            wire = self._loop.run(self._jobs.read_log(job, stream, position=wire["position"]))

    def follow_logs(
        self, jobs: Sequence[JobId], stream: str, lines: int
    ) -> Generator[tuple[JobId, str], None, None]:
        """Give the last lines of logs, then what is added."""
        yield from _follow(self._loop, self._jobs, jobs, stream, lines)


def _follow(
    loop: StepLoop, remote: RemoteJobs, jobs: Sequence[JobId], stream: str, lines: int
) -> Generator[tuple[JobId, str], None, None]:
    positions = {}
    for job in jobs:
        wire = loop.run(remote.read_log(job, stream, lines=lines))
        positions[job] = wire["position"]
        yield job, wire["text"]
    for job, told in loop.each(remote.follow_logs(stream, positions)):
        if "error" in told:
            click.echo(safe(f"{job}: {told['error']}"), err=True)
        yield job, str(told.get("text", ""))


def follow_local(
    root: Path, jobs: Sequence[JobId], stream: str, lines: int
) -> Generator[tuple[JobId, str], None, None]:
    """Follow logs of a workspace of this machine, by an agent that runs beside us.

    Args:
        root: The workspace.
        jobs: The jobs.
        stream: Which of their logs.
        lines: Lines to begin with.
    """

    async def opener(*, prompter: Prompter | None, listener: Listener) -> AgentClient:
        del prompter  # nobody logs in
        return await open_local_agent(str(root), listener=listener)

    remote = RemoteJobs(opener, (), lambda line: click.echo(safe(line), err=True))
    with _running(remote, "the agent") as (loop, _):
        yield from _follow(loop, remote, jobs, stream, lines)
