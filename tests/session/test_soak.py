"""A link that is cut and stalled repeatedly while the workspace changes: the reports are complete and true.

The seed is printed; ``XPM_TEST_SEED`` sets it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

import pytest

from tests.session.observing import Observed, running, target_through
from tests.support.busy import STEPS_OF_A_JOB, BusyWorkspace
from tests.support.effort import examples
from tests.support.proxy import Proxy
from tests.support.server import Server
from xpm_remote.session.fleet import Fleet
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.reconnect import Backoff
from xpm_remote.session.state import Phase
from xpm_remote.settings.schema import Backend, SshEngine

pytestmark = pytest.mark.slow

FAULTS = examples(6, 50)
"""At least one of each kind."""
STEPS = 10
"""Changes that are made around each fault."""
JOBS = FAULTS * STEPS // STEPS_OF_A_JOB
ORDER = ["waiting", "ready", "scheduled", "running", "done", "error"]
START_LIMIT = 30.0
"""Seconds for experimaestro to answer, which has to start on a busy machine; stalls are noticed by the keepalive."""
STAGE_LIMIT = 20.0
"""Seconds for an attempt to come so far that it can be disturbed; if it has not, it is disturbed where it is."""
KINDS = ("reset", "close", "pause", "pause and cut", "refuse", "stall")
KEY_EXCHANGE = 500
"""Bytes from the server with which it has begun to exchange keys: after its greeting, before the login."""


class Hurry(Backoff):
    """Retries almost at once, without a limit, since the server is ours."""

    def __init__(self) -> None:
        super().__init__(random.random)

    def next_delay(self, now: float) -> float:
        """Return a delay in which the proxy may still refuse."""
        return 0.05


@dataclass(frozen=True)
class Fault:
    """A fault of the link.

    Attributes:
        stage: When: while it is being made (``connect``, ``handshake``, ``snapshot``), or in the stream.
        kind: What: ``reset`` or ``close`` it, ``pause`` it for a moment, ``pause`` and then cut, ``stall`` it until
            that is noticed, ``refuse`` it for a moment.
        ways: The directions that a stall or pause is about.
        delay: Seconds from reaching the stage to the fault.
        seconds: Seconds that a pause or a refusal takes.
    """

    stage: str
    kind: str
    ways: tuple[bool, bool]
    delay: float
    seconds: float

    @classmethod
    def draw(cls, dice: random.Random) -> Iterator[Fault]:
        """Generate faults for ever, each kind in turn."""
        for _ in itertools.count():
            for kind in dice.sample(KINDS, len(KINDS)):
                yield cls._of_kind(kind, dice)

    @classmethod
    def _of_kind(cls, kind: str, dice: random.Random) -> Fault:
        stages = ["snapshot", "stream", "stream"]
        # Before the login nothing keeps the link alive, and timeouts are long by intention.
        if kind != "stall":
            stages += ["connect", "handshake"]
        stage = dice.choice(stages)
        return cls(
            stage=stage,
            kind=kind,
            ways=dice.choice([(True, True), (True, False), (False, True)]),
            delay=dice.uniform(0, 0.05 if stage != "stream" else 0.2),
            seconds=dice.uniform(0.1, 0.6),
        )


class Trouble:
    """Makes faults.

    Args:
        proxy: What carries the link.
        observed: The monitor at the end of it.
    """

    def __init__(self, proxy: Proxy, observed: Observed) -> None:
        self._proxy = proxy
        self._observed = observed

    async def make(self, fault: Fault, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Make a fault at its stage, and let something happen before it is over."""
        await self._reach(fault.stage)
        await asyncio.sleep(fault.delay)
        proxy = self._proxy
        if fault.kind in ("reset", "close"):
            proxy.cut(reset=fault.kind == "reset")
            await meanwhile()
        elif fault.kind == "refuse":
            proxy.refuse()
            proxy.cut()
            await meanwhile()
            await asyncio.sleep(fault.seconds)
        else:
            proxy.stall(*fault.ways)
            await meanwhile()
            await self._endure(fault)
        proxy.restore()

    async def _endure(self, fault: Fault) -> None:
        """Wait while a stall lasts."""
        if fault.kind == "stall":
            busy = (Phase.LIVE, Phase.LOADING)
            await self._observed.wait_for(
                lambda: self._observed.phase not in busy, "the stall to be noticed"
            )
        else:
            await asyncio.sleep(fault.seconds)
            if fault.kind == "pause and cut":
                self._proxy.cut()

    async def _reach(self, stage: str) -> None:
        """Wait until the link is at a stage; reconnect if it is past that."""
        observed, proxy = self._observed, self._proxy
        if stage == "stream":
            await observed.wait_for(lambda: observed.phase is Phase.LIVE, "the link to be live")
            return
        connections, carried = proxy.connections, proxy.bytes_to_client
        if stage != "snapshot" or observed.phase is Phase.LIVE:
            proxy.cut()
        if stage == "snapshot":
            await observed.wait_for(lambda: observed.phase is Phase.LOADING, "a snapshot")
            return
        enough = carried + (KEY_EXCHANGE if stage == "handshake" else 0)
        await asyncio.to_thread(
            proxy.wait_for,
            lambda: proxy.connections > connections and proxy.bytes_to_client >= enough,
            STAGE_LIMIT,
        )


