"""The same connection by ssh and by us, to a server that admits everyone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncssh

from xpm_remote.errors import LinkError
from xpm_remote.link.asyncssh_engine.connection import open_connection
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import RefusingPrompter

HOST = "127.0.0.1"
LIMIT = 30.0
"""Seconds for one connection, of a second at most, on a machine that runs other tests, too."""


class Open(asyncssh.SSHServer):
    """Admits everyone."""

    def begin_auth(self, username: str) -> bool:
        """Require no authentication."""
        return False


@asynccontextmanager
async def open_server(**options: Any) -> AsyncIterator[int]:
    """Run a server with some options of the library; yield its port."""
    listener = await asyncssh.listen(
        HOST, 0, server_factory=Open, process_factory=lambda process: process.exit(0), **options
    )
    try:
        yield listener.get_port()
    finally:
        listener.close()
        await listener.wait_closed()


async def ssh_connects(options: list[str], user: str = "me", config: str = "none") -> bool:
    """Return whether ssh connects."""
    words = [word for option in options for word in ("-o", option)]
    process = await asyncio.create_subprocess_exec(
        "ssh", "-F", config, *words, "-l", user, HOST, "true", stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await asyncio.wait_for(process.communicate(), LIMIT)
    assert process.returncode in (0, 255), stderr
    return process.returncode == 0


async def we_connect(
    refusal: type[LinkError], options: list[str], user: str = "me", config: str = "none"
) -> bool:
    """Return whether we connect; what is no refusal of this kind is raised."""
    parsed = parse_ssh_options(f"{user}@{HOST}", [f"-F {config}", *options])
    try:
        connection = await asyncio.wait_for(open_connection(parsed, RefusingPrompter("")), LIMIT)
    except refusal:
        return False
    await connection.aclose(by_force=True)
    return True
