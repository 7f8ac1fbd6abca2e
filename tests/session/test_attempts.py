"""Attempts to reconnect to a server that accepts connections and drops them."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.session.observing import Observed, target_through
from tests.support.fakes import install_fake_monitor
from tests.support.proxy import Proxy
from tests.support.server import Server
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.reconnect import ATTEMPTS, WINDOW, Backoff
from xpm_remote.session.state import Phase
from xpm_remote.settings.schema import SshEngine

pytestmark = pytest.mark.slow

ENGINES = (SshEngine.ASYNCSSH, SshEngine.OPENSSH)
SCENARIO = {"generate": {"experiments": 1, "jobs": 2}}
SPEED = 5
"""Times that the clock of the backoff goes faster than ours, so that its window passes sooner."""


class Fast(Backoff):
    """The backoff, with a faster clock."""

    def __init__(self) -> None:
        super().__init__(random.random)

    def next_delay(self, now: float) -> float:
        """Return the seconds of our clock."""
        return super().next_delay(now * SPEED) / SPEED


async def attempts_in_window(server: Server, engine: SshEngine) -> int:
    """Lose a live link to a server that drops what it accepts; return the number of connections within the window."""
    fake = await asyncio.to_thread(install_fake_monitor, server, SCENARIO)
    with Proxy(server.host, server.port) as proxy:
        target = target_through(proxy, server, fake.workspace, engine, fake.xpm_path)
        observed = Observed(Monitor(target, backoff=Fast()))
        async with observed.running():
            before = proxy.connections
            proxy.drop()
            proxy.cut()
            await asyncio.sleep(WINDOW / SPEED)
            assert observed.phase in (Phase.WAITING, Phase.CONNECTING)
            made = proxy.connections - before
            proxy.restore()
            observed.monitor.retry_now()
            await observed.wait_for(lambda: observed.phase is Phase.LIVE, "the link to be back")
    return made


async def test_does_not_hammer(server: Server) -> None:
    """With either engine, at most six attempts are made in a window; and one at once on request."""
    made = await asyncio.gather(*(attempts_in_window(server, engine) for engine in ENGINES))
    assert all(1 <= number <= ATTEMPTS for number in made), made
