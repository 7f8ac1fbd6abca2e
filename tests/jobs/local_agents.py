"""Agents of a workspace of this machine, which are lost, or fail to start, as a test says."""

from __future__ import annotations

from pathlib import Path

from xpm_remote.errors import XpmRemoteError
from xpm_remote.link.prompts import Prompter
from xpm_remote.rpc.client import Listener
from xpm_remote.session.agent_client import AgentClient, open_local_agent
from xpm_remote.session.target import LocalTarget


class Agents:
    """Starts agents of a workspace of this machine, or fails as scheduled.

    Args:
        root: The workspace.

    Attributes:
        clients: Those that were started.
        failures: What the next starts raise.
        prompters: The prompter of each start.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.clients: list[AgentClient] = []
        self.failures: list[XpmRemoteError] = []
        self.prompters: list[Prompter | None] = []

    async def __call__(self, *, prompter: Prompter | None, listener: Listener) -> AgentClient:
        """Start one."""
        self.prompters.append(prompter)
        if self.failures:
            raise self.failures.pop(0)
        self.clients.append(
            await open_local_agent(LocalTarget("here", str(self._root)), listener=listener)
        )
        return self.clients[-1]

    async def lose(self) -> None:
        """End the running agent."""
        await self.clients[-1].aclose()
