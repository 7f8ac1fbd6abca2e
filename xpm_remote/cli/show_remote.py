"""What is known of a remote workspace without connecting to it."""

from __future__ import annotations

from typing import Any

from xpm_remote.link.host import describe_link
from xpm_remote.link.remote.agent import agent_bundle
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import Backend


async def remote_facts(target: Target) -> dict[str, Any]:
    """Return where SSH would connect to, what would serve the workspace there, and the whole command line.

    Raises:
        OptionError: An SSH option, or a config file, holds something that cannot be used.
    """
    return {**await describe_link(target.options, target.engine), **served_facts(target)}


def served_facts(target: Target) -> dict[str, str]:
    """Return the backend, the server that would be run, and the whole command line; with ``or``, what if that fails.

    Raises:
        OptionError: A word of the command cannot be sent.
    """
    facts = {"backend": target.backend.value}
    if target.backend is Backend.AGENT:
        return {**facts, **_by_agent(target)}
    facts |= {"server": target.server_command, "command": target.command}
    if target.backend is Backend.AUTO:
        facts |= {f"or {name}": value for name, value in _by_agent(target).items()}
    return facts


def _by_agent(target: Target) -> dict[str, str]:
    bundle = agent_bundle()
    size, digest = bundle.arguments
    return {
        "server": target.agent_start(bundle),
        "command": target.agent_command(bundle),
        "stdin": f"our agent: {size} bytes with the SHA-256 {digest}, then requests",
    }
