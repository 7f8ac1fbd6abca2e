"""What hosts say when they refuse: jump hosts, and those that end a login. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from xpm_remote.errors import AuthenticationError, LinkError, UnreachableError

_LINES = 3
"""The last lines of a text from a host that an error has."""
_LENGTH = 400
"""Characters of them: two or three lines of a terminal."""

# The host's words are all that tells an account that has expired from a host that is closed for maintenance.
_EXPIRED = re.compile(r"\bexpired\b", re.IGNORECASE)


def last_words(text: str) -> str:
    """Return the end of a text from a host, as one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-_LINES:])[-_LENGTH:]


def closed_login(where: str, said: str, *, has_begun: bool = True) -> LinkError:
    """Return the error for a host that says something and ends the connection during the login, or before it."""
    words = last_words(said)
    if not has_begun:
        hint = "it may have too many connections, or have banned this address for a while: wait some minutes"
        return UnreachableError(f"{where} refuses the connection: {words}", hint)
    if _EXPIRED.search(words):
        return AuthenticationError(
            f"{where} ends the login: {words}", "ask the site about the account"
        )
    return UnreachableError(f"{where} ends the login: {words}", "it may be closed for a while")


def half_admitted(where: str, wanted: Iterable[str], obstacle: str) -> tuple[str, str]:
    """Return the message and the hint for a host that has accepted a key and then asks a person."""
    return (
        f"{where} accepts the key, and then asks for {' or '.join(wanted)}, but {obstacle}",
        "answer it in a terminal, or open a shared connection there first by ssh (ControlMaster), which is then used",
    )


def not_forwarded(jump: str, where: str, kind: str, reason: str) -> UnreachableError:
    """Return the error for a jump host that does not lead on.

    Args:
        jump: The jump host.
        where: What it should lead to.
        kind: Why, in the words of SSH's protocol.
        reason: The jump host's words.
    """
    if "prohibited" in kind:
        return UnreachableError(
            f"the jump host {jump} does not forward to {where}: {kind}",
            "its SSH server may have AllowTcpForwarding no, or PermitOpen: ask the site for another way",
        )
    return UnreachableError(
        f"the jump host {jump} cannot reach {where}: {reason.strip()}",
        "check host and port, as the jump host sees them",
    )
