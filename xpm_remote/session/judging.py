"""Asking our agent about what the protocol of experimaestro cannot tell (see ``model.doubt``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import TypeVar

import msgspec

from xpm_remote.errors import XpmRemoteError
from xpm_remote.model.agent_pages import Missing, Verdicts
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.entities import Change
from xpm_remote.model.store import Store
from xpm_remote.session.agent_client import AgentClient
from xpm_remote.workspace.states import State

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

ATTEMPTS = 2
"""How often the agent is started for one connection: it may have been killed, and where it cannot run it never will."""

AT_ONCE = 500
"""Jobs of one request: reading them takes the agent some tenths of a second."""

ROUNDS = 3
"""How often jobs are asked about at once: what is known of them, or of their run, may change with an answer."""

GOING_ON = 10.0
"""Seconds for which it is believed that a scheduler or a job goes on, and that a directory is there."""

LOOKING_LOAD = 0.02
"""The share of time that may be spent on looking whether that is so; large workspaces are looked at less often."""


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
        self._look_due = 0.0

    @property
    def is_out(self) -> bool:
        """Whether no agent can run: what is in doubt stays uncertain."""
        return self._client is None and not self._attempts_left

    async def judge(self, take: Callable[[list[Change]], None]) -> None:
        """Have judged what is in doubt; nothing is where no agent can run.

        Args:
            take: Called with what a judgement has changed, at once: announcements may follow.
        """
        store, began = self._store, asyncio.get_running_loop().time()
        again = began >= self._look_due
        # The state of a job depends on whether its scheduler lives: so the runs come first.
        runs = store.runs_in_doubt(again=again)
        if runs:
            take(await self._ask({name: [] for name in runs}))
        if again and self._look_due:  # at first the server has just looked itself
            take(await self._find_missing())
        for number in range(ROUNDS):
            for part in _portions(store.jobs_in_doubt(again=again and not number)):
                take(await self._ask(part))
        if again:
            took = asyncio.get_running_loop().time() - began
            self._look_due = began + max(GOING_ON, took / LOOKING_LOAD)

    async def aclose(self) -> None:
        """End the agent."""
        client, self._client, self._attempts_left = self._client, None, 0
        if client is not None:
            await client.aclose()

    async def _find_missing(self) -> list[Change]:
        """Have looked whether the directories of jobs that are done are still there."""
        done = self._store.in_state(State.DONE)
        names = dict.fromkeys(name for job in done for name in job.experiments)
        if not names:
            return []
        answer = await self._call("find_missing", list(names), Missing)
        return [] if answer is None else self._store.apply_missing(answer.jobs)

    async def _ask(self, experiments: dict[str, list[str]]) -> list[Change]:
        answer = await self._call("judge", experiments, Verdicts)
        if answer is None:
            return []
        return self._store.apply_verdicts(answer.experiments, self._rows.verdicts(answer))

    async def _call(self, method: str, experiments: object, kind: type[_Answer]) -> _Answer | None:
        """Return the answer of an agent, which is started first if it does not run; None where there is none."""
        if self._client is None:
            if not self._attempts_left:
                return None
            self._attempts_left -= 1
            try:
                self._client = await self._start()
            except XpmRemoteError as error:
                self._attempts_left = 0
                log.info("what experimaestro cannot tell stays uncertain: %s", error.what)
                return None
            self._rows.root = self._client.workspace.rstrip("/")
        try:
            raw = await self._client.call(method, {"experiments": experiments})
            return msgspec.json.decode(raw, type=kind)
        except (XpmRemoteError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.info("our agent cannot judge: %s", error)
            client, self._client = self._client, None
            await client.aclose()
            return None


def _portions(experiments: dict[str, list[str]]) -> Iterator[dict[str, list[str]]]:
    """Yield jobs by experiment, ``AT_ONCE`` at a time."""
    pairs = iter([(name, job) for name, jobs in experiments.items() for job in jobs])
    while portion := list(islice(pairs, AT_ONCE)):
        found: dict[str, list[str]] = {}
        for name, job in portion:
            found.setdefault(name, []).append(job)
        yield found
