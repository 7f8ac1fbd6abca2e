"""What is said of a host, made ready for the library; what nobody honours is told."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.link.ssh_judge import without_ssh
from xpm_remote.errors import OptionError
from xpm_remote.link.asyncssh_engine import resolution
from xpm_remote.link.asyncssh_engine.connection import describe_connection
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options


@pytest.fixture(params=["ssh", "library"])
def reader(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who reads the config files: the program ssh, or the library where there is none."""
    if request.param == "library":
        monkeypatch.setenv("PATH", without_ssh(tmp_path)["PATH"])
    monkeypatch.setattr(resolution, "_reported", set())
    return str(request.param)


def options(folder: Path, text: str, *more: str) -> ConnectOptions:
    """Write a config file, and give the options that name it."""
    (folder / "config").write_text(text)
    return parse_ssh_options("t", [f"-F {folder}/config", *more])


@pytest.mark.usefixtures("reader")
class TestWhoeverReads:
    """What holds with the program ssh and without it."""

    async def test_unsupported(self, tmp_path: Path) -> None:
        """What is in effect and not honoured is told, with its line; what is for other hosts is not."""
        given = options(
            tmp_path,
            "Host other\n IPQoS ef\n"
            "Host t\n KnownHostsCommand /bin/true %H\n VisualHostKey yes\n EscapeChar none\n",
        )
        async with resolution.resolve(given) as found:
            assert {(e.keyword, e.value, e.place, e.is_needed) for e in found.unsupported} == {
                ("KnownHostsCommand", "/bin/true %H", f"{tmp_path}/config:4", True),
                ("VisualHostKey", "yes", f"{tmp_path}/config:5", False),
            }

    async def test_told_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """However often we connect, each setting is told once."""
        given = options(tmp_path, "VisualHostKey yes\n")
        with caplog.at_level(logging.WARNING):
            await describe_connection(given)
            await describe_connection(given)
        (message,) = caplog.messages
        assert message.startswith(f"VisualHostKey yes ({tmp_path}/config:1) is not honoured")

    async def test_described(self, tmp_path: Path) -> None:
        """What a dry run shows is what counts, from options and files."""
        text = "Host t\n HostName real\n Port 5\n ProxyJump a,b\n ServerAliveInterval 7\n"
        described = await describe_connection(options(tmp_path, text, "-l me -p 6"))
        assert described["host"] == "real"
        assert described["port"] == 6
        assert described["user"] == "me"
        assert described["jump hosts"] == ["a", "b"]
        assert described["keys"] == ["agent and default keys"]
        assert described["checking"] == "ask"
        assert described["keepalive"] == "7 s, 3 times"

    async def test_missing_file(self, tmp_path: Path) -> None:
        """A file that -F names must be there."""
        with pytest.raises(OptionError, match="missing"):
            await describe_connection(parse_ssh_options("t", [f"-F {tmp_path}/missing"]))


async def test_permissive_parser_has_no_say(tmp_path: Path) -> None:
    """Where ssh reads the file, what only the library would take is a mistake."""
    with pytest.raises(OptionError, match="line 2: Bad configuration option: frobnicate"):
        await describe_connection(options(tmp_path, "Port 5\nFrobnicate yes\n"))


async def test_command_that_the_library_could_not_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A given command is ours to run, with any quotes that a shell takes, whoever reads the files."""
    given = options(tmp_path, "", "-o", 'ProxyCommand=nc %h "it\'s"')
    for _ in range(2):
        async with resolution.resolve(given) as found:
            assert found.proxy_command == 'nc t "it\'s"'
        monkeypatch.setenv("PATH", without_ssh(tmp_path)["PATH"])
