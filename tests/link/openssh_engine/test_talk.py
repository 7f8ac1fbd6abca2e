"""What ``ssh`` says on its stderr, as releases from 9.2 on say it."""

from __future__ import annotations

import pytest

from xpm_remote.link.openssh_engine.stderr_parser import StderrParser
from xpm_remote.link.remote.startup import STDERR_KEPT, RemoteExit

LOGIN = """\
debug1: Connecting to cluster [192.0.2.1] port 22.\r
debug1: Server host key: ssh-ed25519 SHA256:abc\r
debug1: Next authentication method: publickey\r
Authenticated to cluster ([192.0.2.1]:22) using "publickey".\r
debug1: Sending command: run\r
"""
STATUS = "debug1: client_input_channel_req: channel 0 rtype exit-status reply 0\r\n"
SIGNAL = "debug1: client_input_channel_req: channel 0 rtype exit-signal reply 0\r\n"
END = "Transferred: sent 3496, received 3324 bytes, in 0.0 seconds\r\n"
END += "Bytes per second: sent 72344.8, received 68785.5\r\ndebug1: Exit status 3\r\n"
SHARED = "debug1: mux_client_request_session: master session id: 2\r\n"


def heard(*texts: str) -> StderrParser:
    """Have it say something."""
    talk = StderrParser()
    for text in texts:
        talk.feed(text.encode())
    return talk


def test_progress() -> None:
    """Each step is told once it is made."""
    talk = StderrParser()
    assert not talk.is_connecting
    seen = []
    for line in LOGIN.splitlines(keepends=True):
        talk.feed(line.encode())
        seen.append((talk.is_connecting, talk.fingerprint, talk.is_logged_in))
    key = "ssh-ed25519 SHA256:abc"
    assert seen == [
        (True, None, False),
        (True, key, False),
        (True, key, False),
        (True, key, True),
        (True, key, True),
    ]
    assert not talk.is_asking
    assert talk.stderr == ""


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_asking(method: str) -> None:
    """Ways to log in that a person takes part in are told."""
    assert heard(f"debug1: Next authentication method: {method}\r\n").is_asking


def test_shared_connection() -> None:
    """A session through a ControlMaster needs no login."""
    assert heard(SHARED).is_logged_in


def test_lines_are_told_apart() -> None:
    """Progress and other lines are given separately, whole, wherever the bytes are cut."""
    talk = StderrParser()
    assert talk.feed(b"debug1: a\r\nWelc") == (["debug1: a"], [])
    assert talk.stderr == "Welc"
    assert talk.feed(b"ome\r\ndebug") == ([], ["Welcome"])
    assert talk.feed(b"2: b\n") == (["debug2: b"], [])
    assert talk.stderr == "Welcome\n"


def test_unfinished_line_of_the_remote() -> None:
    """What ssh tells behind an unfinished line of the remote is told apart from it."""
    talk = StderrParser()
    assert talk.feed(b"last words" + STATUS.encode()) == ([STATUS.rstrip()], ["last words"])
    assert talk.stderr == "last words"


def test_memory_is_bounded() -> None:
    """Only the end of what was said is kept, with line breaks and without."""
    talk = heard("x" * 3 * STDERR_KEPT, "y\n", *["line\n"] * STDERR_KEPT)
    assert len(talk.stderr) <= STDERR_KEPT
    assert talk.stderr.endswith("line\n")
    assert len(heard("x" * STDERR_KEPT, "y").stderr) <= STDERR_KEPT


@pytest.mark.parametrize("status", [0, 3, 255])
@pytest.mark.parametrize(
    "told",
    [
        LOGIN + "oops\n" + STATUS + END,
        SHARED + "oops\ndebug2: Received exit status from master 3\r\n",
    ],
)
def test_status_of_the_remote(told: str, status: int) -> None:
    """An exit status that was told to be the remote's is that, 255 too; statistics are left out."""
    assert heard(told).exit(status) == RemoteExit(status, "oops\n", None)


def test_signal_on_the_remote() -> None:
    """A remote command that a signal ended has no status."""
    assert heard(LOGIN, SIGNAL, END).exit(255) == RemoteExit(None, "", None)


@pytest.mark.parametrize(
    ("said", "status", "lost"),
    [
        ("Connection to h closed by remote host.\r\n", 255, "Connection to h closed by remote host."),
        ("Timeout, server h not responding.\r\n", 255, "Timeout, server h not responding."),
        ("client_loop: send disconnect: Broken pipe\r\n", 255, "client_loop: send disconnect: Broken pipe"),
        ("debug2: Control master terminated unexpectedly\r\n", 255, "the ControlMaster"),
        ("", 255, "does not say why"),
        ("", -9, "signal 9"),
    ],
)  # fmt: skip
def test_lost(said: str, status: int, lost: str) -> None:
    """Without that, the connection broke, for the reason that ssh gives."""
    ended = heard(LOGIN, said).exit(status)
    assert ended.status is None
    assert lost in (ended.lost or "")


def test_status_without_a_word() -> None:
    """Any status but 255 is the remote's, whatever ssh has told."""
    assert heard(LOGIN).exit(7) == RemoteExit(7, "", None)
