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

from xpm_remote.doctor.probe import GO, Offset, probe_command, without_marks
from xpm_remote.doctor.probing import Probing
from xpm_remote.doctor.stages import LISTEN_TIME, Examination, Stage
from xpm_remote.errors import LinkError, XpmRemoteError
from xpm_remote.link.host import HostLink, describe_link
from xpm_remote.link.process import RemoteProcess
from xpm_remote.link.prompts import Prompter, RefusingPrompter
from xpm_remote.link.remote.agent import agent_bundle
from xpm_remote.link.remote.startup import RemoteExit
from xpm_remote.link.transport import Transport
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.records import OtherEvent, decode_event
from xpm_remote.model.store import Store
from xpm_remote.rpc.client import RpcClient
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT, Notification
from xpm_remote.rpc.server_api import MonitorServer
from xpm_remote.session.agent_client import AgentClient, greet, open_agent
from xpm_remote.session.agent_sync import AgentSync
from xpm_remote.session.backends import ASKED_ALREADY, CANNOT_SERVE
from xpm_remote.session.server_sync import ServerSync
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import Backend
from xpm_remote.waiting import race

ENOUGH_EVENTS = 10
"""Events that tell how late they come; more would not tell more."""

LATE = 5.0
"""Seconds of delay that are worth a word: within them a person does not notice."""

AGENT_EVENTS = "what the agent tells of a change has no time of its own to be compared"
"""Why the delay of events is not measured."""


async def examine(
    target: Target,
    examination: Examination,
    *,
    prompter: Prompter | None = None,
    timeout: float = REQUEST_TIMEOUT,
    listen: float = LISTEN_TIME,
) -> None:
    """Go through all stages; a failure is written down and ends it.

    Args:
        target: The workspace.
        examination: Where the results go; the stage of the configuration has begun.
        prompter: Who is asked for what only a person knows; None: whoever is at the terminal.
        timeout: Seconds without an answer after which a request has failed.
        listen: Seconds to listen for events; 0: not at all.
    """
    try:
        await _Doctor(target, examination, timeout).examine(prompter, listen)
    except XpmRemoteError as error:
        examination.fail(error)
    else:
        examination.finish()


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


class MeasuredTransport(Transport):
    """The stdio of a probe that becomes a server.

    Attributes:
        received: How many bytes it has brought.
    """

    def __init__(self, process: RemoteProcess) -> None:
        super().__init__(process, clock=None)
        self.received = 0

    @property
    def exit(self) -> RemoteExit:
        """How the server ended; of stderr, what came after ``shell_init``."""
        ended = super().exit
        return RemoteExit(ended.status, without_marks(ended.stderr), ended.lost)

    async def receive(self) -> bytes:
        """Give what has arrived; ``b""`` once the process has ended."""
        data = await super().receive()
        self.received += len(data)
        return data


class ExaminedAgent:
    """The agent, as far as it has come.

    Args:
        examination: Where the results go.
    """

    def __init__(self, examination: Examination) -> None:
        self._examination = examination
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
        write_snapshot(self._examination, self._store, client.stdio.received)

    async def aclose(self) -> None:
        """End it."""
        if self._client is not None:
            await self._client.aclose()

    def _take(self, client: AgentClient) -> None:
        self._client = client
        self._sync.serve(client)
        self._examination.fact("python", client.about.python)
        self._examination.fact("directory", client.workspace)


