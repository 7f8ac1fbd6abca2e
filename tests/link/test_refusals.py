"""What a host says when it refuses."""

from __future__ import annotations

import pytest

from xpm_remote.errors import AuthenticationError, LinkError, UnreachableError
from xpm_remote.link.refusals import closed_login, last_words, not_forwarded


def test_last_words() -> None:
    """The last lines are kept, of a bounded length."""
    assert last_words("a\n\n b \nc\r\nd\n") == "b | c | d"
    assert len(last_words("x" * 100_000)) == 400
    assert last_words(" \n") == ""


@pytest.mark.parametrize(
    ("said", "kind", "hint"),
    [
        (
            "Your account has expired; please contact your administrator.",
            AuthenticationError,
            "account",
        ),
        ("System is booting up. See pam_nologin(8).", UnreachableError, "closed for a while"),
    ],
)
def test_closed_login(said: str, kind: type[LinkError], hint: str) -> None:
    """An account that has expired is refused; a host that is closed may be tried again."""
    error = closed_login("h port 1", f"{said}\n")
    assert type(error) is kind
    assert str(error).startswith(f"h port 1 ends the login: {said}; ")
    assert hint in error.hint


def test_refused_connection() -> None:
    """Before the login, a host that is busy or has banned us is one to wait for."""
    error = closed_login("h port 1", "Not allowed at this time", has_begun=False)
    assert type(error) is UnreachableError
    assert str(error).startswith("h port 1 refuses the connection: Not allowed at this time; ")
    assert "wait some minutes" in error.hint


def test_jump_host() -> None:
    """A jump host that forbids forwarding is told from one that does not reach the host."""
    assert "does not forward to h port 1: administratively prohibited" in str(
        not_forwarded("gate", "h port 1", "administratively prohibited", "open failed")
    )
    assert "gate cannot reach h port 1: refused" in str(
        not_forwarded("gate", "h port 1", "connect failed", "refused\n")
    )
