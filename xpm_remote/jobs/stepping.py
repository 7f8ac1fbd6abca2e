"""The jobs of a workspace on another host, each operation waited for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from xpm_remote.errors import StoppedBySignal
from xpm_remote.jobs.reliable_agent import ReliableAgent
from xpm_remote.jobs.remote import RemoteJobs
from xpm_remote.waiting import StepLoop
from xpm_remote.workspace.layout import Folder, Layout

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def open_stepped(
    agent: ReliableAgent,
    folders: tuple[Folder, ...],
    keepers: tuple[str, ...],
    tell: Callable[[str], None],
) -> Iterator[SteppedJobs]:
    """Open an agent, and yield the jobs that it serves; at the end, the job in hand is finished.

    Args:
        agent: The agent, not opened yet.
        folders: The folders, as the settings spell them.
        keepers: The ids of other workspaces that have it as a folder.
        tell: Is called with a line for the user.
    """
    loop = StepLoop()
    try:
        layout = Layout(Path(loop.run(agent.open())))
        yield SteppedJobs(loop, RemoteJobs(agent, layout, folders), layout, folders, keepers)
    finally:
        try:
            if agent.is_acting:
                tell("the job in hand is finished there; Ctrl-C again to leave at once")
            loop.run(agent.aclose(finish=True))
        except StoppedBySignal:
            loop.run(agent.aclose())
            raise
        finally:
            loop.close()


def _step(
    operation: Callable[Concatenate[RemoteJobs, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SteppedJobs, P], T]:
    """Convert an operation of ``RemoteJobs`` into one that waits for its result."""

    def run(self: SteppedJobs, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.loop.run(operation(self.jobs, *args, **kwargs))

    return run


def _steps(
    operation: Callable[Concatenate[RemoteJobs, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[SteppedJobs, P], Generator[T, None, None]]:
    """Convert an operation of ``RemoteJobs`` into one that waits for each of its results."""

    def run(self: SteppedJobs, /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        yield from self.loop.each(operation(self.jobs, *args, **kwargs))

    return run


@dataclass(frozen=True)
class SteppedJobs:
    """The jobs of a workspace on another host, as ``Jobs``: each operation waits for ``RemoteJobs``.

    Attributes:
        loop: Runs what is asynchronous.
        jobs: The operations, by an open agent.
        layout: The paths there.
        folders: The folders, as the settings spell them.
        keepers: The ids of other workspaces that have it as a folder.
    """

    loop: StepLoop
    jobs: RemoteJobs
    layout: Layout
    folders: tuple[Folder, ...]
    keepers: tuple[str, ...]
    is_local = False

    find = _step(RemoteJobs.find)
    references = _step(RemoteJobs.references)
    current = _step(RemoteJobs.current)
    directory = _step(RemoteJobs.directory)
    plan_recovery = _step(RemoteJobs.plan_recovery)
    recover = _steps(RemoteJobs.recover)
    plan_archive = _step(RemoteJobs.plan_archive)
    archive = _steps(RemoteJobs.archive)
    find_orphans = _step(RemoteJobs.find_orphans)
    plan_orphans = _step(RemoteJobs.plan_orphans)
    clean_orphans = _steps(RemoteJobs.clean_orphans)
    plan_action = _step(RemoteJobs.plan_action)
    perform = _steps(RemoteJobs.perform)
    log_pieces = _steps(RemoteJobs.log_pieces)
    follow_logs = _steps(RemoteJobs.follow_logs)
    failures = _steps(RemoteJobs.failures)
    detail = _step(RemoteJobs.detail)
    account = _step(RemoteJobs.account)
    read_log = _step(RemoteJobs.read_log)
    search_log = _steps(RemoteJobs.search_log)
