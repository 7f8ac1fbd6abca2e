"""Connecting to a remote workspace once, stage by stage, and recording what each brings.

One connection and one command line serve all stages; where both backends are examined, the agent takes one more
command: a host that asks for a one-time code asks once. Nothing is written on the host but what the server of
experimaestro itself writes when it starts, which it does only where it would serve.
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
from xpm_remote.errors import StartError, XpmRemoteError
from xpm_remote.link.course import Course, WaitsOnly
from xpm_remote.link.host import HostLink, describe_link
from xpm_remote.link.process import RemoteProcess
from xpm_remote.link.prompts import Prompter, RefusingPrompter
from xpm_remote.link.remote.bundle import agent_bundle
from xpm_remote.link.remote.startup import RemoteExit, slurm_words
from xpm_remote.link.transport import Transport
from xpm_remote.link.waits import Wait
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.records import OtherEvent, decode_event
from xpm_remote.model.store import Store
from xpm_remote.rpc.client import RpcClient
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT, Notification
from xpm_remote.rpc.server_api import MonitorServer
from xpm_remote.session.agent_client import AgentClient, greet, open_agent
from xpm_remote.session.agent_sync import AgentSync
from xpm_remote.session.backends import ASKED_ALREADY, CANNOT_SERVE, first_choice
from xpm_remote.session.server_sync import ServerSync
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import Backend
from xpm_remote.waiting import race, wait_within

ENOUGH_EVENTS = 10
"""Events after which listening ends: more would not change the median much."""

LATE = 5.0
"""The longest median delay of events, in seconds, without a warning."""


async def examine(
    target: Target,
    examination: Examination,
    *,
    prompter: Prompter | None = None,
    timeout: float = REQUEST_TIMEOUT,
    listen: float = LISTEN_TIME,
) -> None:
    """Go through all stages; a failure is recorded and ends the examination.

    Args:
        target: The workspace.
        examination: Records the results; the stage of the configuration has begun.
        prompter: Answers what the host asks; None: the person at the terminal.
        timeout: Seconds without an answer after which a request has failed.
        listen: Seconds to listen for events; 0: not at all.
    """
    try:
        await _Doctor(target, examination, timeout, listen).examine(prompter)
    except XpmRemoteError as error:
        examination.fail(error)
    else:
        examination.finish()


class Delays:
    """The delays of announcements; those of what happened before ``begin`` do not count.

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
        """Measure the delay of an announcement."""
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
        received: The number of bytes received.
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
        """Wait for at least one byte and return what has arrived; ``b""`` once the process has ended."""
        data = await super().receive()
        self.received += len(data)
        return data


