"""A monitor after a lost link: it retries, waits for the user, or ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from xpm_remote.errors import (
    AuthenticationError,
    HostKeyError,
    LinkError,
    LinkLostError,
    UnreachableError,
    XpmRemoteError,
)
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import BATCH_MODE, Prompter, UnansweredError
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.model.entities import Job, JobChange
from xpm_remote.session import monitor as module
from xpm_remote.session.backends import BackendContext
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.reconnect import Backoff
from xpm_remote.session.state import LinkState, Phase, Stall, Update
from xpm_remote.session.target import Target
from xpm_remote.workspace.states import State

CUT = LinkLostError("cut")
PASSWORD = "Password of me@host"
LIMIT = 5.0
"""Seconds for a scripted monitor to come to the end of its script."""

Step = Callable[[Prompter | None], Awaitable[None]]


async def be_live(prompter: Prompter | None) -> None:
    """Be live, and lose the link."""
    del prompter
    raise CUT


def fail(error: XpmRemoteError) -> Step:
    """Make an attempt that fails before it is live."""

    async def step(prompter: Prompter | None) -> None:
        del prompter
        raise error

    return step


async def ask_password(prompter: Prompter | None) -> None:
    """Make an attempt in which the host prompts for a password, as with the library's engine."""
    assert prompter is not None
    try:
        await prompter.ask(f"{PASSWORD}: ", echo=False)
    except UnansweredError as error:
        raise AuthenticationError(
            f"refused; it would take a password, but {error}", unanswered=(PASSWORD,)
        ) from error


class Script:
    """The scripted sessions of a monitor.

    Args:
        steps: For each session, how it ends; ``be_live`` has been live before.

    Attributes:
        lives: The steps before which the link is live.
    """

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.stall: Stall | None = None
        self.prompters: list[Prompter | None] = []
        self.lives = {be_live}

    def session(
        self,
        _: Any,
        context: BackendContext,
        enter: Callable[[Phase], None],
        go_live: Callable[[], Awaitable[None]],
    ) -> Any:
        """Replace the class of sessions."""
        script = self

        class Session:
            heard = None
            stall = script.stall
            skew = 0.0

            async def run(self, interval: float) -> None:
                del interval
                script.prompters.append(context.prompter)
                enter(Phase.CONNECTING)
                step = script.steps.pop(0)
                if step in script.lives:
                    enter(Phase.LOADING)
                    await go_live()
                await step(context.prompter)

        return Session()


class Never(Backoff):
    """Retries in an hour."""

    def next_delay(self, now: float) -> float:
        """Return an hour."""
        del now
        return 3600.0


class Calls:
    """A user who comes when called, or does not.

    Args:
        comes: Whether they come, each time.
    """

    def __init__(self, *comes: bool) -> None:
        self._comes = list(comes)

    async def __call__(self, asked: str) -> bool:
        """Come, or not."""
        del asked
        return self._comes.pop(0)


async def run(
    monkeypatch: pytest.MonkeyPatch, script: Script, *comes: bool, backoff: Backoff | None = None
) -> tuple[XpmRemoteError, list[LinkState]]:
    """Run a monitor to its end; return why it ended, and all states of its link."""
    monkeypatch.setattr(module, "Session", script.session)
    options = parse_ssh_options("host", [])
    target = Target("host", "/d", options, RemoteExperimaestro(xpm_path="x"))
    monitor = Monitor(target, backoff=backoff or Backoff(lambda: 0.0))
    states: list[LinkState] = []

    def note(_: object) -> None:
        states.append(monitor.picture.link)
        if isinstance(backoff, Never) and states[-1].phase is Phase.WAITING:
            asyncio.get_running_loop().call_soon(monitor.retry_now)

    monitor.subscribe(note)
    with pytest.raises(XpmRemoteError) as caught:
        await asyncio.wait_for(monitor.run(Calls(*comes)), LIMIT)
    return caught.value, states


def phases(states: list[LinkState]) -> list[str]:
    """Return the phases, without the intermediate ones."""
    return [state.phase.value for state in states if state.phase not in (Phase.LOADING,)]


async def test_first_attempt_must_succeed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transient failure ends it as long as it was never live; prompts are allowed."""
    script = Script(fail(UnreachableError("down")))
    error, states = await run(monkeypatch, script)
    assert isinstance(error, UnreachableError)
    assert phases(states) == ["connecting", "ended"]
    assert states[0].is_asking
    assert script.prompters == [None]


async def test_age_after_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown while the link is down is as old as the last look at the workspace, which its host had told."""
    script = Script(be_live, fail(HostKeyError("changed")))
    script.stall = Stall(1234.5, "the file server does not answer", "/d")
    _, states = await run(monkeypatch, script)
    assert [state.stale_since for state in states if state.phase is Phase.WAITING] == [1234.5]


