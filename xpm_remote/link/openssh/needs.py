"""Whether a connection needs the program ``ssh``, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xpm_remote.link.config.unsupported import UnsupportedSetting
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.options.keywords import NEEDS_GSSAPI
from xpm_remote.settings.schema import SshEngine


@dataclass(frozen=True)
class EngineChoice:
    """What makes a connection.

    Attributes:
        engine: Either of the two.
        why: The reason, as part of a sentence.
    """

    engine: SshEngine
    why: str


def needed_by_options(options: ConnectOptions, *, has_gssapi: bool) -> str | None:
    """Say why the options need the program; None if they do not.

    Args:
        options: What the person says.
        has_gssapi: Whether asyncssh can do GSSAPI.
    """
    if options.beyond:
        return f"asyncssh cannot honour {', '.join(options.beyond)}"
    gssapi = [name for name in sorted(NEEDS_GSSAPI) if options.get(name) == "yes"]
    if gssapi and not has_gssapi:
        return f"asyncssh cannot honour {', '.join(gssapi)} without the package gssapi"
    return None


def needed_by_config(unsupported: Iterable[UnsupportedSetting]) -> str | None:
    """Say why what is not honoured of the config files needs the program; None if it does not."""
    needed = [f"{each.keyword} ({each.place})" for each in unsupported if each.is_needed]
    return f"asyncssh cannot honour {', '.join(dict.fromkeys(needed))}" if needed else None
