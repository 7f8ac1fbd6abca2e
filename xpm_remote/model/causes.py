"""The causes of failures: failed jobs of any workspaces by what they have in common. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from xpm_remote.workspace.inspecting.answers import Failure
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import DEPENDENCY


class FailedJob(NamedTuple):
    """A job that failed, with the name of its workspace."""

    workspace: str
    failure: Failure

    @property
    def job(self) -> JobId:
        """The job."""
        return self.failure.job


class Cause(NamedTuple):
    """Failures of one cause.

    Attributes:
        key: Names the cause: is the same for later failures, in any workspace, and in another run of the program.
        title: The cause as a line; it holds text of the host.
        where: The innermost function of the user's code, as ``file:function``; empty where that is not known.
        failed: The jobs that failed by it, the newest first.
        stopped: The jobs that were not started since one of those failed, the newest first; all of them where the one
            that failed is not among the failures.
    """

    key: str
    title: str
    where: str
    failed: tuple[FailedJob, ...]
    stopped: tuple[FailedJob, ...]

    @property
    def total(self) -> int:
        """How many jobs failed by it, or were not started."""
        return len(self.failed) + len(self.stopped)

    @property
    def first(self) -> float | None:
        """When the first of them failed, in epoch seconds, as far as that is known."""
        return min(self._ends(), default=None)

    @property
    def last(self) -> float | None:
        """When the last of them failed."""
        return max(self._ends(), default=None)

    @property
    def workspaces(self) -> tuple[str, ...]:
        """The names of their workspaces, sorted."""
        return tuple(sorted({each.workspace for each in (*self.failed, *self.stopped)}))

    def _ends(self) -> Iterable[float]:
        return (
            each.failure.ended
            for each in (*self.failed, *self.stopped)
            if each.failure.ended is not None
        )


def find_causes(failures: Iterable[tuple[str, Failure]]) -> list[Cause]:
    """Group failures by their cause, that of most jobs first; jobs that were not started are with the one that failed.

    Args:
        failures: Each with the name of its workspace.
    """
    every = sorted((FailedJob(*each) for each in failures), key=_newest_first)
    keys = {
        (each.workspace, each.job): each.failure.cause for each in every if not _was_stopped(each)
    }
    failed: dict[str, list[FailedJob]] = {}
    stopped: dict[str, list[FailedJob]] = {}
    for each in every:
        root = each.failure.root
        key = keys.get((each.workspace, root)) if root is not None else None
        if _was_stopped(each):
            stopped.setdefault(key or each.failure.cause, []).append(each)
        else:
            failed.setdefault(each.failure.cause, []).append(each)
    causes = [
        _cause(key, tuple(failed.get(key, ())), tuple(stopped.get(key, ())))
        for key in {**failed, **stopped}
    ]
    return sorted(causes, key=lambda cause: (-cause.total, -(cause.last or 0.0), cause.key))


def _was_stopped(each: FailedJob) -> bool:
    return each.failure.reason == DEPENDENCY


def _cause(key: str, failed: tuple[FailedJob, ...], stopped: tuple[FailedJob, ...]) -> Cause:
    example = (failed or stopped)[0].failure
    return Cause(key, example.title, example.where, failed, stopped)


def _newest_first(each: FailedJob) -> tuple[float, str, JobId]:
    return (-(each.failure.ended or 0.0), each.workspace, each.job)
