"""Operations on the jobs of a workspace, the same for one of this machine and one of another host. Pure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from xpm_remote.errors import NoJobFoundError
from xpm_remote.escaping import nearest, quoted

if TYPE_CHECKING:
    from xpm_remote.workspace.failures import UnreadFile
    from xpm_remote.workspace.inspecting.answers import Failure, JobDetail, LogPart, LogSearch
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
    from xpm_remote.workspace.rows import Account
    from xpm_remote.workspace.watching.logs import Piece

FAILURES_PAGE = 100
"""Jobs whose failures are asked for at once: a page comes in a blink, and a long list can be left in the middle."""

LOG_PART = 64 * 1024
"""Bytes of a part of a log unless another number is asked for: more than a screen shows."""

MATCHES = 1000
"""Lines of a log that a search returns unless another number is asked for."""


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

    def failures(
        self, jobs: Sequence[JobId], known: Mapping[JobId, str]
    ) -> Generator[tuple[Failure, ...], None, None]:
        """Yield why jobs failed, in pages, each with the newest first.

        Jobs of which nothing is known any more are left out.

        Args:
            jobs: The jobs, those that are wanted first in front: a page is of the next ``FAILURES_PAGE`` of them.
            known: The stamps of failures that are known; one that is still the same is left out.
        """

    def detail(self, job: JobId) -> JobDetail | None:
        """Return what is known of a job; None when there is no such job."""

    def account(self, job: JobId) -> Account | None:
        """Return what SLURM's accounting has of a job, which may take some seconds; None for one that is not its."""

    def read_log(
        self,
        job: JobId,
        stream: str,
        *,
        before: int | None = None,
        after: int | None = None,
        size: int = LOG_PART,
        attempt: str = "",
    ) -> LogPart | None:
        """Return a part of a log: before an offset, after one, or its end; None when there is no such log.

        Args:
            job: The job.
            stream: Which of its logs.
            before: The offset at which the part ends, in bytes.
            after: The offset at which it begins; not with ``before``.
            size: How many bytes are wanted, at most ``PART_LIMIT``.
            attempt: The name of an earlier try, as in ``JobDetail.attempts``.
        """

    def search_log(
        self,
        job: JobId,
        stream: str,
        pattern: str,
        *,
        is_regex: bool = False,
        ignore_case: bool = False,
        limit: int = MATCHES,
        attempt: str = "",
    ) -> Generator[LogSearch, None, None]:
        """Search a log from its beginning to its end, line by line; yield what is found in each part of it.

        Args:
            job: The job.
            stream: Which of its logs.
            pattern: A text, or a regular expression of Python's ``re``.
            is_regex: Whether it is a regular expression.
            ignore_case: Whether case does not count.
            limit: How many matches are wanted; the others are only counted.
            attempt: As of ``read_log``.

        Raises:
            WorkspaceFailure, RequestError: The pattern is not a regular expression, or takes too long.
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
