"""Log in to the test server by the library."""

from __future__ import annotations

from xpm_remote.link.asyncssh_engine.connection import open_connection
from xpm_remote.link.options.connect_options import parse_ssh_options


async def whoami(host: str, *options: str) -> str:
    """Log in and return the user's name."""
    connection = await open_connection(parse_ssh_options(host, options))
    try:
        done = await connection.ssh.run("id -un", check=True)
    finally:
        await connection.aclose()
    return str(done.stdout).strip()
