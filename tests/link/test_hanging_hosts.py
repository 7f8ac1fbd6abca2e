"""A host that hangs at each point of the way: what is waited for is told, and the wait ends at its limit, named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from tests.link.readers import Reader
from tests.support.hanging_hosts import (
    HOST,
    LONG,
    POINTS,
    SHOWN,
    Point,
    hanging,
    hanging_ssh,
    one_limit,
)
from xpm_remote.doctor.examine import examine
from xpm_remote.doctor.stages import Examination, Stage
from xpm_remote.errors import ExitCode, XpmRemoteError
from xpm_remote.link import course
from xpm_remote.link.course import SlowWaits
from xpm_remote.link.host import HostLink
from xpm_remote.link.openssh_engine import connection as openssh
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import RefusingPrompter
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.link.waits import Wait
from xpm_remote.session.agent_client import open_agent
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import Backend, SshEngine

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def prompt_telling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tell of waits early."""
    monkeypatch.setattr(course, "WAIT_SHOWN", SHOWN)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def target_at(port: int, engine: SshEngine, point: Point) -> Target:
    """Return a workspace on the host, and the limit of the wait at which it hangs."""
    options = [
        f"-F none -p {port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
        "-o GlobalKnownHostsFile=/dev/null",
    ]
    return Target(
        name=HOST,
        workspace="/d",
        options=parse_ssh_options(HOST, options, engine),
        remote=RemoteExperimaestro(),
        engine=engine,
        backend=Backend.AGENT,
        shell_init="true",
        limits=one_limit(point.wait),
    )


def within(work: Awaitable[Any]) -> Any:
    """Wait for what must end by itself."""
    return asyncio.wait_for(work, LONG)


@pytest.mark.parametrize("engine", [SshEngine.ASYNCSSH, SshEngine.OPENSSH])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
async def test_command(point: Point, engine: SshEngine) -> None:
    """A command tells what it waits for, and ends with the stage, its code, and the host's last words."""
    told: list[str] = []
    async with hanging(point) as port:
        target = target_at(port, engine, point)
        link = HostLink(target.options, engine, target.limits)
        prompter = RefusingPrompter("it is night")
        opening = open_agent(target, link, prompter=prompter, observer=SlowWaits(told.append))
        with pytest.raises(XpmRemoteError) as caught:
            await within(opening)
    assert point.ends in str(caught.value)
    assert point.wait.value in " ".join(told)
    assert caught.value.exit_code is point.code


@pytest.mark.parametrize("name", ["silent", "greeted", "login"])
async def test_person_at_the_terminal(name: str) -> None:
    """That a person could be asked gives a host that asks nothing no more time."""
    (point,) = [each for each in POINTS if each.name == name]
    async with hanging(point) as port:
        target = target_at(port, SshEngine.OPENSSH, point)
        link = HostLink(target.options, SshEngine.OPENSSH, target.limits)
        with pytest.raises(XpmRemoteError) as caught:
            await within(open_agent(target, link, prompter=Reader()))
    assert point.ends in str(caught.value)


async def test_what_carries_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What carries a connection may ask a person, so it gets the time for that, and no more."""
    monkeypatch.setattr(openssh, "PERSON_TIME", 0.5)
    options = parse_ssh_options("inside", ["-F none", "ProxyCommand=sleep 20"], SshEngine.OPENSSH)
    link = HostLink(options, SshEngine.OPENSSH, one_limit())
    with pytest.raises(XpmRemoteError, match=r"no SSH greeting within 0\.5 s"):
        await within(link.open_process("true", Reader()))


async def test_end_that_ssh_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that ssh does not end at its limit, as OpenSSH 10 in a tarpit, is ended and named with that limit."""
    monkeypatch.setattr(openssh, "GRACE", 0.5)
    options = parse_ssh_options(HOST, ["-F none"], SshEngine.OPENSSH)
    link = HostLink(options, SshEngine.OPENSSH, one_limit(Wait.GREETING))
    with hanging_ssh(r"debug1: Connection established.\n"), pytest.raises(XpmRemoteError) as caught:
        await within(link.open_process("true", RefusingPrompter("it is night")))
    assert "no SSH greeting within 1 s" in str(caught.value)
    assert caught.value.exit_code is ExitCode.UNREACHABLE


STAGES = {
    "resolve": Stage.RESOLVE,
    "tcp": Stage.TCP,
    "silent": Stage.TCP,
    "tarpit": Stage.TCP,
    "greeted": Stage.HOST_KEY,
    "login": Stage.AUTHENTICATION,
    "channel": Stage.SHELL,
    "files": Stage.SHELL,
    "init": Stage.SHELL_INIT,
}


@pytest.mark.parametrize("engine", [SshEngine.ASYNCSSH, SshEngine.OPENSSH])
@pytest.mark.parametrize(
    "point", [each for each in POINTS if each.name in STAGES], ids=lambda point: point.name
)
async def test_doctor(point: Point, engine: SshEngine) -> None:
    """The doctor tells what it waits for, and fails at the stage that hangs."""
    told: list[str] = []
    examination = Examination(asyncio.get_running_loop().time, waits=SlowWaits(told.append))
    async with hanging(point) as port:
        prompter = RefusingPrompter("it is night")
        await within(examine(target_at(port, engine, point), examination, prompter=prompter))
    assert point.wait.value in " ".join(told)
    assert examination.exit_code is point.code
    failed = next(each for each in examination.results if each.error is not None)
    assert failed.stage is STAGES[point.name]
