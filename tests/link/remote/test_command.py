"""The remote command line, run by real shells: every word arrives unchanged."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.link.remote_shells import (
    MONITOR,
    SHELLS,
    Host,
    any_shell,
    install_stub,
    is_csh,
    make_workspace,
    posix_shell,
    started,
)
from xpm_remote.errors import OptionError
from xpm_remote.link.remote.command import (
    SUPPORTED_EXPERIMAESTRO,
    RemoteExperimaestro,
    experimaestro_words,
    monitor_command,
    quote_path,
    remote_command,
)
from xpm_remote.link.remote.startup import MARK

AWKWARD = [
    "with space",
    "quote's",
    'double "quotes"',
    "dollar $HOME ${HOME} `pwd` $(pwd)",
    "wow!",
    "a;b&c|d<e>f",
    "*?[a-z]{b,c}",
    "#comment",
    "-dash",
    "-",
    "back\\slash\\",
    "\\'!\\\\",
    "%s\\n",
    "été",
    "~",
    "a~b",
]
NEWLINES = ["two\nlines", "trailing\n"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A home directory with a workspace."""
    return Host(tmp_path)


def test_required_shells() -> None:
    """The machine has at least sh and bash."""
    assert {"sh", "bash"} <= set(SHELLS)


# The words


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        (RemoteExperimaestro(), ["uv", "tool", "run", SUPPORTED_EXPERIMAESTRO]),
        (
            RemoteExperimaestro(uv_offline=True, python="3.11", version="2.7.0"),
            ["uv", "tool", "run", "--offline", "--python", "3.11", "experimaestro==2.7.0"],
        ),
        (RemoteExperimaestro(python="/opt/my python"), None),
        (RemoteExperimaestro(xpm_path="/opt/xpm"), ["/opt/xpm"]),
        (
            RemoteExperimaestro(xpm_path="  '/opt/my xpm' --a 'b c'\n"),
            ["/opt/my xpm", "--a", "b c"],
        ),
        (RemoteExperimaestro(xpm_path="/opt/xpm", uv_offline=True, version="1"), ["/opt/xpm"]),
    ],
)
def test_words(remote: RemoteExperimaestro, expected: list[str] | None) -> None:
    """Experimaestro is run by uv, unless its path is given, which may have arguments."""
    words = experimaestro_words(remote)
    if expected is None:
        expected = ["uv", "tool", "run", "--python", "/opt/my python", SUPPORTED_EXPERIMAESTRO]
    assert shlex.split(" ".join(words)) == expected
    assert len(words) == len(expected)


@pytest.mark.parametrize("xpm_path", ["", "  \n"])
def test_empty_xpm_path(xpm_path: str) -> None:
    """An empty path is an error, not a missing one."""
    with pytest.raises(OptionError, match="xpm_path is empty"):
        experimaestro_words(RemoteExperimaestro(xpm_path=xpm_path))


def test_unfinished_xpm_path() -> None:
    """A path with an open quote is an error that names it."""
    with pytest.raises(OptionError, match=r"No closing quotation.*check its quotes"):
        experimaestro_words(RemoteExperimaestro(xpm_path="'/opt/xpm"))


@pytest.mark.parametrize("text", ["/a\0b", "~/a\0", "/caf\udce9"])
def test_what_cannot_be_sent(text: str) -> None:
    """A NUL, and what is not UTF-8, is an error before any connection."""
    with pytest.raises(OptionError, match="holds a NUL or is not UTF-8"):
        quote_path(text)
    with pytest.raises(OptionError, match="holds a NUL or is not UTF-8"):
        remote_command("xpm", workspace="/ws", shell_init=f"cd {text}")


def test_plain_command_is_readable() -> None:
    """Words that need no quotes have none, so that the command can be read and tried."""
    assert monitor_command(RemoteExperimaestro(xpm_path="~/bin/xpm"), "~/ws") == (
        "~/bin/xpm --quiet experiments --workdir ~/ws monitor-server"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a b!", "'a b'\\!''"), ("a\\", "'a'\\\\''"), ("~/a!", "~/'a'\\!''"), ("a'b", "'a'\"'\"'b'")],
)
def test_quotes_for_every_shell(text: str, expected: str) -> None:
    """Characters that fish and csh expand within quotes are outside of them, also without such a shell here."""
    assert quote_path(text) == expected


def test_nothing_that_csh_would_read() -> None:
    """Our part of the command line has neither a newline nor an exclamation mark."""
    command = remote_command("xpm", workspace="/ws", shell_init="true")
    assert "\n" not in command
    assert "!" not in command


