"""The container's users who are hosts of other kinds than alice's; docker/Dockerfile has them."""

from __future__ import annotations

import pytest

from tests.support.server import Server

GATE = "gate"
"""Forwards, and runs no command."""
HOP = "hop"
"""The same, as a second host on the way."""
WALL = "wall"
"""Forwards nothing."""
VERA = "vera"
"""Needs a key, then a password and a code (``tests.support.passwords``)."""
CLOSED = "closed"
"""Is turned away by a nologin file."""
STALE = "stale"
"""Has a password that must be changed."""
GONE = "gone"
"""Has an account that has expired."""
DORA = "dora"
"""Logs in at dropbear's port."""

GUESTS = (GATE, HOP, WALL, VERA, CLOSED, STALE, GONE, DORA)


def require_guests(server: Server) -> None:
    """Skip a test for which the server cannot be used: a private sshd has one account."""
    if not server.has_guests:
        pytest.skip("the private sshd of XPM_TEST_SSH=local has one account")
