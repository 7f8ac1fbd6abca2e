"""Asking our agent about what the protocol of experimaestro cannot tell (see ``model.doubt``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from xpm_remote.errors import XpmRemoteError
from xpm_remote.model.agent_rows import AgentRows, Verdicts
from xpm_remote.model.entities import Change
from xpm_remote.model.store import Store
from xpm_remote.session.agent_client import AgentClient

log = logging.getLogger(__name__)

ATTEMPTS = 2
"""How often the agent is started for one connection: it may have been killed, and where it cannot run it never will."""

AT_ONCE = 500
"""Jobs of one request: reading them takes the agent some tenths of a second."""

ROUNDS = 3
"""How often jobs are asked about at once: what is known of them, or of their run, may change with an answer."""

GOING_ON = 10.0
"""Seconds for which a judgement that a scheduler or a job goes on is believed: it may die without a trace."""


class Judge:
    """Judges what is in doubt in a store, by an agent that is started when something is.

    Args:
        start: Starts an agent, without asking a person anything.
        store: The store.
        rows: What agents have sent; messages about failures are added.
    """

    def __init__(
        self, start: Callable[[], Awaitable[AgentClient]], store: Store, rows: AgentRows
    ) -> None:
        self._start = start
        self._store = store
        self._rows = rows
        self._client: AgentClient | None = None
        self._attempts_left = ATTEMPTS
        self._looked_at = 0.0

    @property
    def is_out(self) -> bool:
        """Whether no agent can run: what is in doubt stays uncertain."""
        return self._client is None and not self._attempts_left

    async def judge(self, take: Callable[[list[Change]], None]) -> None:
        """Have judged what is in doubt; nothing is where no agent can run.

        Args:
            take: Called with what a judgement has changed, at once: announcements may follow.
        """
        store, now = self._store, asyncio.get_running_loop().time()
        again = now - self._looked_at >= GOING_ON
        if again:
            self._looked_at = now
        # The state of a job depends on whether its scheduler lives: so the runs come first.
        runs = store.runs_in_doubt(again=again)
        if runs:
            take(await self._ask({name: [] for name in runs}))
        for number in range(ROUNDS):
            for name, jobs in store.jobs_in_doubt(again=again and not number).items():
                for start in range(0, len(jobs), AT_ONCE):
                    take(await self._ask({name: jobs[start : start + AT_ONCE]}))

    async def aclose(self) -> None:
        """End the agent."""
        client, self._client, self._attempts_left = self._client, None, 0
        if client is not None:
            await client.aclose()

    async def _ask(self, experiments: dict[str, list[str]]) -> list[Change]:
        if self._client is None:
            if not self._attempts_left:
                return []
            self._attempts_left -= 1
            try:
                self._client = await self._start()
            except XpmRemoteError as error:
                self._attempts_left = 0
                log.info("what experimaestro cannot tell stays uncertain: %s", error.what)
                return []
        try:
            raw = await self._client.call("judge", {"experiments": experiments})
            answer = msgspec.json.decode(raw, type=Verdicts)
        except (XpmRemoteError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.info("our agent cannot judge: %s", error)
            client, self._client = self._client, None
            await client.aclose()
            return []
        self._rows.root = self._client.workspace.rstrip("/")
        return self._store.apply_verdicts(answer.experiments, self._rows.verdicts(answer))