@pytest.mark.parametrize("shell_init", [None, "", " \n"])
def test_nothing_to_prepare(shell_init: str | None) -> None:
    """Without shell_init there are only a mark and the check before the command."""
    command = remote_command("xpm serve", workspace="~/ws", shell_init=shell_init)
    assert command.startswith(f"printf '\\n{MARK} init\\n'; /bin/sh -c ")
    assert command.endswith(" sh ~/ws .__experimaestro__ </dev/null && xpm serve")


# What arrives


@any_shell
def test_words_arrive(host: Host, shell: str) -> None:
    """Every word arrives unchanged; a leading ~/ is the remote home."""
    words = AWKWARD + ([] if is_csh(shell) else NEWLINES)
    words = [word for word in words if word != "~"]
    expected = [*words, str(host.home), *(f"{host.home}/{word}" for word in words)]
    command = [*words, "~", *(f"~/{word}" for word in words)]
    done = host.shell(shell, " ".join(["printf", r"'%s\0'", *map(quote_path, command)]))
    assert done.stdout.decode().split("\0")[:-1] == expected


@posix_shell
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    words=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).filter(
            lambda text: not text.startswith("~")
        ),
        min_size=1,
    )
)
def test_any_word_arrives(host: Host, shell: str, words: list[str]) -> None:
    """Any text arrives as a word."""
    done = host.shell(shell, " ".join(["printf", r"'%s\0'", *map(quote_path, words)]))
    assert done.stdout.decode().split("\0")[:-1] == words


@posix_shell
def test_home_of_another(host: Host, shell: str) -> None:
    """A leading ~user is the home of that user."""
    root = Path("~root").expanduser()
    done = host.shell(shell, f"printf '%s' {quote_path('~root/my dir')}")
    assert done.stdout.decode() == f"{root}/my dir"


@any_shell
@pytest.mark.parametrize("where", ["{home}/{name}", "~/{name}", "{name}"])
def test_workspace_arrives(host: Host, shell: str, where: str) -> None:
    """A workspace of any name is found and served: absolute, in the home, or relative to it."""
    name = "a 'b' \"c\" $HOME !\\ -é" + ("" if is_csh(shell) else "\n\n")
    make_workspace(host.home / name)
    workspace = where.format(home=host.home, name=name)
    expected = f"{host.home}/{name}" if where.startswith("~") else workspace
    call = started(host.run(shell, workspace=workspace))
    assert call["arguments"] == [*MONITOR, expected, "monitor-server"]
    assert call["program"] == str(host.stub)


@any_shell
@pytest.mark.parametrize("name", ["-", "-dash"])
def test_workspace_that_looks_like_an_option(host: Host, shell: str, name: str) -> None:
    """A relative directory whose name begins with a dash is a directory."""
    make_workspace(host.home / name)
    assert started(host.run(shell, workspace=name))["arguments"] == [
        *MONITOR,
        name,
        "monitor-server",
    ]


@any_shell
def test_xpm_path_arrives(host: Host, shell: str) -> None:
    """The path of experimaestro may begin with ~ and have arguments, with any characters."""
    call = started(host.run(shell, xpm_path='"~/bin\'s $HOME/experimaestro" --note "a $b!"'))
    assert call["program"] == str(host.stub)
    assert call["arguments"] == ["--note", "a $b!", *MONITOR, str(host.workspace), "monitor-server"]


@posix_shell
def test_xpm_path_with_an_assignment(host: Host, shell: str) -> None:
    """An assignment before the program is one."""
    call = started(host.run(shell, xpm_path=f"VARIABLE=1 {shlex.quote(str(host.stub))}"))
    assert call["variable"] == "1"


@any_shell
def test_uv_arrives(host: Host, shell: str) -> None:
    """The tool uv gets its options and the requirement, whose signs are no redirections."""
    uv = install_stub(host.home / "tools" / "uv")
    host.environment["PATH"] = f"{uv.parent}:{host.environment['PATH']}"
    remote = RemoteExperimaestro(uv_offline=True, python="~/my python")
    call = started(host.run(shell, remote=remote))
    assert call["arguments"] == [
        "tool",
        "run",
        "--offline",
        "--python",
        f"{host.home}/my python",
        SUPPORTED_EXPERIMAESTRO,
        *MONITOR,
        str(host.workspace),
        "monitor-server",
    ]
    assert list(host.home.glob("*2*")) == []
