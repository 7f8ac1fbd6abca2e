"""Options and config files resolved for the library."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.link.ssh_judge import without_ssh
from xpm_remote.errors import OptionError
from xpm_remote.link.asyncssh_engine import resolution
from xpm_remote.link.asyncssh_engine.connection import describe_connection
from xpm_remote.link.asyncssh_engine.resolution import OwnKeywords, read_own_keywords
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.ssh_config.files import config_files


@pytest.fixture(params=["ssh", "library"])
def reader(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The reader of the config files: the program ssh, or the library where there is none."""
    if request.param == "library":
        monkeypatch.setenv("PATH", without_ssh(tmp_path)["PATH"])
    monkeypatch.setattr(resolution, "_reported", set())
    return str(request.param)


def options(folder: Path, text: str, *more: str) -> ConnectOptions:
    """Write a config file, and return the options that name it."""
    (folder / "config").write_text(text)
    return parse_ssh_options("t", [f"-F {folder}/config", *more])


@pytest.mark.usefixtures("reader")
class TestBothReaders:
    """What holds with the program ssh and without it."""

    async def test_unsupported(self, tmp_path: Path) -> None:
        """A setting that is in effect and not honoured is reported with its line; one for other hosts is not."""
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
        """Each setting is reported once, for any number of connections."""
        given = options(tmp_path, "VisualHostKey yes\n")
        with caplog.at_level(logging.WARNING):
            await describe_connection(given)
            await describe_connection(given)
        (message,) = caplog.messages
        assert message.startswith(f"VisualHostKey yes ({tmp_path}/config:1) is not honoured")

    async def test_described(self, tmp_path: Path) -> None:
        """A dry run shows what is in effect from options and files."""
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
        """A file that -F names must exist."""
        with pytest.raises(OptionError, match="missing"):
            await describe_connection(parse_ssh_options("t", [f"-F {tmp_path}/missing"]))


async def test_permissive_parser_has_no_say(tmp_path: Path) -> None:
    """Where ssh reads the file, syntax that only the library accepts is a mistake."""
    with pytest.raises(OptionError, match="line 2: Bad configuration option: frobnicate"):
        await describe_connection(options(tmp_path, "Port 5\nFrobnicate yes\n"))


async def test_command_that_the_library_could_not_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A given command may have any quotes that a shell accepts, with either reader."""
    given = options(tmp_path, "", "-o", 'ProxyCommand=nc %h "it\'s"')
    for _ in range(2):
        async with resolution.resolve(given) as found:
            assert found.proxy_command == 'nc t "it\'s"'
        monkeypatch.setenv("PATH", without_ssh(tmp_path)["PATH"])


async def read(folder: Path, text: str, *options: str, host: str = "cluster") -> OwnKeywords:
    """Resolve a config file and options."""
    (folder / "config").write_text(text)
    parsed = parse_ssh_options(host, [f"-F {folder}/config", *options])
    with config_files(parsed) as files:
        return await read_own_keywords(parsed, files)


async def test_nothing_said(tmp_path: Path) -> None:
    """Without any setting, everything is as with ssh."""
    assert await read(tmp_path, "") == OwnKeywords(False, 3, "ask", False)


async def test_config_file(tmp_path: Path) -> None:
    """The first value for the host counts, in any case and with ssh's synonyms."""
    text = (
        "Host other\n  BatchMode no\n"
        "Host clu*\n  batchmode TRUE\n  NumberOfPasswordPrompts 1\n  StrictHostKeyChecking off\n"
        "Match user me\n  HashKnownHosts=yes\n"
        "Host *\n  NumberOfPasswordPrompts 7\n  StrictHostKeyChecking yes\n"
    )
    assert await read(tmp_path, text, "-l me") == OwnKeywords(True, 1, "no", True)


async def test_included_file(tmp_path: Path) -> None:
    """An included file counts where it is included."""
    (tmp_path / "more").write_text("StrictHostKeyChecking accept-new\n")
    found = await read(tmp_path, f"Include {tmp_path}/more\nStrictHostKeyChecking no\n")
    assert found.strict == "accept-new"


async def test_match_final(tmp_path: Path) -> None:
    """Settings of "Match final" are read last."""
    assert (await read(tmp_path, "Match final\n  HashKnownHosts yes\n")).hash_names


async def test_options_count_first(tmp_path: Path) -> None:
    """An option takes precedence over the file."""
    text = "BatchMode yes\nStrictHostKeyChecking yes\nNumberOfPasswordPrompts 0\n"
    options = ("BatchMode=no", "StrictHostKeyChecking=ask", "NumberOfPasswordPrompts=2")
    assert await read(tmp_path, text, *options) == OwnKeywords(False, 2, "ask", False)


@pytest.mark.parametrize(
    "line", ["StrictHostKeyChecking perhaps", "BatchMode 2", "NumberOfPasswordPrompts many"]
)
async def test_bad_value(tmp_path: Path, line: str) -> None:
    """A value that ssh would refuse is an error that names it."""
    with pytest.raises(OptionError, match=line.split()[0]):
        await read(tmp_path, f"{line}\n")
