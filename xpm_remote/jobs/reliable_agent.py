"""An agent across lost links: requests are repeated until each answer has come once."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from xpm_remote.errors import ProtocolError, RequestError, StalledError, XpmRemoteError
from xpm_remote.link.prompts import Prompter, Unattended
from xpm_remote.rpc.client import Listener
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT, Notification
from xpm_remote.session.agent_client import FINISH_TIME, AgentClient
from xpm_remote.session.reconnect import (
    AskPerson,
    Backoff,
    CallPerson,
    GiveUp,
    Reconnect,
    Retry,
    no_person,
)
from xpm_remote.workspace.agent.watchdog import STALL
from xpm_remote.workspace.layout import parse_job_id
from xpm_remote.workspace.outcomes import CopyProgress

AWAY_LIMIT = 3600.0
"""Seconds without a link after which we give up: a user has noticed by then, and a script must fail some time."""

BUSY_LIMIT = 300.0
"""Seconds after a lost link in which a job that is busy is asked for again: mostly the agent whose link was lost is
still finishing it."""

BUSY_INTERVAL = 1.0
"""Seconds between two questions for jobs that are busy."""

STALL_LOOK = 0.5
"""Seconds between two looks at what the agent waits for."""

T = TypeVar("T")
Json = dict[str, Any]


class Opener(Protocol):
    """Starts an agent."""

    async def __call__(self, *, prompter: Prompter | None, listener: Listener) -> AgentClient:
        """Start one.

        Args:
            prompter: Who answers what the host asks; None: the person at the terminal.
            listener: Is given each notification.
        """


class ReliableAgent:
    """Questions to an agent, and work for it. Open it before anything else, and close it.

    Every method raises XpmRemoteError: the link's, the remote side's, or, where the agent refused, that of the local
    command. A link that is lost is restored without asking, for ``AWAY_LIMIT`` seconds at most, unless a person
    comes who was called.

    Args:
        opener: Starts an agent.
        tell: Is given a line when the link is lost, and when it is back.
        call_person: Is awaited when the link can be restored only by a person who answers what the host asks.
        backoff: When to try again; None: with a growing delay and a limit of attempts.
    """

    def __init__(
        self,
        opener: Opener,
        tell: Callable[[str], None],
        call_person: CallPerson = no_person,
        backoff: Backoff | None = None,
    ) -> None:
        self._opener = opener
        self._tell = tell
        self._call_person = call_person
        self._reconnecting = Reconnect(backoff or Backoff(random.random))
        self._client: AgentClient | None = None
        self._hearers: dict[str, Callable[[Notification], None]] = {}
        self._names = 0
        self._waiting: tuple[str, float] | None = None
        self.is_acting = False
        """Whether the agent works on a job, which should be finished before it ends."""

    async def open(self, prompter: Prompter | None = None) -> str:
        """Start the agent; return the path of the workspace there.

        Args:
            prompter: Answers what the host asks; None: the person at the terminal.
        """
        self._client = await self._opener(prompter=prompter, listener=self._hear)
        return self._client.workspace

    async def aclose(self, *, finish: bool = False) -> None:
        """End the agent and the connection.

        Args:
            finish: Whether to wait until it has finished the job in hand.
        """
        client, self._client = self._client, None
        self._waiting = None
        if client is not None:
            await client.aclose(finish=FINISH_TIME if finish and self.is_acting else 0.0)

    async def ask(self, method: str, params: Json) -> Any:  # noqa: ANN401 - the caller reads it
        """Ask what changes nothing: again, when the link is lost meanwhile."""
        while True:
            try:
                raw = await self._answer(method, params)
                return msgspec.json.decode(raw)
            except XpmRemoteError as error:
                await self._reconnect(error)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ProtocolError(f"the answer to {method} cannot be read: {error}") from error

    async def _answer(self, method: str, params: Json) -> msgspec.Raw:
        """Wait for an answer, unless the file server of the workspace does not answer the agent.

        Raises:
            StalledError: It has not for ``REQUEST_TIMEOUT``.
        """
        call = asyncio.create_task(self._client_now().call(method, params), name=method)
        try:
            while not call.done():
                await asyncio.wait({call}, timeout=STALL_LOOK)
                path, since = self._waiting or ("", math.inf)
                lasted = asyncio.get_running_loop().time() - since
                if not call.done() and lasted >= REQUEST_TIMEOUT:
                    raise StalledError(
                        f"the file server does not answer: {path} has been waited for for {lasted:.0f} s",
                        "look at that file system on the host, or try again later",
                    )
            return call.result()
        finally:
            call.cancel()
            await asyncio.wait({call})

    async def carry_out(
        self,
        method: str,
        items: dict[str, T],
        params: Callable[[Iterable[T], bool], Json],
        progress: CopyProgress | None = None,
    ) -> AsyncGenerator[Json, None]:
        """Request work on each item, by the id of its job; after a lost link, request the rest again."""
        left, again, busy_until = dict(items), False, 0.0
        loop = asyncio.get_running_loop()
        while left:
            try:
                attempt = self._attempt(method, params(left.values(), again), progress)
                async with contextlib.aclosing(attempt):
                    async for wire in attempt:
                        if _is_busy(wire) and loop.time() < busy_until:
                            continue
                        if left.pop(str(wire.get("job")), None) is not None:
                            yield wire
            except XpmRemoteError as error:
                await self._reconnect(error)
                again, busy_until = True, loop.time() + BUSY_LIMIT
                continue
            if left and loop.time() >= busy_until:
                message = f"the agent has ended {method} without a word on {len(left)} job{'s' * (len(left) != 1)}"
                raise ProtocolError(message, "run the command again")
            if left:
                await asyncio.sleep(BUSY_INTERVAL)

    async def follow(
        self, method: str, requests: Mapping[T, Json]
    ) -> AsyncGenerator[tuple[T, Json], None]:
        """Follow things, each after the ``position`` in its request, until they have ended.

        Each piece comes as the agent tells it (docs/agent.md); the last word on a thing is that it ended, or an error.
        """
        left = {item: dict(request) for item, request in requests.items()}
        while left:
            heard: asyncio.Queue[tuple[T, Json] | None] = asyncio.Queue()
            watching = asyncio.create_task(self._watch(method, left, heard), name=method)
            watching.add_done_callback(lambda _, heard=heard: heard.put_nowait(None))  # type: ignore[misc]
            try:
                while left and (piece := await heard.get()) is not None:
                    item, told = piece
                    if item not in left:
                        continue
                    left[item]["position"] = told.get("position") or left[item]["position"]
                    if told.get("ended") or "error" in told:
                        del left[item]
                    yield item, told
                if left:
                    await watching
            except XpmRemoteError as error:
                await self._reconnect(error)
            finally:
                watching.cancel()
                await asyncio.wait({watching})

    async def _attempt(
        self, method: str, params: Json, progress: CopyProgress | None
    ) -> AsyncGenerator[Json, None]:
        """Request work from the agent that there is now; yield what it tells of each job."""
        heard: asyncio.Queue[Json | None] = asyncio.Queue()

        def hear(notification: Notification) -> None:
            told = _params(notification)
            if notification.method == "notification.outcome":
                heard.put_nowait(told["outcome"])
            elif progress is not None:
                progress(parse_job_id(told["job"]), told["bytes"], told["files"])

        name = self._new_name(hear)
        call = asyncio.create_task(
            self._client_now().call(method, {**params, "name": name}), name=method
        )
        call.add_done_callback(lambda _: heard.put_nowait(None))
        self.is_acting = True
        try:
            while (wire := await heard.get()) is not None:
                yield wire
            await call
            self.is_acting = False
        finally:
            self._hearers.pop(name, None)
            call.cancel()
            await asyncio.wait({call})

    async def _watch(
        self, method: str, requests: Mapping[T, Json], heard: asyncio.Queue[tuple[T, Json] | None]
    ) -> None:
        """Let the agent follow things; end, by an error, when it is lost."""
        client = self._client_now()
        for item, request in list(requests.items()):
            name = self._new_name(lambda told, item=item: heard.put_nowait((item, _params(told))))  # type: ignore[misc]
            await client.call(method, {**request, "name": name})
        raise await client.wait_ended()

    async def _reconnect(self, error: XpmRemoteError) -> None:
        """Start an agent again, unless the error is no lost link, or the link does not come back.

        Raises:
            XpmRemoteError: The same error, or that of the last attempt.
        """
        if isinstance(error, RequestError):  # a refusal is no lost link
            raise error
        loop = asyncio.get_running_loop()
        now = loop.time()
        until = now + AWAY_LIMIT
        decision = self._reconnecting.decide(error, now, until)
        if not isinstance(decision, GiveUp):
            await self.aclose()
            self._tell(f"{error}; connecting again")
        while True:
            if isinstance(decision, Retry):
                prompter: Prompter | None = Unattended()
                await asyncio.sleep(decision.at - loop.time())
            elif isinstance(decision, AskPerson) and await self._call_person(decision.asked):
                prompter = None
            else:
                raise error
            try:
                self._client = await self._opener(prompter=prompter, listener=self._hear)
            except XpmRemoteError as failure:
                error = failure
                decision = self._reconnecting.decide(error, loop.time(), until)
            else:
                break
        self._reconnecting.succeeded()
        self._tell("connected again")

    def _client_now(self) -> AgentClient:
        if self._client is None:
            message = "it is not open"
            raise RuntimeError(message)
        return self._client

    def _new_name(self, hear: Callable[[Notification], None]) -> str:
        self._names += 1
        name = str(self._names)
        self._hearers[name] = hear
        return name

    def _hear(self, notification: Notification) -> None:
        """Pass a notification to the call that asked for it; drop one that cannot be read."""
        if notification.method == "notification.waiting":
            self._note_wait(notification)
            return
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            hear = self._hearers.get(_params(notification)["name"])
            if hear is not None:
                hear(notification)

    def _note_wait(self, notification: Notification) -> None:
        """Take what the agent waits for without an answer of the file server; tell it."""
        path = None
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, AttributeError):
            path = _params(notification).get("path")
        if not isinstance(path, str):
            self._waiting = None
            return
        self._waiting = (path, asyncio.get_running_loop().time() - STALL)
        self._tell(f"the file server does not answer: waiting for {path}")


def _params(notification: Notification) -> Json:
    params: Json = msgspec.json.decode(notification.params)
    return params


def _is_busy(wire: Json) -> bool:
    return "busy" in (wire.get("status"), *(each["status"] for each in wire.get("folders", ())))
