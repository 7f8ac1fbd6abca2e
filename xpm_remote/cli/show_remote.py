"""What is known of a remote workspace without connecting to it."""

from __future__ import annotations

from typing import Any

from xpm_remote.link.engines import describe_link
from xpm_remote.session.target import Target


async def remote_facts(target: Target) -> dict[str, Any]:
    """Give where SSH would connect to, the server that would be run there, and the whole command line.

    Raises:
        OptionError: An SSH option, or a config file, holds something that cannot be used.
    """
    facts = await describe_link(target.options, target.engine)
    return {**facts, "server": target.server_command, "command": target.command}
