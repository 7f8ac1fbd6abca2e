"""A file server that fails or hangs, from outside: nothing is gone, the picture says what is wrong, and it heals."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from tests.rpc.test_client import HandTransport
from tests.support.loopback import Loopback, loopback
from tests.workspace.disk import RUN_ID, Disk
from xpm_remote.errors import StalledError
from xpm_remote.link.waits import CurrentWait, Wait
from xpm_remote.model.agent_rows import AgentRows
from xpm_remote.model.store import Store
from xpm_remote.rpc.client import RpcClient
from xpm_remote.session.backends import BackendChooser, BackendContext, ServingSide
from xpm_remote.session.monitor import STALL_SHOWN, Monitor, Session
from xpm_remote.session.state import Phase, Stall, Update
from xpm_remote.session.target import LocalTarget
from xpm_remote.ui.documents import picture_document
from xpm_remote.ui.events import EventLines
from xpm_remote.ui.text import Format
from xpm_remote.workspace.layout import JobId

pytestmark = pytest.mark.slow

ONE, TWO = (JobId("demo.task", letter * 64) for letter in "ab")
TOLD_WITHIN = 10.0
"""Seconds from the stop of a file server until it is told."""
PATIENCE = 30.0
"""Seconds for what takes a few, on a machine that runs other tests, too."""


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A workspace with an experiment that runs and one that has ended."""
    disk = Disk(tmp_path / "source")
    (disk.root / ".events" / "jobs").mkdir(parents=True)
    disk.run("exp", [ONE], job_states={ONE.hash: "waiting"}, hostname="far")
    disk.run("old", [TWO], status="done", job_states={TWO.hash: "done"}, hostname="far")
    disk.job(ONE, {"state": "waiting"})
    disk.job(TWO, {"state": "done"}, done="")
    return disk


@pytest.fixture
def server(disk: Disk, tmp_path: Path) -> Iterator[Loopback]:
    """The file server that shows it."""
    with loopback(disk.root, tmp_path / "ws") as server:
        yield server


class Watch:
    """A monitor of a workspace, and the lines of its events."""

    def __init__(self, server: Loopback) -> None:
        self.monitor = Monitor(LocalTarget("here", str(server.root)))
        self.lines: list[str] = []
        self._events = EventLines(Format.TEXT)
        self._changed = asyncio.Event()
        self.monitor.subscribe(self._take)

    def _take(self, update: Update) -> None:
        self.lines += self._events.lines(update, self.monitor.picture, time.time())
        self._changed.set()

    async def until(self, is_so: Callable[[], bool], limit: float = PATIENCE) -> None:
        """Wait until an update makes something true."""
        end = time.monotonic() + limit
        while not is_so():
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), end - time.monotonic())


@contextlib.asynccontextmanager
async def watching(server: Loopback) -> AsyncIterator[Watch]:
    """Watch the workspace, live."""
    watch = Watch(server)
    running = asyncio.create_task(watch.monitor.run())
    try:
        await watch.until(lambda: watch.monitor.picture.link.phase is Phase.LIVE)
        yield watch
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_errors_from_outside(server: Loopback, disk: Disk) -> None:
    """Directories and files that cannot be read are told by name; nothing is gone, nor new when it is over."""
    errors = {
        "experiments/old": errno.ESTALE,
        f"experiments/exp/{RUN_ID}/jobs.jsonl": errno.EIO,
        f"jobs/demo.task/{ONE.hash}": errno.EACCES,
    }
    async with watching(server) as watch:
        before = picture_document(watch.monitor.picture, 0.0)
        seen = len(watch.lines)
        server.fail(errors)
        disk.run("new", hostname="far")  # the list of experiments, so each of them, is read
        await watch.until(lambda: len(watch.monitor.picture.unreadable.files) >= 2)
        await watch.until(lambda: any("Stale file handle" in line for line in watch.lines))
        document = picture_document(watch.monitor.picture, 0.0)
        failing = {f"{server.root}/{place}": code for place, code in errors.items()}
        for each in document["unreadable"]:
            # The path that cannot be read, or what would be looked for in it.
            (place,) = (p for p in failing if f"{each['path']}/".startswith(f"{p}/"))
            assert each["error"] == errno.errorcode[failing[place]]
        server.fail({})
        await watch.until(lambda: not watch.monitor.picture.unreadable.files, 2 * PATIENCE)
        after = picture_document(watch.monitor.picture, 0.0)
        assert after["jobs"] == before["jobs"]
        known = {each["id"]: each for each in after["experiments"]}
        assert [known[each["id"]] for each in before["experiments"]] == before["experiments"]
        for line in watch.lines[seen:]:
            assert "deleted" not in line
            assert "new →" not in line or "experiment new" in line
        assert any("/experiments/old" in line and "Stale" in line for line in watch.lines)


