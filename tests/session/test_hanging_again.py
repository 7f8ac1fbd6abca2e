"""A link that comes back to a host which hangs: the running dashboard tells what is waited for, and its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.hanging_hosts import LONG, POINTS, SHOWN, Point, hanging, one_limit
from tests.support.scripted_host import Host, serving
from xpm_remote.link.remote.startup import MARK
from xpm_remote.session import monitor as monitoring
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.reconnect import Backoff
from xpm_remote.session.state import Phase
from xpm_remote.settings.schema import Backend, SshEngine
from xpm_remote.ui.events import EventLines
from xpm_remote.ui.text import Format
from xpm_remote.ui.views import dashboard

pytestmark = pytest.mark.slow

LOADED = (
    b'{"jsonrpc":"2.0","id":%d,"result":{}}\n'
    b'{"jsonrpc":"2.0","method":"notification.loaded","params":{"sequence":1,"mark":1}}\n'
)


class Shown:
    """What a running monitor shows: the picture as a terminal has it, and the lines of the event stream."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.lines: list[str] = []
        self._events = EventLines(Format.TEXT)
        self._changed = asyncio.Event()
        monitor.subscribe(self._note)

    @property
    def picture(self) -> str:
        """The picture at this moment."""
        console = Console(width=200, height=20)
        with console.capture() as captured:
            console.print(dashboard(self.monitor.picture, time.time(), 200, 20))
        return captured.get()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so after an update."""
        while not is_so():
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), LONG)

    def _note(self, update: object) -> None:
        self.lines += self._events.lines(update, self.monitor.picture, time.time())  # type: ignore[arg-type]
        self._changed.set()


@pytest.fixture(autouse=True)
def prompt_telling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tell of waits early."""
    monkeypatch.setattr(monitoring, "STALL_SHOWN", SHOWN)
    monkeypatch.setattr(monitoring, "STALL_LOOK", SHOWN / 4)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("engine", [SshEngine.ASYNCSSH, SshEngine.OPENSSH])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
async def test_dashboard(point: Point, engine: SshEngine) -> None:
    """The picture and the event stream tell the wait; then the attempt ends, named, and another one follows."""
    host = Host(LOADED, f"\n{MARK} agent plain\n")
    words = "not found the workspace" if point.name == "directory" else point.wait.value
    async with serving(host, engine, Backend.AGENT) as found:
        limits = one_limit()
        target = replace(found, limits=limits)
        monitor = Monitor(target, backoff=Backoff(lambda: 0.5))
        shown = Shown(monitor)
        running = asyncio.create_task(monitor.run())
        await shown.until(lambda: monitor.picture.link.phase is Phase.LIVE)
        assert host.server is not None
        port = host.server.get_port()
        host.close_port()
        limits.short = point.wait
        async with hanging(point, port):
            host.drop()
            await shown.until(lambda: words in shown.picture)
            await shown.until(lambda: any(words in line for line in shown.lines))
            await shown.until(
                lambda: (
                    monitor.picture.link.phase is Phase.WAITING
                    and point.ends in (monitor.picture.link.detail or "")
                )
            )
            assert not running.done()
            running.cancel()
            await asyncio.wait({running})
