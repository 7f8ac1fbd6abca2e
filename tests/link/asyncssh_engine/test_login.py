"""Logging in with somebody, or nobody, to ask: what is asked for, and how long that may take."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.link.asking import CODE, HOST, PASSWORD, Asking
from xpm_remote.errors import AuthenticationError, UnreachableError
from xpm_remote.link.asyncssh_engine import connection
from xpm_remote.link.asyncssh_engine.connection import open_connection
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import Prompter, RefusingPrompter

SHORT = 0.2
"""Seconds that stand for those of ``LOGIN_TIMEOUT`` here."""
LONG = 3 * SHORT
"""Seconds that a slow person takes."""


class Slow:
    """A person who thinks for longer than a login may take by itself."""

    obstacle = None

    def tell(self, text: str) -> None:
        """Read."""

    async def ask(self, question: str, *, echo: bool) -> str:
        """Answer, after a while."""
        await asyncio.sleep(LONG)
        return CODE if echo else PASSWORD


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Asking]:
    """Make a server that asks, whose key is known; nothing but it can log us in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return lambda *methods: Asking(tmp_path, *methods)


async def log_in(server: Asking, prompter: Prompter, *options: str) -> None:
    """Log in to a server that asks."""
    server.know()
    parsed = parse_ssh_options(f"me@{HOST}", [*server.options, *options])
    await (await open_connection(parsed, prompter)).aclose()


@pytest.mark.parametrize("method", ["password", "interview"])
async def test_slow_person(
    asking: Callable[..., Asking], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a person takes to answer, no limit of ours ends it."""
    monkeypatch.setattr(connection, "LOGIN_TIMEOUT", SHORT)
    with asking(method) as server:
        await log_in(server, Slow())


async def test_stalled_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that greets and then says nothing more is given up, as nobody takes part."""
    monkeypatch.setattr(connection, "LOGIN_TIMEOUT", SHORT)
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        options = parse_ssh_options(HOST, [f"-F none -p {port}"])
        opening = asyncio.create_task(open_connection(options, RefusingPrompter("")))
        listener.setblocking(False)
        accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
        with accepted:
            accepted.sendall(b"SSH-2.0-Stalled\r\n")
            with pytest.raises(UnreachableError, match=f"{port} has not let us log in"):
                await opening


@pytest.mark.parametrize(
    ("method", "words"), [("password", "a password"), ("interview", "an interactive login")]
)
async def test_nobody(asking: Callable[..., Asking], method: str, words: str) -> None:
    """Where nobody can be asked, the error says at once what for, and no interview is begun."""
    with asking(method) as server:
        with pytest.raises(AuthenticationError, match=f"would take {words}, but it is") as caught:
            await log_in(server, RefusingPrompter("it is night"))
        asked = "Password of me@127.0.0.1" if method == "password" else words
        assert caught.value.unanswered == (asked,)
        assert server.begun == []


async def test_batch_mode_of_a_config_file(asking: Callable[..., Asking], tmp_path: Path) -> None:
    """BatchMode of a config file keeps us from asking too."""
    (tmp_path / "config").write_text("BatchMode yes\n")
    with asking("interview") as server:
        with pytest.raises(AuthenticationError, match="BatchMode=yes forbids") as caught:
            await log_in(server, Slow(), f"-F {tmp_path}/config")
        assert caught.value.unanswered == ()
        assert server.begun == []


async def test_every_way_in_turn(asking: Callable[..., Asking]) -> None:
    """What a host offers is tried as PreferredAuthentications says."""
    with asking("interview", "password") as server:
        await log_in(server, Slow(), "PreferredAuthentications=password")
        assert server.begun == []
        await log_in(server, Slow())
        assert server.begun == ["me"]


@pytest.mark.parametrize("method", ["password", "interview"])
async def test_secrets_are_not_logged(
    asking: Callable[..., Asking], method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No answer reaches a log, however much is logged."""
    with caplog.at_level("DEBUG", "asyncssh"), asking(method) as server:
        await log_in(server, Slow(), "-vvv")
    assert "Trying" in caplog.text
    assert PASSWORD not in caplog.text
    assert CODE not in caplog.text