WAYS = [
    pytest.param(SshEngine.ASYNCSSH, Backend.EXPERIMAESTRO, id="asyncssh"),
    pytest.param(SshEngine.OPENSSH, Backend.EXPERIMAESTRO, id="openssh"),
    pytest.param(SshEngine.ASYNCSSH, Backend.AGENT, id="agent"),
]


@pytest.mark.parametrize(("engine", "backend"), WAYS)
async def test_nothing_is_lost_and_nothing_is_told_twice(
    server: Server, engine: SshEngine, backend: Backend
) -> None:
    """Through cuts, stalls and ten times as many changes, each job's states are reported in order, once, to the end."""
    seed = os.environ.get("XPM_TEST_SEED") or secrets.token_hex(4)
    print(f"XPM_TEST_SEED={seed}")  # noqa: T201 - with it, whoever sees a failure repeats it
    dice = random.Random(f"{seed} {engine.value} {backend.value}")
    name = f"soak-{engine.value}-{secrets.token_hex(4)}"
    busy = BusyWorkspace(server, name, jobs=JOBS, seed=seed)
    with Proxy(server.host, server.port) as proxy:
        target = target_through(proxy, server, busy.path, engine, server.experimaestro, backend)
        observed = Observed(Monitor(target, timeout=START_LIMIT, interval=1, backoff=Hurry()))
        trouble = Trouble(proxy, observed)
        async with busy, observed.running():
            for fault in itertools.islice(Fault.draw(dice), FAULTS):
                await busy.advance(STEPS // 2)
                await trouble.make(fault, lambda: busy.advance(STEPS // 2))
            assert busy.left == 0
            await busy.end()
            on_disk = await busy.states()
            await observed.wait_for(partial(is_known, observed, on_disk), "the final states")
    assert set(on_disk.values()) == {"done", "error"}
    check_told(observed, on_disk)


AT_ONCE = [
    pytest.param(SshEngine.ASYNCSSH, Backend.AGENT, id="agent"),
    pytest.param(SshEngine.OPENSSH, Backend.AGENT, id="openssh"),
    pytest.param(SshEngine.ASYNCSSH, Backend.EXPERIMAESTRO, id="experimaestro"),
][: examples(1, 3)]
NAMES = ("one", "two", "three")


@pytest.mark.parametrize(("engine", "backend"), AT_ONCE)
async def test_three_workspaces_at_once(
    server: Server, engine: SshEngine, backend: Backend
) -> None:
    """With two workspaces on one host and one on another, whose links fail in turn, each is reported as if alone."""
    seed = os.environ.get("XPM_TEST_SEED") or secrets.token_hex(4)
    print(f"XPM_TEST_SEED={seed}")  # noqa: T201 - with it, a failure is repeated
    dice = random.Random(f"{seed} {engine.value} {backend.value}")
    folder = f"soak-{secrets.token_hex(4)}"
    busy = {
        name: BusyWorkspace(server, f"{folder}-{name}", jobs=JOBS, seed=f"{seed}{name}")
        for name in NAMES
    }

    async def advance() -> None:
        await asyncio.gather(*(each.advance(STEPS // 2) for each in busy.values()))

    with Proxy(server.host, server.port) as near, Proxy(server.host, server.port) as far:
        proxies = {"one": near, "two": near, "three": far}
        targets = [
            replace(
                target_through(
                    proxies[name], server, each.path, engine, server.experimaestro, backend
                ),
                id=name,
            )
            for name, each in busy.items()
        ]
        fleet = Fleet(targets, timeout=START_LIMIT, interval=1, backoff=Hurry)
        observed = {name: Observed(fleet.members[name]) for name in NAMES}
        troubles = [Trouble(proxies[name], observed[name]) for name in NAMES]
        async with AsyncExitStack() as stack:
            for each in busy.values():
                await stack.enter_async_context(each)
            async with running(fleet.run(), *observed.values()):
                faults = itertools.islice(Fault.draw(dice), FAULTS)
                for trouble, fault in zip(itertools.cycle(troubles), faults):
                    await advance()
                    await trouble.make(fault, advance)
                for name, each in busy.items():
                    await each.end()
                    on_disk, one = await each.states(), observed[name]
                    final = partial(is_known, one, on_disk)
                    await one.wait_for(final, f"the final states of {name}")
                    check_told(one, on_disk)


def is_known(observed: Observed, on_disk: dict[str, str]) -> bool:
    """Return whether a monitor is live and knows the states on disk."""
    return observed.phase is Phase.LIVE and observed.states == on_disk


def check_told(observed: Observed, on_disk: dict[str, str]) -> None:
    """Check that the states of each job were reported in order, each once, to the last one."""
    assert {job: states[-1] for job, states in observed.told.items()} == on_disk
    for job, states in observed.told.items():
        ranks = [ORDER.index(state) for state in states]
        assert ranks == sorted(set(ranks)), (job, states)
        assert sum(state in ("done", "error") for state in states) == 1, (job, states)
