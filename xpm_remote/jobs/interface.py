"""Operations on the jobs of a workspace, the same for one of this machine and one of another host. Pure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from xpm_remote.errors import NoJobFoundError
from xpm_remote.escaping import nearest, quoted

if TYPE_CHECKING:
    from xpm_remote.workspace.failures import UnreadFile
    from xpm_remote.workspace.layout import Folder, JobId, Layout
    from xpm_remote.workspace.outcomes import (
        ActionOutcome,
        ActionPlan,
        ArchiveOutcome,
        ArchivePlan,
        CleanOutcome,
        CleanStep,
        CopyProgress,
        OrphanReport,
        RecoveryOutcome,
        RecoveryPlan,
    )
    from xpm_remote.workspace.reading.jobs import CurrentJob
    from xpm_remote.workspace.reading.lookup import LookupResult
    from xpm_remote.workspace.watching.logs import Piece


class Jobs(Protocol):
    """The jobs of a workspace.

    Whatever fails raises XpmRemoteError, and on this machine also WorkspaceFailure. What is yielded is yielded when it
    is done; closing the generator ends the work.
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

    def find(self, texts: Sequence[str], *, everywhere: bool = False) -> list[LookupResult]:
        """Find the jobs that texts mean, in the workspace, or in its folders too."""

    def references(self) -> tuple[tuple[JobId, ...], tuple[UnreadFile, ...]]:
        """Return all jobs that runs refer to, and what could not be read of them."""

    def current(self, experiment: str | None) -> tuple[list[CurrentJob], list[UnreadFile]]:
        """Return the jobs of the current runs, the last submitted first, and what could not be read.

        Raises:
            NoJobFoundError: There is no such experiment.
        """

    def directory(self, job: JobId) -> tuple[str, bool]:
        """Return the directory of a job, and whether it is there."""

    def plan_recovery(self, jobs: Iterable[JobId], *, incomplete: bool) -> list[RecoveryPlan]:
        """Plan what ``recover`` would do."""

    def recover(
        self, jobs: Iterable[JobId], *, incomplete: bool, progress: CopyProgress
    ) -> Generator[RecoveryOutcome, None, None]:
        """Restore jobs."""

    def plan_archive(self, jobs: Iterable[JobId]) -> list[ArchivePlan]:
        """Plan what ``archive`` would do."""

    def archive(
        self, jobs: Iterable[JobId], *, progress: CopyProgress
    ) -> Generator[ArchiveOutcome, None, None]:
        """Copy or move jobs to the folders."""

    def find_orphans(self, *, with_folders: bool, with_sizes: bool) -> OrphanReport:
        """Report the jobs that no run refers to."""

    def plan_orphans(
        self, report: OrphanReport, *, with_folders: bool, force: bool
    ) -> Sequence[CleanStep]:
        """Plan what ``clean_orphans`` would do."""

    def clean_orphans(
        self, steps: Sequence[CleanStep], *, with_folders: bool, force: bool
    ) -> Generator[CleanOutcome, None, None]:
        """Carry out steps."""

    def plan_action(self, action: str, jobs: Iterable[JobId], *, force: bool) -> list[ActionPlan]:
        """Plan what killing or cleaning jobs would do.

        Args:
            action: ``kill`` or ``clean``.
            jobs: The jobs.
            force: Whether to clean, too, where it cannot be known whether a scheduler still has the job.
        """

    def perform(self, plans: Iterable[ActionPlan]) -> Generator[ActionOutcome, None, None]:
        """Carry out plans."""

    def log_pieces(
        self, job: JobId, stream: str, lines: int | None
    ) -> Generator[Piece, None, None]:
        """Yield the last lines of a log, or all of it; nothing when there is none."""

    def follow_logs(
        self, jobs: Sequence[JobId], stream: str, lines: int, *, warn: Callable[[str], None]
    ) -> Generator[tuple[JobId, str], None, None]:
        """Yield the last lines of logs, then what is added, until all jobs have ended.

        Args:
            jobs: The jobs.
            stream: Which of their logs.
            lines: Lines to begin with.
            warn: Is called when one of several logs cannot be read any more.
        """


def no_experiment(experiment: str, known: Iterable[str], layout: Layout) -> NoJobFoundError:
    """Return the error for an experiment that a workspace does not have.

    Args:
        experiment: Its name.
        known: The experiments that there are.
        layout: The paths of the workspace.
    """
    hint = nearest(experiment, list(known)) or f"see {layout.experiments}"
    return NoJobFoundError(f"there is no experiment {quoted(experiment)}", hint)