class _Doctor:
    def __init__(self, target: Target, examination: Examination, timeout: float) -> None:
        self._target = target
        self._examination = examination
        self._timeout = timeout

    async def examine(self, prompter: Prompter | None, listen: float) -> None:
        target, examination = self._target, self._examination
        for name, value in (await describe_link(target.options, target.engine)).items():
            examination.fact(name.replace(" ", "_"), value)
        examination.fact("backend", target.backend.value)
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
            examination.fact("server", server)
        link = HostLink(target.options, target.engine)
        async with link.keeping(), contextlib.AsyncExitStack() as closing:
            process = await link.open_process(command, prompter, examination)
            transport = MeasuredTransport(process)
            closing.push_async_callback(transport.aclose)
            probing = Probing(process, target, examination)
            await probing.run()
            agent = ExaminedAgent(examination)
            closing.push_async_callback(agent.aclose)
            if is_agent:
                await self._become_agent(agent, transport)
                return
            if target.backend is Backend.AUTO:
                await self._try_agent(agent, link)
            else:
                examination.skip(Stage.AGENT, "it is not asked for")
            await self._examine_server(transport, probing, agent, listen)

    async def _become_agent(self, agent: ExaminedAgent, transport: MeasuredTransport) -> None:
        """Have the probe become the agent."""
        self._examination.begin(Stage.AGENT)
        transport.send(f"{GO}\n".encode())
        await agent.greet(transport, self._timeout)
        self._examination.skip(Stage.SERVER, "the agent is asked for")
        await self._learn_from(agent)

    async def _learn_from(self, agent: ExaminedAgent) -> None:
        """Have the agent tell everything."""
        if self._examination.stage is not Stage.SNAPSHOT:
            self._examination.begin(Stage.SNAPSHOT)
        await agent.take_snapshot()
        self._examination.skip(Stage.EVENTS, AGENT_EVENTS)

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
            self._examination.skip(Stage.SERVER, why)
            await self._learn_from(agent)
            return
        self._examination.begin(Stage.SERVER)
        delays = Delays()
        client = self._start_server(transport, delays)
        try:
            await self._take_snapshot(client, transport, needs_current=agent.serves)
            await self._measure_delay(client, delays, probing.offset, listen)
        except CANNOT_SERVE as error:
            if not agent.serves or self._examination.stage is Stage.EVENTS:
                raise
            self._examination.warn(f"experimaestro does not serve, the agent does: {error.what}")
            await self._learn_from(agent)
        finally:
            await client.aclose()

    async def _try_agent(self, agent: ExaminedAgent, link: HostLink) -> None:
        """Start the agent beside the probe; where it cannot be, that is worth a word."""
        examination, target = self._examination, self._target
        examination.begin(Stage.AGENT)
        try:
            await agent.open(target, link, self._timeout)
        except XpmRemoteError as error:
            if isinstance(error, LinkError) and error.unanswered:
                examination.leave(
                    f"with the engine openssh it needs another login, and {ASKED_ALREADY}"
                )
            else:
                examination.warn(f"our agent cannot run: {error.what}")

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
        self._examination.fact("protocol", info.protocol_version)
        self._examination.fact("directory", info.workspace_path)
        self._examination.begin(Stage.SNAPSHOT)
        sync = ServerSync(server, store, publish=lambda _: None)
        await sync.snapshot()
        sync.catch_up()
        write_snapshot(self._examination, store, transport.received)
        experiments = store.experiments
        if experiments and all(each.run_count is None for each in experiments):
            self._examination.warn(
                "the server is an experimaestro before 2.7: it may mark jobs of other hosts as failed"
            )

    async def _measure_delay(
        self, client: RpcClient, delays: Delays, offset: Offset | None, listen: float
    ) -> None:
        examination = self._examination
        if not listen or offset is None:
            why = "nobody asked for it" if offset else "the difference of the clocks is not known"
            examination.skip(Stage.EVENTS, why)
            return
        examination.begin(Stage.EVENTS)
        delays.begin(offset)
        await _listen(client, delays, listen)
        if not delays.seconds:
            examination.leave(f"nothing happened within {listen:g} s")
            return
        longest = max(delays.seconds)
        median = statistics.median(delays.seconds)
        number = len(delays.seconds)
        examination.fact("delay", {"median": median, "longest": longest, "number": number})
        if median > LATE:
            examination.warn("events come late; what is shown is late by as much")


def write_snapshot(examination: Examination, store: Store, received: int) -> None:
    """Write down how much there is, and how many bytes told it."""
    examination.fact("experiments", len(store.experiments))
    examination.fact("jobs", len(store.jobs))
    examination.fact("received", received)


async def _end(client: AgentClient) -> None:
    raise await client.wait_ended()


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
