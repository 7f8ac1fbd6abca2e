"""The jobs of a workspace of this machine, by the engine itself."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager

from xpm_remote.cli.context import Context
from xpm_remote.cli.local_jobs import current_jobs
from xpm_remote.cli.local_workspace import LocalWorkspace, find_local
from xpm_remote.settings.schema import Settings
from xpm_remote.ui.job_list import ListedJob
from xpm_remote.workspace.agent.actions import Actions
from xpm_remote.workspace.agent.outcomes import ActionOutcome, ActionPlan
from xpm_remote.workspace.folders.archiving import archive, plan_archive
from xpm_remote.workspace.folders.folder import Folder
from xpm_remote.workspace.folders.outcomes import (
    ArchiveOutcome,
    ArchivePlan,
    Progress,
    RecoveryOutcome,
    RecoveryPlan,
)
from xpm_remote.workspace.folders.recovery import plan_recovery, recover
from xpm_remote.workspace.layout import JobId, Layout
from xpm_remote.workspace.orphans.cleaning import Cleaner
from xpm_remote.workspace.orphans.listing import OrphanReport, find_orphans
from xpm_remote.workspace.orphans.outcomes import CleanOutcome, CleanStep
from xpm_remote.workspace.orphans.references import read_references
from xpm_remote.workspace.reading.json_files import Problem
from xpm_remote.workspace.reading.liveness import Host
from xpm_remote.workspace.reading.lookup import Found, Lookup
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.watching.logs import Log, Piece


@contextmanager
def local_place(
    context: Context, settings: Settings, workspace: str | None, workdir: str | None
) -> Iterator[LocalPlace]:
    """Find a workspace of this machine.

    Raises:
        WorkspaceError: There is none.
        UsageError: The directory names a user that does not exist.
    """
    yield LocalPlace(find_local(context, settings, workspace, workdir))


class LocalPlace:
    """As ``JobsPlace``.

    Args:
        workspace: The workspace.
    """

    is_local = True

    def __init__(self, workspace: LocalWorkspace) -> None:
        self._workspace = workspace

    @property
    def layout(self) -> Layout:
        """The paths of the workspace."""
        return self._workspace.layout

    @property
    def folders(self) -> tuple[Folder, ...]:
        """Its folders."""
        return self._workspace.folders

    @property
    def keepers(self) -> tuple[str, ...]:
        """The ids of other workspaces that have it as a folder."""
        return self._workspace.keepers

    def find(self, texts: Sequence[str], *, everywhere: bool = False) -> list[Found]:
        """Find the jobs that texts mean."""
        lookup = Lookup(self._workspace.places if everywhere else [self.layout])
        return [lookup.find(text) for text in texts]

    def references(self) -> tuple[tuple[JobId, ...], tuple[Problem, ...]]:
        """Give all jobs that runs refer to, and what could not be read of them."""
        references = read_references(self.layout)
        return tuple(references), tuple(references.problems)

    def current(self, experiment: str | None) -> tuple[list[ListedJob], list[Problem]]:
        """Give the jobs of the current runs."""
        reader = WorkspaceReader(self.layout.root)
        return current_jobs(reader, experiment), list(reader.problems)

    def directory(self, job: JobId) -> tuple[str, bool]:
        """Give the directory of a job, and whether it is there."""
        directory = self.layout.job(job)
        return str(directory), directory.is_dir()

    def plan_recovery(self, jobs: Iterable[JobId], *, incomplete: bool) -> list[RecoveryPlan]:
        """Say what ``recover`` would do."""
        return list(plan_recovery(self.layout, self.folders, jobs, incomplete=incomplete))

    def recover(
        self, jobs: Iterable[JobId], *, incomplete: bool, progress: Progress
    ) -> Generator[RecoveryOutcome, None, None]:
        """Restore jobs."""
        yield from recover(
            self.layout, self.folders, jobs, incomplete=incomplete, progress=progress
        )

    def plan_archive(self, jobs: Iterable[JobId]) -> list[ArchivePlan]:
        """Say what ``archive`` would do."""
        return list(plan_archive(self.layout, self.folders, jobs))

    def archive(
        self, jobs: Iterable[JobId], *, progress: Progress
    ) -> Generator[ArchiveOutcome, None, None]:
        """Copy or move jobs to the folders."""
        yield from archive(self.layout, self.folders, jobs, progress=progress)

    def find_orphans(self, *, with_folders: bool, with_sizes: bool) -> OrphanReport:
        """Report the jobs that no run refers to."""
        return find_orphans(
            self.layout, self.folders, with_folders=with_folders, with_sizes=with_sizes
        )

    def plan_orphans(
        self, report: OrphanReport, *, with_folders: bool, force: bool
    ) -> Sequence[CleanStep]:
        """Say what ``clean_orphans`` would do."""
        return self._cleaner(with_folders=with_folders, force=force).plan(report)

    def clean_orphans(
        self, steps: Sequence[CleanStep], *, with_folders: bool, force: bool
    ) -> Generator[CleanOutcome, None, None]:
        """Do what steps say."""
        yield from self._cleaner(with_folders=with_folders, force=force).apply(steps)

    def plan_action(self, action: str, jobs: Iterable[JobId]) -> list[ActionPlan]:
        """Say what killing or cleaning jobs would do."""
        actions = self._actions()
        return [actions.plan(action, job) for job in jobs]

    def perform(self, plans: Iterable[ActionPlan]) -> Generator[ActionOutcome, None, None]:
        """Do what plans say."""
        actions = self._actions()
        yield from map(actions.perform, plans)

    def log_pieces(
        self, job: JobId, stream: str, lines: int | None
    ) -> Generator[Piece, None, None]:
        """Give the last lines of a log, or all of it."""
        log = self._log(job, stream)
        piece = log.after(None) if lines is None else log.last(lines)
        while piece.position is not None:
            yield piece
            if not piece.more:
                return
            piece = log.after(piece.position)

    def follow_logs(
        self, jobs: Sequence[JobId], stream: str, lines: int
    ) -> Generator[tuple[JobId, str], None, None]:
        """Give the last lines of logs, then what is added."""
        if len(jobs) > 1:
            # By an agent, as on a remote host.
            from xpm_remote.cli.remote_place import follow_local

            yield from follow_local(self.layout.root, jobs, stream, lines)
            return
        from xpm_remote.cli.show_log import follow

        (job,) = jobs
        reader = WorkspaceReader(self.layout.root)
        for text in follow(self._log(job, stream), reader, job, lines):
            yield job, text

    def _log(self, job: JobId, stream: str) -> Log:
        return Log(self.layout.job_files(job), stream)

    def _cleaner(self, *, with_folders: bool, force: bool) -> Cleaner:
        return Cleaner(self.layout, self.folders, with_folders=with_folders, is_forced=force)

    def _actions(self) -> Actions:
        host = Host()
        return Actions(WorkspaceReader(self.layout.root, host), host)
