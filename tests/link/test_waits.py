"""What is waited for: each wait has its limit, its words, and its error."""

from __future__ import annotations

import pytest

from xpm_remote.errors import ExitCode
from xpm_remote.link.waits import CurrentWait, Limits, Wait, nothing_said

LIMITS = Limits(
    resolve=1.0, connect=2.0, key_exchange=3.0, login=4.0, command=5.0, start=6.0, answer=7.0
)
EXPECTED = {
    Wait.RESOLVE: (1.0, "the host is not connected", ExitCode.RESOLVE),
    Wait.TCP: (2.0, "the host is not connected", ExitCode.UNREACHABLE),
    Wait.GREETING: (2.0, "the host is not connected", ExitCode.UNREACHABLE),
    Wait.KEY_EXCHANGE: (3.0, "the host is not connected", ExitCode.UNREACHABLE),
    Wait.LOGIN: (4.0, "the host is not connected", ExitCode.UNREACHABLE),
    Wait.COMMAND: (5.0, "the remote shell is not ready", ExitCode.REMOTE_TIMEOUT),
    Wait.LOGIN_FILES: (6.0, "the remote shell is not ready", ExitCode.REMOTE_TIMEOUT),
    Wait.SHELL_INIT: (6.0, "the remote shell is not ready", ExitCode.REMOTE_TIMEOUT),
    Wait.PROGRAMS: (6.0, "the remote shell is not ready", ExitCode.REMOTE_TIMEOUT),
    Wait.WORKSPACE: (6.0, "the remote shell is not ready", ExitCode.STALLED),
    Wait.ANSWER: (7.0, "the remote side does not answer", ExitCode.REMOTE_TIMEOUT),
}


@pytest.mark.parametrize("wait", Wait)
def test_each_wait(wait: Wait) -> None:
    """Each wait has a limit, what it prevents, and at its end an error that names the host and what to do."""
    limit, why, code = EXPECTED[wait]
    assert (LIMITS.of(wait), wait.why) == (limit, why)
    error = CurrentWait(wait, "cluster port 22", 0.0).late(limit)
    assert error.exit_code is code
    assert "cluster port 22" in error.what
    assert error.what.endswith(f" within {limit:g} s")
    assert error.hint


def test_what_the_host_says() -> None:
    """What the host has printed last is a part of the words and of the error; nothing is none."""
    silent = CurrentWait(Wait.LOGIN_FILES, "cluster", 0.0, nothing_said)
    assert silent.words == "the login files of cluster"
    talking = silent._replace(said=lambda: "Continue? [y/n]")
    assert talking.words == "the login files of cluster, which says: Continue? [y/n]"
    assert talking.late(30.0).what.endswith("within 30 s; it says: Continue? [y/n]")
