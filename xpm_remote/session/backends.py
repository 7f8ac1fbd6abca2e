"""Choosing and opening what serves a workspace: our agent, or the experimaestro of the host."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec

from xpm_remote.errors import ProtocolError, RemoteTimeoutError, StartError, XpmRemoteError
from xpm_remote.link.host import HostLink, describe_link
from xpm_remote.link.observer import UNOBSERVED, Observer
from xpm_remote.link.prompts import Prompter, RefusingPrompter
from xpm_remote.link.remote.bundle import agent_bundle
from xpm_remote.link.remote.startup import RemoteClock
from xpm_remote.link.transport import open_transport
from xpm_remote.link.waits import CurrentWait, Wait
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.records import OtherEvent, decode_event
from xpm_remote.model.store import Store
from xpm_remote.rpc.client import RpcClient
from xpm_remote.rpc.protocol import Notification, first_lines, first_requests
from xpm_remote.rpc.server_api import FIRST, MonitorServer
from xpm_remote.session.agent_client import handshake_of, open_agent, open_local_agent
from xpm_remote.session.agent_sync import AgentSync, first_question
from xpm_remote.session.judging import Judge
from xpm_remote.session.server_sync import ServerSync
from xpm_remote.session.state import BackendChoice, Update
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.settings.schema import Backend

log = logging.getLogger(__name__)

Publish = Callable[[Update], None]

MAX_EVENT = 16 * 1024
"""Bytes of an announcement that is read; what is longer, by a thousand tags, is queried instead."""

CANNOT_SERVE = (StartError, ProtocolError, RemoteTimeoutError)
"""The failures of one side after which the other may still serve."""

ASKED_ALREADY = "no question is asked a second time"
"""Why prompts are refused while one side is tried in place of, or beside, the other."""

CHANGES_WORKSPACE = (
    "an experimaestro that starts changes the workspace: it marks as failed, and forgets, jobs whose process it does"
    " not find, such as held or requeued jobs of SLURM; --backend agent changes nothing"
)
"""What is told where experimaestro is started because it was asked for."""

_NAMES = {Backend.AGENT: "our agent", Backend.EXPERIMAESTRO: "experimaestro"}


class Feed(Protocol):
    """Keeps a store in step with a remote side."""

    async def snapshot(self) -> None:
        """Fetch everything, and publish it as it arrives."""

    def catch_up(self) -> None:
        """Apply what was announced during the snapshot; from now on apply announcements at once."""

    async def follow(self, interval: float) -> None:
        """Keep the store in step until cancelled; ``interval`` is the longest silence in seconds."""


@dataclass(frozen=True)
class ServingSide:
    """A remote side whose handshake is done.

    Attributes:
        client: Its client.
        feed: Keeps the store in step with it.
        clock: The clock of its host; None where that is unknown.
        judge: Judges what it cannot tell, by another command on the same connection; None where there is nothing.
    """

    client: RpcClient
    feed: Feed
    clock: RemoteClock | None
    judge: Judge | None = None

    async def aclose(self) -> None:
        """End it."""
        if self.judge is not None:
            await self.judge.aclose()
        await self.client.aclose()


@dataclass(frozen=True)
class BackendContext:
    """What is needed to open a remote side.

    Attributes:
        store: The store to keep in step.
        publish: Called with every change.
        timeout: Seconds without an answer after which a request has failed.
        prompter: Answers what the host asks; None: the person at the terminal.
        rows: What agents have sent before.
        link: The link to the host, which keeps opened keys for the next connection; None: a new one.
        observer: Receives what is waited for until the remote side answers.
    """

    store: Store
    publish: Publish
    timeout: float
    prompter: Prompter | None
    rows: AgentRows
    link: HostLink | None = None
    observer: Observer = UNOBSERVED


async def open_experimaestro(
    target: Target, context: BackendContext, *, needs_current: bool
) -> ServingSide:
    """Connect, and start the experimaestro of the host.

    Args:
        target: The workspace.
        context: The store, prompter, link and limits.
        needs_current: Whether to refuse one that is older than we support.

    Raises:
        XpmRemoteError: It could not be opened.
    """
    link = context.link or HostLink(target.options, target.engine, target.limits)
    transport = await open_transport(
        link,
        target.command,
        workspace=target.workspace,
        prompter=context.prompter,
        observer=context.observer,
    )

    def hear(notification: Notification) -> None:
        if notification.method == "notification.state_event":
            try:
                event = (
                    decode_event(notification.params)
                    if len(notification.params) <= MAX_EVENT
                    else OtherEvent("too long")
                )
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                log.warning("an announcement cannot be read: %s", error)
                event = OtherEvent("unreadable")
            sync.hear(event)

    transport.send(first_lines(FIRST))
    client = RpcClient(
        transport,
        command=target.server_command,
        listener=hear,
        timeout=context.timeout,
        asked=FIRST,
    )
    server = MonitorServer(client, needs_current=needs_current)
    start = partial(
        open_agent, target, link, prompter=RefusingPrompter(ASKED_ALREADY), timeout=context.timeout
    )
    judge = Judge(start, context.store, context.rows)
    sync = ServerSync(server, context.store, context.publish, judge)
    try:
        context.observer.wait_for(CurrentWait(Wait.ANSWER, target.name, time.time()))
        await server.handshake()
    except BaseException:
        await client.aclose()
        raise
    return ServingSide(client, sync, transport.clock, judge)


async def open_by_agent(target: Target | LocalTarget, context: BackendContext) -> ServingSide:
    """Start our agent: on the host, or as a child process for a workspace of this machine.

    Raises:
        XpmRemoteError: It could not be opened.
    """
    sync = AgentSync(context.rows, context.store, context.publish)
    if isinstance(target, LocalTarget):
        client = await open_local_agent(
            target, timeout=context.timeout, listener=sync.hear, asked=sync.asked
        )
    else:
        client = await open_agent(
            target,
            context.link,
            prompter=context.prompter,
            timeout=context.timeout,
            listener=sync.hear,
            observer=context.observer,
            asked=sync.asked,
        )
    sync.serve(client)
    return ServingSide(client, sync, client.clock)


def first_choice(target: Target | LocalTarget) -> BackendChoice:
    """Return the side that is opened first, and why."""
    if isinstance(target, LocalTarget):
        return BackendChoice(Backend.AGENT, "the workspace is on this machine")
    if target.backend is Backend.EXPERIMAESTRO:
        return BackendChoice(target.backend, "it is asked for", warning=CHANGES_WORKSPACE)
    if target.backend is Backend.AGENT:
        return BackendChoice(target.backend, "it is asked for")
    if target.remote.is_described:
        return BackendChoice(Backend.EXPERIMAESTRO, "the settings or flags describe it")
    return BackendChoice(Backend.AGENT, "it is the default")


class BackendChooser:
    """Opens the remote side of a target, and remembers the choice.

    Attributes:
        choice: The side that is opened next.

    Args:
        target: The workspace.
    """

    def __init__(self, target: Target | LocalTarget) -> None:
        self._target = target
        self._failure: XpmRemoteError | None = None
        self.choice = first_choice(target)
        self._may_change = not isinstance(target, LocalTarget) and target.backend is Backend.AUTO
        self._is_settled = not self._may_change
        self._has_warned = False

    @property
    def workspace(self) -> str:
        """The directory of the workspace on its host."""
        return self._target.workspace

    async def open(self, context: BackendContext) -> ServingSide:
        """Open the chosen side.

        Raises:
            XpmRemoteError: It could not be opened.
        """
        try:
            return await self._open(context)
        except CANNOT_SERVE as error:
            first = self._failure
            if first is None:
                raise
            name = _NAMES[self.choice.backend]
            raise StartError(f"{first.what}; and by {name}: {error.what}", first.hint) from error

    async def _open(self, context: BackendContext) -> ServingSide:
        target = self._target
        if isinstance(target, LocalTarget) or self.choice.backend is Backend.AGENT:
            return await open_by_agent(target, context)
        if self.choice.warning and not self._has_warned:
            log.warning("%s: %s", target.name, self.choice.warning)
            self._has_warned = True
        return await open_experimaestro(target, context, needs_current=not self._is_settled)

    def settle(self) -> None:
        """Make the choice final: that side has sent its snapshot."""
        if not self._is_settled or self._failure is not None:
            level = logging.INFO if self.choice.is_fallback else logging.DEBUG
            name = _NAMES[self.choice.backend]
            log.log(level, "%s is served by %s: %s", self._target.name, name, self.choice.why)
        self._is_settled = True
        self._failure = None

    def has_other(self, error: XpmRemoteError) -> bool:
        """Choose the other side, if the first one cannot serve; return whether it was chosen.

        An experimaestro that has served is left only for jobs of SLURM: it would mark them as failed as it starts.
        """
        is_unsafe = isinstance(error, StartError) and error.slurm and self._may_change
        if self.choice.is_fallback or not (is_unsafe or not self._is_settled):
            return False
        if not isinstance(error, CANNOT_SERVE):
            return False
        if isinstance(error, RemoteTimeoutError) and error.at_start:
            return False
        is_agent = self.choice.backend is Backend.AGENT
        other = Backend.EXPERIMAESTRO if is_agent else Backend.AGENT
        self._failure = error
        self.choice = BackendChoice(other, error.what, is_fallback=True)
        return True


async def describe_target(target: Target) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what SSH would connect to, and what would serve the workspace there, with its whole command line.

    The fallback's entries have ``or`` before their names. No connection is made.

    Raises:
        OptionError: An SSH option, a config file, or a word of the command holds something that cannot be used.
    """
    link = await describe_link(target.options, target.engine)
    bundle = agent_bundle()
    size, digest = len(bundle.payload), hashlib.sha256(bundle.payload).hexdigest()
    asked = first_requests((*handshake_of(target), *first_question(None)))
    by_agent = {
        "server": target.agent_start(asked),
        "command": target.agent_command(asked),
        "stdin": f"our agent: {size} bytes with the SHA-256 {digest}, then requests",
    }
    choice = first_choice(target)
    served = {"backend": target.backend.value, "serves": choice.backend.value, "why": choice.why}
    if target.backend is Backend.AGENT:
        return link, {**served, **by_agent}
    by_experimaestro = {"server": target.server_command, "command": target.command}
    if target.backend is Backend.EXPERIMAESTRO:
        return link, {**served, **by_experimaestro, "warning": choice.warning}
    sides = [by_agent, by_experimaestro]
    first, other = sides if choice.backend is Backend.AGENT else reversed(sides)
    return link, {**served, **first, **{f"or {name}": value for name, value in other.items()}}
