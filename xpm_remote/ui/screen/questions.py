"""Questions and actions about the jobs of a fleet: an agent for each workspace, when it is first needed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from xpm_remote.errors import RequestError, WorkspaceError, XpmRemoteError

if TYPE_CHECKING:
    from xpm_remote.jobs.remote import RemoteJobs
    from xpm_remote.session.hosts import Hosts
    from xpm_remote.session.target import LocalTarget, Target
    from xpm_remote.workspace.layout import Folder


class _Agent:
    """The jobs of a workspace, open as long as the task lives."""

    def __init__(self, task: asyncio.Task[None], opened: asyncio.Future[RemoteJobs]) -> None:
        self.task = task
        self.opened = opened


class Questions:
    """Opens the jobs of workspaces on the logins of their fleet; no question is asked at the terminal.

    Args:
        targets: The workspaces by their names.
        hosts: The logins.
        folders: The folders of workspaces, by their names.
        tell: Is called with a line for the user.
    """

    def __init__(
        self,
        targets: Mapping[str, Target | LocalTarget],
        hosts: Hosts,
        folders: Mapping[str, tuple[Folder, ...]],
        tell: Callable[[str], None],
    ) -> None:
        self._targets = targets
        self._hosts = hosts
        self._folders = folders
        self._tell = tell
        self._agents: dict[str, _Agent] = {}

    @asynccontextmanager
    async def at(self, name: str) -> AsyncIterator[RemoteJobs]:
        """Return the jobs of a workspace; an agent that is lost is started anew by the next question.

        Raises:
            XpmRemoteError: It cannot be reached.
        """
        if name not in self._targets:
            raise WorkspaceError(f"there is no workspace {name} any more", "")
        agent = self._agents.get(name)
        if agent is None or agent.task.done():
            opened: asyncio.Future[RemoteJobs] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._keep(name, opened), name=f"questions {name}")
            agent = self._agents[name] = _Agent(task, opened)
        try:
            yield await asyncio.shield(agent.opened)
        except RequestError:  # a refusal is no lost link
            raise
        except XpmRemoteError:
            if self._agents.get(name) is agent:
                del self._agents[name]
                agent.task.cancel()
            raise

    async def _keep(self, name: str, opened: asyncio.Future[RemoteJobs]) -> None:
        # With the SSH library, which the first frame does not wait for.
        from xpm_remote.jobs.opening import open_in_loop  # noqa: PLC0415
        from xpm_remote.link.prompts import Unattended  # noqa: PLC0415

        try:
            async with open_in_loop(
                self._targets[name],
                self._hosts,
                folders=self._folders.get(name, ()),
                tell=lambda line: self._tell(f"{name}: {line}"),
                prompter=Unattended(),
            ) as jobs:
                opened.set_result(jobs)
                await asyncio.Event().wait()
        except XpmRemoteError as error:
            if not opened.done():
                opened.set_exception(error)
                opened.exception()  # whoever asked may be gone
        finally:
            opened.cancel()

    async def aclose(self) -> None:
        """End all agents; a job in hand is finished first."""
        tasks = [agent.task for agent in self._agents.values()]
        self._agents.clear()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