class _Doctor:
    def __init__(
        self, target: Target, examination: Examination, timeout: float, listen: float
    ) -> None:
        self._target = target
        self._examination = examination
        self._timeout = timeout
        self._listen = listen
        self._store = Store()
        self._sync = AgentSync(AgentRows(), self._store, lambda _: None)
        self._agent: AgentClient | None = None  # once its handshake is done

    async def examine(self, prompter: Prompter | None) -> None:
        target, examination = self._target, self._examination
        choice = first_choice(target)
        facts = await describe_link(target.options, target.engine)
        chosen = {"serves": choice.backend.value, "why": choice.why}
        for name, value in {**facts, "backend": target.backend.value, **chosen}.items():
            examination.note(name.replace(" ", "_"), value)
        examination.note("slurm_interval", msgspec.to_builtins(target.slurm_interval))
        is_agent = target.backend is Backend.AGENT
        server = target.agent_start() if is_agent else target.server_command
        command = probe_command(
            target.remote,
            target.workspace,
            target.shell_init,
            server,
            asks_experimaestro=choice.backend is Backend.EXPERIMAESTRO,
            is_auto=target.backend is Backend.AUTO,
        )
        if not is_agent:
            examination.note("server", server)
        link = HostLink(target.options, target.engine, target.limits)
        async with link.keeping(), contextlib.AsyncExitStack() as closing:
            process = await link.open_process(command, prompter, examination)
            transport = MeasuredTransport(process)
            closing.push_async_callback(transport.aclose)
            probing = Probing(process, target, examination)
            await probing.run()
            closing.push_async_callback(self._close_agent)
            if is_agent:
                examination.begin(Stage.AGENT)
                transport.send(f"{GO}\n".encode() + agent_bundle().payload)
                self._take_agent(
                    await greet(
                        transport,
                        timeout=self._timeout,
                        listener=self._sync.hear,
                        course=Course(examination, target.name, target.limits),
                    )
                )
                examination.skip(Stage.SERVER, "the agent is asked for")
                await self._take_agent_snapshot()
                return
            if target.backend is Backend.AUTO:
                await self._try_agent(link)
            else:
                examination.skip(Stage.AGENT, "it is not asked for")
            await self._examine_server(transport, probing)

    async def _try_agent(self, link: HostLink) -> None:
        """Start the agent by a command of its own, without prompts; a failure is a warning."""
        self._examination.begin(Stage.AGENT)
        try:
            client = await open_agent(
                self._target,
                link,
                prompter=RefusingPrompter(ASKED_ALREADY),
                timeout=self._timeout,
                listener=self._sync.hear,
                observer=WaitsOnly(self._examination),
            )
        except XpmRemoteError as error:
            self._examination.warn(f"our agent cannot run: {error.what}")
        else:
            self._take_agent(client)

    def _take_agent(self, client: AgentClient) -> None:
        self._agent = client
        self._sync.serve(client)
        self._examination.note("python", client.about.python)
        self._examination.note("directory", client.workspace)

    async def _take_agent_snapshot(self) -> None:
        if self._examination.stage is not Stage.SNAPSHOT:
            self._examination.begin(Stage.SNAPSHOT)
        if self._agent is not None:
            await race(self._sync.snapshot(), self._agent.raise_ended())
            self._note_snapshot(self._store, self._agent.stdio.received)
        self._examination.skip(
            Stage.EVENTS, "the notifications of the agent have no time to compare with"
        )

    async def _close_agent(self) -> None:
        if self._agent is not None:
            await self._agent.aclose()

    async def _examine_server(self, transport: MeasuredTransport, probing: Probing) -> None:
        """Turn the probe into experimaestro; where that cannot serve, examine the agent, if it runs."""
        examination = self._examination
        choice = first_choice(self._target)
        why_not = choice.why if choice.backend is Backend.AGENT else ""
        if probing.outdated:
            why_not = f"experimaestro {probing.outdated} is older than 2.7"
        if probing.slurm:
            why_not = slurm_words(probing.slurm)
        if self._agent is not None and why_not:
            examination.skip(Stage.SERVER, f"{why_not}: the agent serves")
            await self._take_agent_snapshot()
            return
        examination.begin(Stage.SERVER)
        if probing.slurm and self._target.backend is Backend.AUTO:
            raise StartError(why_not, "see why our agent cannot run")
        if probing.slurm:
            examination.warn(why_not)
        transport.send(f"{GO}\n".encode())
        delays = Delays()
        client = RpcClient(
            transport,
            command=self._target.server_command,
            listener=delays.hear,
            timeout=self._timeout,
        )
        try:
            await self._take_server_snapshot(client, transport)
            await self._measure_delay(client, delays, probing.offset)
        except CANNOT_SERVE as error:
            if self._agent is None or examination.stage is Stage.EVENTS:
                raise
            examination.warn(f"experimaestro does not serve, the agent does: {error.what}")
            await self._take_agent_snapshot()
        finally:
            await client.aclose()

    async def _take_server_snapshot(self, client: RpcClient, transport: MeasuredTransport) -> None:
        server = MonitorServer(client, needs_current=self._agent is not None)
        store = Store()
        course = Course(self._examination, self._target.name, self._target.limits)
        course.enter(Wait.ANSWER, self._timeout + 1)
        info = await course.carry(server.handshake())
        self._examination.note("protocol", info.protocol_version)
        self._examination.note("directory", info.workspace_path)
        self._examination.begin(Stage.SNAPSHOT)
        sync = ServerSync(server, store, publish=lambda _: None)
        await sync.snapshot()
        sync.catch_up()
        self._note_snapshot(store, transport.received)
        experiments = store.experiments
        if experiments and all(each.run_count is None for each in experiments):
            self._examination.warn(
                "the server is an experimaestro before 2.7: it may mark jobs of other hosts as failed"
            )

    def _note_snapshot(self, store: Store, received: int) -> None:
        facts = {"experiments": len(store.experiments), "jobs": len(store.jobs)}
        for name, value in {**facts, "received": received}.items():
            self._examination.note(name, value)

    async def _measure_delay(
        self, client: RpcClient, delays: Delays, offset: Offset | None
    ) -> None:
        examination = self._examination
        if not self._listen or offset is None:
            why = "listening is off" if offset else "the difference of the clocks is not known"
            examination.skip(Stage.EVENTS, why)
            return
        examination.begin(Stage.EVENTS)
        delays.begin(offset)
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await wait_within(race(client.raise_ended(), delays.enough.wait()), self._listen)
        if not delays.seconds:
            examination.leave(f"nothing happened within {self._listen:g} s")
            return
        median = statistics.median(delays.seconds)
        longest, number = max(delays.seconds), len(delays.seconds)
        examination.note("delay", {"median": median, "longest": longest, "number": number})
        if median > LATE:
            examination.warn("events come late; what is shown is late by as much")
