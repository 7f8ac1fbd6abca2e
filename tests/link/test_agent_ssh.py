"""The agent over SSH: on an account with only python3, and behind login files that print."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.server import Server
from xpm_remote.errors import StartError
from xpm_remote.link.course import Course
from xpm_remote.link.host import HostLink
from xpm_remote.link.observer import UNOBSERVED
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.remote.agent import agent_command
from xpm_remote.link.remote.bundle import agent_bundle
from xpm_remote.link.remote.command import WORKSPACE_MARKER, remote_command
from xpm_remote.link.transport import AgentTransport, Transport, greet_agent, open_transport
from xpm_remote.link.waits import DEFAULT_LIMITS
from xpm_remote.settings.schema import SshEngine

LIMIT = 60.0
"""Seconds for an answer, on a machine that runs other tests, too."""


def options_for(server: Server, name: str) -> ConnectOptions:
    """Return the options that log in as a user."""
    login = server.login(name)
    flags = f"-F none -p {server.port} -l {login.user} -i {login.key}"
    flags += f" -o UserKnownHostsFile={server.known_hosts}"
    return parse_ssh_options(server.host, [flags])


async def payload() -> bytes:
    """Return what the agent's python reads first."""
    return agent_bundle().payload


async def connect(
    server: Server,
    name: str,
    *,
    shell_init: str | None = None,
    python: str | None = None,
    login_file: str = "",
    link: HostLink | None = None,
) -> Transport:
    """Start an agent for a new workspace in the home of a user, behind what stands for a login file."""
    path = server.write(name, f"agent/{WORKSPACE_MARKER}", "").rpartition("/")[0]
    command = agent_command(path, python=python, compress=True)
    return await open_transport(
        link or HostLink(options_for(server, name)),
        login_file + remote_command(command, workspace=path, shell_init=shell_init),
        workspace=path,
        first=payload,
    )


async def handshake(transport: AgentTransport) -> Any:
    """Make the handshake."""
    params: dict[str, list[str]] = {"extensions": []}
    request = {"jsonrpc": "2.0", "id": 1, "method": "get_sync_info", "params": params}
    transport.send(json.dumps(request).encode() + b"\n")
    data = b""
    while not data.endswith(b"\n"):
        data += await asyncio.wait_for(transport.receive(), LIMIT)
    return json.loads(data)["result"]


@pytest.mark.parametrize("name", ["bare", "noisy"])
async def test_agent_over_ssh(name: str, server: Server) -> None:
    """With nothing installed there, and any output of the login files, the agent serves; then it ends."""
    transport = await connect(server, name, shell_init="echo loading modules")
    course = Course(UNOBSERVED, "host", DEFAULT_LIMITS)
    transport = await greet_agent(transport, agent_bundle(), course)
    try:
        info = await handshake(transport)
        assert info["protocol_version"] == "2.0"
        assert info["workspace_path"].endswith("/agent")
    finally:
        await transport.aclose()
    assert transport.exit.status == 0


async def test_no_such_interpreter(server: Server) -> None:
    """A missing interpreter that the settings name is reported."""
    transport = await connect(server, "bare", python="python3.99")
    with pytest.raises(StartError, match=r"tried python3\.99 \(not found\)"):
        await greet_agent(transport, agent_bundle(), Course(UNOBSERVED, "host", DEFAULT_LIMITS))
    await transport.aclose()


@pytest.mark.parametrize("eaten", [1, 5000])
async def test_login_files_that_read_input(eaten: int, engine: SshEngine, server: Server) -> None:
    """Where login files read a part of what was sent with the command, it is sent again; the next command waits."""
    link = HostLink(options_for(server, "bare"), engine)
    for is_known in (False, True):
        link.reads_input = is_known
        # The second command reads nothing: what it would read is sent after its mark.
        login_file = "" if is_known else f"head -c {eaten} >/dev/null; "
        transport = await connect(server, "bare", login_file=login_file, link=link)
        course = Course(UNOBSERVED, "host", DEFAULT_LIMITS)
        greeted = await greet_agent(transport, agent_bundle(), course)
        assert greeted.greeting.was_lost is not is_known
        assert (await handshake(greeted))["protocol_version"] == "2.0"
        await greeted.aclose()