async def test_needs_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unanswered prompt is waited for, then repeated, and the link is live again."""
    script = Script(be_live, ask_password, be_live, fail(HostKeyError("changed")))
    _, states = await run(monkeypatch, script, True)
    assert phases(states) == [
        *("connecting", "live", "waiting"),
        *("connecting", "needs-person", "connecting", "live", "waiting"),
        *("connecting", "ended"),
    ]
    (needed,) = [state for state in states if state.phase is Phase.NEEDS_PERSON]
    assert needed.asked == PASSWORD
    assert needed.stale_since is not None
    assert [each is None for each in script.prompters] == [True, False, True, False]
    assert [state.is_asking for state in states if state.phase is Phase.CONNECTING] == [
        *(True, False, True, False)
    ]


async def test_no_person_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no user comes it ends with the host's prompt as the reason."""
    error, states = await run(monkeypatch, Script(be_live, ask_password), False)
    assert isinstance(error, AuthenticationError)
    assert error.unanswered == (PASSWORD,)
    assert phases(states)[-2:] == ["needs-person", "ended"]


async def test_wrong_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wrong answer the user may try again; the prompt is still known."""
    wrong = fail(AuthenticationError("wrong"))
    script = Script(be_live, ask_password, wrong, wrong)
    _, states = await run(monkeypatch, script, True, True, False)
    needed = [state for state in states if state.phase is Phase.NEEDS_PERSON]
    assert [state.asked for state in needed] == [PASSWORD] * 3


async def test_network_fails_while_a_person_logs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transient failure is retried, without a prompt that the user did not request."""
    script = Script(be_live, ask_password, fail(UnreachableError("down")), ask_password)
    _, states = await run(monkeypatch, script, True, False)
    assert phases(states)[-4:] == ["waiting", "connecting", "needs-person", "ended"]
    assert [each is None for each in script.prompters] == [True, False, True, False]


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("the key is refused"),
        AuthenticationError(f"it would take a password, but {BATCH_MODE}"),
        HostKeyError("the host key has changed"),
    ],
)
async def test_fatal(monkeypatch: pytest.MonkeyPatch, error: XpmRemoteError) -> None:
    """A failure that no answer would prevent ends it."""
    raised, states = await run(monkeypatch, Script(be_live, fail(error)))
    assert raised is error
    assert "needs-person" not in phases(states)


@pytest.mark.parametrize("kind", [AuthenticationError, HostKeyError])
async def test_questions(monkeypatch: pytest.MonkeyPatch, kind: type[LinkError]) -> None:
    """It waits for a user after any prompt of an attempt, with any kind of failure."""
    error = kind("refused", unanswered=("a code", "a password"))
    _, states = await run(monkeypatch, Script(be_live, fail(error)), False)
    assert states[-2].asked == "a code or a password"


async def test_retry_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for the next attempt can be cut short."""
    script = Script(be_live, be_live, fail(HostKeyError("changed")))
    _, states = await run(monkeypatch, script, backoff=Never(lambda: 0.0))
    assert phases(states).count("live") == 2


def gap_of(monkeypatch: pytest.MonkeyPatch) -> tuple[Monitor, list[Update]]:
    """Return a monitor whose link was lost and is being restored, and what it tells."""
    monkeypatch.setattr(module, "SLICE", 10)
    monitor = Monitor(
        Target("host", "/d", parse_ssh_options("host", []), RemoteExperimaestro(xpm_path="x"))
    )
    told: list[Update] = []
    monitor.subscribe(told.append)
    monitor.was_live = True
    monitor._enter(Phase.LOADING)
    return monitor, told


async def test_changes_of_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a job changes before a snapshot after a loss is complete, its net change is kept, and told once."""
    monitor, told = gap_of(monkeypatch)
    jobs = [Job(task_id="demo.task", job_id="a", path=str(number)) for number in range(1000)]
    for before, after in pairwise(jobs):
        monitor._publish(Update((JobChange(before, after),)))
        assert len(monitor._gap) == 1
    await monitor._go_live()
    assert [update.changes for update in told if update.changes] == [
        (JobChange(jobs[0], jobs[-1]),)
    ]


async def test_many_changes_of_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of many jobs are told in slices, in the order of their times, and counted; other tasks run meanwhile."""
    monitor, told = gap_of(monkeypatch)
    ends = [
        datetime(2026, 11, 1, tzinfo=timezone.utc) + timedelta(hours=7 * n % 48) for n in range(48)
    ]
    for number, end in enumerate(ends):
        before = Job(task_id="demo.task", job_id=f"{number}")
        job = msgspec.structs.replace(before, execution=State.DONE, ended=end)
        monitor._publish(Update((JobChange(before, job, end),)))
    same = Job(task_id="demo.task", job_id="same")
    monitor._publish(Update((JobChange(same, same),)))
    runs = 0

    async def count() -> None:
        nonlocal runs
        while True:
            await asyncio.sleep(0)
            runs += 1

    counting = asyncio.create_task(count())
    await monitor._go_live()
    counting.cancel()
    changes = [update.changes for update in told if update.changes]
    assert [len(each) for each in changes] == [10, 10, 10, 10, 8]
    assert [each.at for part in changes for each in part if isinstance(each, JobChange)] == sorted(
        ends
    )
    assert monitor.picture.link.digest is not None
    assert monitor.picture.link.digest.done == 48
    assert runs >= 2 * len(changes) - 1
