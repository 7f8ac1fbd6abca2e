"""JobsLocation jobs are: a workspace of this machine or of a remote host, with the same operations."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from xpm_remote.cli.context import Context
from xpm_remote.cli.failures import failures_as_errors
from xpm_remote.cli.options import JobsLocation
from xpm_remote.errors import UsageError
from xpm_remote.escaping import quoted
from xpm_remote.settings.schema import Workspace
from xpm_remote.settings.selection import select_workspace

if TYPE_CHECKING:
    from xpm_remote.ui.job_list import ListedJob
    from xpm_remote.workspace.agent.outcomes import ActionOutcome, ActionPlan
    from xpm_remote.workspace.folders.folder import Folder
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
    from xpm_remote.workspace.watching.logs import Piece


class JobsPlace(Protocol):
    """The jobs of a workspace.

    Whatever fails raises XpmRemoteError; of a workspace of this machine, also WorkspaceFailure, which ``open_place``
    makes the same errors of. What is yielded is yielded when it is done; closing the generator ends the work.
    """

    @property
    def layout(self) -> Layout:
        """The paths of the workspace, where it is."""

    @property
    def folders(self) -> tuple[Folder, ...]:
        """Its folders, in their order."""

    @property
    def keepers(self) -> tuple[str, ...]:
        """The ids of other workspaces that have it as a folder."""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""

    def find(self, texts: Sequence[str], *, everywhere: bool = False) -> list[Found]:
        """Find the jobs that texts mean, in the workspace, or in its folders too."""

    def references(self) -> tuple[tuple[JobId, ...], tuple[Problem, ...]]:
        """Give all jobs that runs refer to, and what could not be read of them."""

    def current(self, experiment: str | None) -> tuple[list[ListedJob], list[Problem]]:
        """Give the jobs of the current runs, the last submitted first, and what could not be read."""

    def directory(self, job: JobId) -> tuple[str, bool]:
        """Give the directory of a job, and whether it is there."""

    def plan_recovery(self, jobs: Iterable[JobId], *, incomplete: bool) -> list[RecoveryPlan]:
        """Say what ``recover`` would do."""

    def recover(
        self, jobs: Iterable[JobId], *, incomplete: bool, progress: Progress
    ) -> Generator[RecoveryOutcome, None, None]:
        """Restore jobs."""

    def plan_archive(self, jobs: Iterable[JobId]) -> list[ArchivePlan]:
        """Say what ``archive`` would do."""

    def archive(
        self, jobs: Iterable[JobId], *, progress: Progress
    ) -> Generator[ArchiveOutcome, None, None]:
        """Copy or move jobs to the folders."""

    def find_orphans(self, *, with_folders: bool, with_sizes: bool) -> OrphanReport:
        """Report the jobs that no run refers to."""

    def plan_orphans(
        self, report: OrphanReport, *, with_folders: bool, force: bool
    ) -> Sequence[CleanStep]:
        """Say what ``clean_orphans`` would do."""

    def clean_orphans(
        self, steps: Sequence[CleanStep], *, with_folders: bool, force: bool
    ) -> Generator[CleanOutcome, None, None]:
        """Do what steps say."""

    def plan_action(self, action: str, jobs: Iterable[JobId]) -> list[ActionPlan]:
        """Say what killing or cleaning jobs would do."""

    def perform(self, plans: Iterable[ActionPlan]) -> Generator[ActionOutcome, None, None]:
        """Do what plans say."""

    def log_pieces(
        self, job: JobId, stream: str, lines: int | None
    ) -> Generator[Piece, None, None]:
        """Give the last lines of a log, or all of it; nothing when there is none."""

    def follow_logs(
        self, jobs: Sequence[JobId], stream: str, lines: int
    ) -> Generator[tuple[JobId, str], None, None]:
        """Give the last lines of logs, then what is added, until all jobs have ended."""


@contextmanager
def open_place(context: Context, location: JobsLocation) -> Iterator[JobsPlace]:
    """Find the workspace that is meant, and connect to it where it is remote.

    That is the one of an id, the one at a directory, whose folders are those of the settings, or the default one. A
    directory that is given besides an id takes the place of that workspace's own.

    Raises:
        WorkspaceError: There is none.
        SettingsError: The settings cannot be used.
        UsageError: The options do not fit together.
        XpmRemoteError: It cannot be reached.
    """
    settings = context.load_settings()
    name = location.workspace or context.workspace or None
    workdir = location.workdir or context.workdir or None
    named = select_workspace(settings, workspace_id=name).workspace if name else None
    opened: AbstractContextManager[JobsPlace]
    # Only what is needed is imported: a local command needs no SSH library.
    if named is not None and named.is_remote:
        from xpm_remote.cli.remote_place import remote_place

        opened = remote_place(settings, named, workdir, location.ssh)
    else:
        _refuse_way(location, named)
        from xpm_remote.cli.local_place import local_place

        opened = local_place(context, settings, name, workdir)
    with failures_as_errors(), opened as place:
        yield place


def _refuse_way(location: JobsLocation, workspace: Workspace | None) -> None:
    if location.has_ssh:
        what = "this machine" if workspace is None else f"{quoted(workspace.id)}, which is here"
        raise UsageError(
            f"options of SSH are given for a workspace of {what}",
            "leave them out, or name a remote one with --workspace",
        )
