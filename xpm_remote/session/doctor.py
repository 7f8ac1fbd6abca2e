"""Going the whole way to a remote workspace once, stage by stage, and writing down what each brings.

One connection and one command line serve all stages, and one more command the agent where both backends are examined:
a host that asks for a one-time code asks once. Nothing is written on the host but what the server of experimaestro
itself writes when it starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time

import msgspec

from xpm_remote.errors import LinkError, XpmRemoteError
from xpm_remote.link.host import HostLink, describe_link
from xpm_remote.link.prompts import Prompter
from xpm_remote.link.remote.agent import agent_bundle
from xpm_remote.link.remote.probe import GO, Offset, probe_command
from xpm_remote.link.transport import Transport
from xpm_remote.model.records import OtherEvent, decode_event
from xpm_remote.model.store import Store
from xpm_remote.rpc.client import REQUEST_TIMEOUT, RpcClient
from xpm_remote.rpc.protocol import Notification
from xpm_remote.rpc.server_api import MonitorServer
from xpm_remote.session.choosing import CANNOT_SERVE
from xpm_remote.session.examined_agent import AGENT_EVENTS, ExaminedAgent, write_snapshot
from xpm_remote.session.findings import Examination, Stage
from xpm_remote.session.measured import MeasuredTransport
from xpm_remote.session.probing import Probing
from xpm_remote.session.session import ASKED_ALREADY
from xpm_remote.session.sync import Sync
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import Backend

LISTEN_TIME = 15.0
"""Seconds to listen for events: jobs that run report every few seconds, and a person still waits."""

ENOUGH_EVENTS = 10
"""Events that tell how late they come; more would not tell more."""

LATE = 5.0
"""Seconds of delay that are worth a word: within them a person does not notice."""


async def examine(
    target: Target,
    book: Examination,
    *,
    prompter: Prompter | None = None,
    timeout: float = REQUEST_TIMEOUT,
    listen: float = LISTEN_TIME,
) -> None:
    """Go through all stages; a failure is written down and ends it.

    Args:
        target: The workspace.
        book: Where the findings go; the stage of the configuration has begun.
        prompter: Who is asked for what only a person knows; None: whoever is at the terminal.
        timeout: Seconds without an answer after which a request has failed.
        listen: Seconds to listen for events; 0: not at all.
    """
    try:
        await _Doctor(target, book, timeout).examine(prompter, listen)
    except XpmRemoteError as error:
        book.fail(error)
    else:
        book.finish()


class Delays:
    """How late announcements come; those of what happened before we listened do not count.

    Attributes:
        seconds: The delay of each.
        enough: Set once there are enough of them.
    """

    def __init__(self) -> None:
        self._offset: Offset | None = None
        self._since = 0.0
        self.seconds: list[float] = []
        self.enough = asyncio.Event()

    def begin(self, offset: Offset) -> None:
        """Measure from now on.

        Args:
            offset: By how much the host's clock is ahead.
        """
        self._offset, self._since = offset, time.time() + offset.seconds

    def hear(self, notification: Notification) -> None:
        """Take an announcement."""
        if self._offset is None or notification.method != "notification.state_event":
            return
        try:
            event = decode_event(notification.params)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if isinstance(event, OtherEvent) or event.timestamp is None:
            return
        if event.timestamp >= self._since:
            self.seconds.append(time.time() + self._offset.seconds - event.timestamp)
            if len(self.seconds) >= ENOUGH_EVENTS:
                self.enough.set()


class _Doctor:
    def __init__(self, target: Target, book: Examination, timeout: float) -> None:
        self._target = target
        self._book = book
        self._timeout = timeout

    async def examine(self, prompter: Prompter | None, listen: float) -> None:
        target, book = self._target, self._book
        for name, value in (await describe_link(target.options, target.engine)).items():
            book.fact(name.replace(" ", "_"), value)
        book.fact("backend", target.backend.value)
        is_agent = target.backend is Backend.AGENT
        server = target.agent_start(agent_bundle()) if is_agent else target.server_command
        command = probe_command(
            target.remote,
            target.workspace,
            target.shell_init,
            server,
            asks_experimaestro=not is_agent,
        )
        if not is_agent:
            book.fact("server", server)
        link = HostLink(target.options, target.engine)
        async with link.keeping(), contextlib.AsyncExitStack() as closing:
            process = await link.open_process(command, prompter, book)
            transport = MeasuredTransport(process)
            closing.push_async_callback(transport.aclose)
            probing = Probing(process, target, book)
            await probing.run()
            agent = ExaminedAgent(book)
            closing.push_async_callback(agent.aclose)
            if is_agent:
                await self._become_agent(agent, transport)
                return
            if target.backend is Backend.AUTO:
                await self._try_agent(agent, link)
            else:
                book.skip(Stage.AGENT, "it is not asked for")
            await self._examine_server(transport, probing, agent, listen)

    async def _become_agent(self, agent: ExaminedAgent, transport: MeasuredTransport) -> None:
        """Have the probe become the agent."""
        self._book.begin(Stage.AGENT)
        transport.send(f"{GO}\n".encode())
        await agent.greet(transport, self._timeout)
        self._book.skip(Stage.SERVER, "the agent is asked for")
        await self._learn_from(agent)

    async def _learn_from(self, agent: ExaminedAgent) -> None:
        """Have the agent tell everything."""
        if self._book.stage is not Stage.SNAPSHOT:
            self._book.begin(Stage.SNAPSHOT)
        await agent.take_snapshot()
        self._book.skip(Stage.EVENTS, AGENT_EVENTS)

    async def _examine_server(
        self,
        transport: MeasuredTransport,
        probing: Probing,
        agent: ExaminedAgent,
        listen: float,
    ) -> None:
        """Have the probe become experimaestro; where that does not serve, an agent that runs does."""
        if agent.serves and probing.outdated:
            why = f"experimaestro {probing.outdated} is older than 2.7: the agent serves"
            self._book.skip(Stage.SERVER, why)
            await self._learn_from(agent)
            return
        self._book.begin(Stage.SERVER)
        delays = Delays()
        client = self._start_server(transport, delays)
        try:
            await self._take_snapshot(client, transport, needs_current=agent.serves)
            await self._measure_delay(client, delays, probing.offset, listen)
        except CANNOT_SERVE as error:
            if not agent.serves or self._book.stage is Stage.EVENTS:
                raise
            self._book.warn(f"experimaestro does not serve, the agent does: {error.what}")
            await self._learn_from(agent)
        finally:
            await client.aclose()

    async def _try_agent(self, agent: ExaminedAgent, link: HostLink) -> None:
        """Start the agent beside the probe; where it cannot be, that is worth a word."""
        book, target = self._book, self._target
        book.begin(Stage.AGENT)
        try:
            await agent.open(target, link, self._timeout)
        except XpmRemoteError as error:
            if isinstance(error, LinkError) and error.unanswered:
                book.leave(f"with the engine openssh it needs another login, and {ASKED_ALREADY}")
            else:
                book.warn(f"our agent cannot run: {error.what}")

    def _start_server(self, transport: Transport, delays: Delays) -> RpcClient:
        transport.send(f"{GO}\n".encode())
        return RpcClient(
            transport,
            command=self._target.server_command,
            listener=delays.hear,
            timeout=self._timeout,
        )

    async def _take_snapshot(
        self, client: RpcClient, transport: MeasuredTransport, *, needs_current: bool
    ) -> None:
        server, store = MonitorServer(client, needs_current=needs_current), Store()
        info = await server.handshake()
        self._book.fact("protocol", info.protocol_version)
        self._book.fact("directory", info.workspace_path)
        self._book.begin(Stage.SNAPSHOT)
        sync = Sync(server, store, publish=lambda _: None)
        await sync.snapshot()
        sync.catch_up()
        write_snapshot(self._book, store, transport.received)
        experiments = store.experiments
        if experiments and all(each.run_count is None for each in experiments):
            self._book.warn(
                "the server is an experimaestro before 2.7: it may mark jobs of other hosts as failed"
            )

    async def _measure_delay(
        self, client: RpcClient, delays: Delays, offset: Offset | None, listen: float
    ) -> None:
        book = self._book
        if not listen or offset is None:
            why = "nobody asked for it" if offset else "the difference of the clocks is not known"
            book.skip(Stage.EVENTS, why)
            return
        book.begin(Stage.EVENTS)
        delays.begin(offset)
        await _listen(client, delays, listen)
        if not delays.seconds:
            book.leave(f"nothing happened within {listen:g} s")
            return
        longest = max(delays.seconds)
        median = statistics.median(delays.seconds)
        number = len(delays.seconds)
        book.fact("delay", {"median": median, "longest": longest, "number": number})
        if median > LATE:
            book.warn("events come late; what is shown is late by as much")


async def _listen(client: RpcClient, delays: Delays, seconds: float) -> None:
    """Listen until there is enough or the time is over.

    Raises:
        XpmRemoteError: The server or the connection ended.
    """
    ended = asyncio.create_task(client.wait_ended(), name="wait-ended")
    enough = asyncio.create_task(delays.enough.wait(), name="enough")
    try:
        await asyncio.wait({ended, enough}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise ended.result()
    finally:
        for task in (ended, enough):
            task.cancel()
        await asyncio.wait({ended, enough})
