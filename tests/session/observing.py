"""A running monitor through a proxy, and its reports."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.proxy import Proxy
from tests.support.server import Server
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.state import Phase, Update
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import Backend, SshEngine
from xpm_remote.ui.documents import event_documents

KEEPALIVE = "-o ServerAliveInterval=1 -o ServerAliveCountMax=2"
LIVE_LIMIT = 60.0
"""Seconds for the link to be live, on a machine that runs other tests, too."""


def target_through(
    proxy: Proxy,
    server: Server,
    path: str,
    engine: SshEngine,
    xpm_path: str,
    backend: Backend = Backend.EXPERIMAESTRO,
) -> Target:
    """Return the target that leads to alice's workspace through a proxy."""
    login = server.login("alice")
    flags = (
        f"-F none -p {proxy.port} -l {login.user} -i {login.key} {KEEPALIVE}"
        f" -o UserKnownHostsFile={server.known_hosts}"
        f" -o HostKeyAlias=[{server.host}]:{server.port}"
    )
    return Target(
        name=proxy.host,
        workspace=path,
        options=parse_ssh_options(proxy.host, [flags], engine),
        remote=RemoteExperimaestro(xpm_path=xpm_path),
        engine=engine,
        backend=backend,
    )


class Observed:
    """A monitor, and its reports.

    Args:
        monitor: The monitor.

    Attributes:
        told: The reported states of each job.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.told: dict[str, list[str]] = defaultdict(list)
        self._changed = asyncio.Event()
        monitor.subscribe(self._note)

    @property
    def phase(self) -> Phase:
        """The phase of the link."""
        return self.monitor.picture.link.phase

    @property
    def states(self) -> dict[str, str]:
        """The states of all jobs in the monitor."""
        return {key: job.state.value for key, job in self.monitor.store.jobs.items()}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Let the monitor run from when it is live until the context ends."""
        async with running(self.monitor.run(), self) as task:
            yield task

    async def wait_live(self) -> None:
        """Wait until the link is live."""
        await self.wait_for(lambda: self.phase is Phase.LIVE, "the link to be live")

    async def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition on updates."""

        async def wait() -> None:
            while not condition():
                assert self.phase is not Phase.ENDED, self.monitor.picture.link.detail
                self._changed.clear()
                await self._changed.wait()

        try:
            await asyncio.wait_for(wait(), LIVE_LIMIT)
        except asyncio.TimeoutError:
            link = self.monitor.picture.link
            pytest.fail(f"waited {LIVE_LIMIT:g} s in vain for {what}; the link: {link}")

    def _note(self, update: Update) -> None:
        self._changed.set()
        if self.phase is not Phase.LIVE:
            return
        for document in event_documents(update, self.monitor.store, time.time(), progress=False):
            if document["event"] == "job":
                self.told[document["id"]].append(document["state"])


@asynccontextmanager
async def running(
    work: Coroutine[Any, Any, None], *observed: Observed
) -> AsyncIterator[asyncio.Task[None]]:
    """Let what keeps monitors in step run from when they are live until the context ends."""
    task = asyncio.create_task(work, name="monitor")
    try:
        for each in observed:
            await each.wait_live()
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