async def test_server_that_hangs(server: Loopback, disk: Disk) -> None:
    """A file server that hangs is told within ten seconds, with the path; and it is over when it answers again."""
    async with watching(server) as watch:
        server.stop()
        began = time.time()
        try:
            await watch.until(lambda: watch.monitor.picture.stall is not None, TOLD_WITHIN)
            assert time.time() - began < TOLD_WITHIN
            threads = count_threads(server)
            link = picture_document(watch.monitor.picture, time.time())["link"]
            assert link["phase"] == "live"
            assert link["waits_for"].startswith(str(server.root))
            assert link["not_read_since"] is not None
            assert any("the file server does not answer" in line for line in watch.lines)
            await asyncio.sleep(3.0)
            assert count_threads(server) == threads
        finally:
            server.go_on()
        await watch.until(lambda: watch.monitor.picture.stall is None)
        assert any("the workspace is read again" in line for line in watch.lines)
        disk.run("new", hostname="far")
        await watch.until(lambda: any("experiment new" in line for line in watch.lines))


async def test_single_look_at_a_server_that_hangs(server: Loopback) -> None:
    """A single look tells after some seconds what it waits for, and ends at its limit with the cause."""
    monitor = Monitor(LocalTarget("here", str(server.root)), timeout=7.0)
    stalls = []
    monitor.subscribe(lambda _: stalls.append(monitor.picture.stall))
    server.stop()
    try:
        with pytest.raises(StalledError, match="the file server does not answer") as caught:
            await asyncio.wait_for(monitor.snapshot(), PATIENCE)
        assert str(server.root) in str(caught.value)
        assert any(stalls)
    finally:
        server.go_on()


@pytest.mark.parametrize(
    ("wait", "why", "waits_for"),
    [
        (Wait.WORKSPACE, "the host has not found the workspace", "/nowhere"),
        (Wait.SHELL_INIT, "the remote shell is not ready", "the end of shell_init on here"),
        (Wait.TCP, "the host is not connected", "a TCP connection to here"),
        (None, None, None),
    ],
)
async def test_start_that_hangs(wait: Wait | None, why: str | None, waits_for: str | None) -> None:
    """A start that takes long is told with its phase; one that waits for the workspace ends at the limit."""

    class Hanging(BackendChooser):
        async def open(self, context: BackendContext) -> ServingSide:
            if wait is not None:
                context.observer.wait_for(CurrentWait(wait, "here", time.time()))
            await asyncio.Event().wait()
            raise AssertionError

    told: list[Stall] = []
    context = BackendContext(
        store=Store(),
        publish=lambda _: told.append(session.stall) if session.stall else None,
        timeout=STALL_SHOWN + 1.0,
        prompter=None,
        rows=AgentRows(),
    )
    session = Session(
        Hanging(LocalTarget("here", "/nowhere")), context, lambda _: None, AsyncMock()
    )
    looking = asyncio.wait_for(session.snapshot(), STALL_SHOWN + 3.0)
    is_bounded = wait is Wait.WORKSPACE
    with pytest.raises(StalledError if is_bounded else asyncio.TimeoutError):
        await looking
    assert [(each.why, each.waits_for) for each in told] == ([(why, waits_for)] if why else [])


async def test_experimaestro_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests to experimaestro that are not answered while the connection stands are told the same way."""
    monkeypatch.setattr("xpm_remote.session.monitor.STALL_SHOWN", 0.2)
    monkeypatch.setattr("xpm_remote.session.monitor.STALL_LOOK", 0.05)
    transport = HandTransport()
    client = RpcClient(transport, command=None, listener=lambda _: None, timeout=PATIENCE)
    changed: asyncio.Queue[Stall | None] = asyncio.Queue()
    context = BackendContext(
        store=Store(),
        publish=lambda _: changed.put_nowait(session.stall),
        timeout=PATIENCE,
        prompter=None,
        rows=AgentRows(),
        link=None,
    )
    target = LocalTarget("here", "/nowhere")
    session = Session(BackendChooser(target), context, lambda _: None, AsyncMock())
    session._client = client
    asked = asyncio.create_task(client.call("get_jobs"))
    watching = asyncio.create_task(session._watch_stall())
    try:
        stall = await asyncio.wait_for(changed.get(), PATIENCE)
        assert stall is not None
        assert (stall.why, stall.waits_for) == ("experimaestro does not answer", "get_jobs")
        transport.answer({"id": transport.sent[0]["id"], "result": []})
        await asked
        assert await asyncio.wait_for(changed.get(), PATIENCE) is None
    finally:
        watching.cancel()
        await client.aclose()


def count_threads(server: Loopback) -> int:
    """Return how many threads the agent of a workspace has."""
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if os.fsencode(server.root) in words and b"-I" in words:
                    return len(list((process / "task").iterdir()))
    pytest.fail("there is no agent")
