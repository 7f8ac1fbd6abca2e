"""Our agent in an examination: started, greeted, and asked for everything."""

from __future__ import annotations

from xpm_remote.link.host import HostLink
from xpm_remote.link.prompts import RefusingPrompter
from xpm_remote.link.transport import Transport
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.store import Store
from xpm_remote.session.agent_client import AgentClient, greet, open_agent
from xpm_remote.session.agent_sync import AgentSync
from xpm_remote.session.findings import Examination
from xpm_remote.session.racing import race
from xpm_remote.session.session import ASKED_ALREADY
from xpm_remote.session.target import Target

AGENT_EVENTS = "what the agent tells of a change has no time of its own to be compared"
"""Why the delay of events is not measured."""


class ExaminedAgent:
    """The agent, as far as it has come.

    Args:
        book: Where the findings go.
    """

    def __init__(self, book: Examination) -> None:
        self._book = book
        self._store = Store()
        self._sync = AgentSync(AgentRows(), self._store, lambda _: None)
        self._client: AgentClient | None = None

    @property
    def serves(self) -> bool:
        """Whether it has shaken hands."""
        return self._client is not None

    async def open(self, target: Target, link: HostLink, timeout: float) -> None:
        """Start it by a command of its own; nobody is asked anything for that.

        Raises:
            XpmRemoteError: Any of its kinds.
        """
        nobody = RefusingPrompter(ASKED_ALREADY)
        client = await open_agent(
            target, link, prompter=nobody, timeout=timeout, listener=self._sync.hear
        )
        self._take(client)

    async def greet(self, transport: Transport, timeout: float) -> None:
        """Shake hands with the one that a command becomes now.

        Raises:
            XpmRemoteError: Any of its kinds.
        """
        self._take(await greet(transport, timeout=timeout, listener=self._sync.hear))

    async def take_snapshot(self) -> None:
        """Have it tell everything.

        Raises:
            XpmRemoteError: It or the connection ended.
        """
        client = self._client
        if client is None:
            return
        await race(self._sync.snapshot(), _end(client))
        write_snapshot(self._book, self._store, client.received)

    async def aclose(self) -> None:
        """End it."""
        if self._client is not None:
            await self._client.aclose()

    def _take(self, client: AgentClient) -> None:
        self._client = client
        self._sync.serve(client)
        self._book.fact("python", client.about.python)
        self._book.fact("directory", client.workspace)


def write_snapshot(book: Examination, store: Store, received: int) -> None:
    """Write down how much there is, and how many bytes told it."""
    book.fact("experiments", len(store.experiments))
    book.fact("jobs", len(store.jobs))
    book.fact("received", received)


async def _end(client: AgentClient) -> None:
    raise await client.wait_ended()
