"""The preparation of the remote shell, run by real shells: its effect, and that nothing is started when it fails."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.link.remote_shells import (
    MONITOR,
    Host,
    any_shell,
    idiom,
    install_stub,
    is_csh,
    posix_shell,
    started,
)
from xpm_remote.errors import ShellInitError, StartError
from xpm_remote.link.remote.startup import StartPhase

pytestmark = pytest.mark.slow


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A home directory with a workspace."""
    return Host(tmp_path)


@posix_shell
@pytest.mark.parametrize(
    "shell_init",
    [
        "export VARIABLE=1",
        "export VARIABLE=1\n\n",
        "VARIABLE=1\n\n\nexport VARIABLE\n",
        "export VARIABLE=1 # as the manual says; really",
        "# first\nexport VARIABLE=1\n# last",
        "export VARIABLE=1;",
        "export VARIABLE=1; sleep 0 &",
        "sleep 0 & export VARIABLE=1",
        "cat; read line; export VARIABLE=1",
        "set -e\nexport VARIABLE=1\n",
        "set -eu; test ! -e /nowhere; export VARIABLE=1",
        "set -u\nexport VARIABLE=1",
        "false\nexport VARIABLE=1",
        "if true; then\n  export VARIABLE='1'\nfi",
        "printf 'no newline'; export VARIABLE=1",
        "echo '{}'; echo 42 >&2; export VARIABLE=1",
        "export VARIABLE=$(printf '\\061')",
    ],
)
def test_shell_init(host: Host, shell: str, shell_init: str) -> None:
    """The preparation takes effect, in one line or several, with any ending; it does not see our stdin."""
    assert started(host.run(shell, shell_init=shell_init))["variable"] == "1"


@any_shell
def test_shell_init_of_any_shell(host: Host, shell: str) -> None:
    """The commands are in the user's own shell language; they may change variables and the directory."""
    (host.home / "elsewhere").mkdir()
    set_variable = idiom(
        shell,
        posix="export VARIABLE='a\\!b'",
        fish="set -gx VARIABLE 'a\\!b'",
        csh="setenv VARIABLE a\\\\\\!b",
    )
    call = started(host.run(shell, shell_init=f"{set_variable}; cd elsewhere"))
    assert call["variable"] == "a\\!b"
    assert call["directory"] == str(host.home / "elsewhere")


@any_shell
def test_function_or_alias(host: Host, shell: str) -> None:
    """A function, or in a C shell an alias, may be the program."""
    stub = shlex.quote(str(host.home / "stub"))
    install_stub(host.home / "stub")
    define = idiom(
        shell,
        posix=f'xpm() {{ {stub} "$@"; }}',
        fish=f"function xpm; {stub} $argv; end",
        csh=f"alias xpm {stub}",
    )
    call = started(host.run(shell, shell_init=define, xpm_path="xpm --flag"))
    assert call["arguments"] == ["--flag", *MONITOR, str(host.workspace), "monitor-server"]


@posix_shell
def test_alias(host: Host, shell: str) -> None:
    """An alias may be the program; bash must be configured for it, as in any script."""
    stub = install_stub(host.home / "stub")
    shell_init = f"command -v shopt >/dev/null && shopt -s expand_aliases\nalias xpm={stub}\n"
    assert started(host.run(shell, shell_init=shell_init, xpm_path="xpm"))["program"] == str(stub)


@posix_shell
@pytest.mark.parametrize(
    ("shell_init", "status"),
    [
        ("false", 1),
        ("sh -c 'exit 3'", 3),
        ("exit 7", 7),
        ("exit", 0),
        ("exec true", 0),
        ("set -e\nfalse\ntrue", 1),
        ("set -u -e; false; true", 1),
        ("set -o errexit\nsh -c 'exit 5'\ntrue\n", 5),
        ("echo oops >&2\nnosuchcommand --flag", 127),
    ],
)
def test_shell_init_fails(host: Host, shell: str, shell_init: str, status: int) -> None:
    """When the preparation fails nothing is started, and its status and stderr are reported."""
    run = host.run(shell, shell_init=shell_init)
    assert run.call is None
    assert run.startup.phase is StartPhase.SHELL_INIT
    error = run.startup.failure(run.status, run.stderr, "ws")
    assert isinstance(error, ShellInitError)
    assert f"shell_init failed with exit status {status}" in str(error)
    assert ("oops | " in str(error)) == ("oops" in shell_init)


@any_shell
@pytest.mark.parametrize("shell_init", ["if true", "echo 'unfinished"])
def test_shell_init_with_a_syntax_error(host: Host, shell: str, shell_init: str) -> None:
    """A syntax error is confined to the preparation: nothing is started, and the shell's message is reported."""
    run = host.run(shell, shell_init=shell_init)
    assert run.call is None
    error = run.startup.failure(run.status, run.stderr, "ws")
    assert isinstance(error, ShellInitError)
    assert run.stderr.strip().splitlines()[0].strip() in str(error)


@any_shell
def test_shell_init_fails_in_any_shell(host: Host, shell: str) -> None:
    """In every shell the failure of the last command is a failure, and so is the end of the shell."""
    for shell_init, status in (("false", 1), ("sh -c 'exit 3'", 3), ("exit 7", 7)):
        run = host.run(shell, shell_init=shell_init)
        assert run.call is None
        assert (run.startup.phase, run.status) == (StartPhase.SHELL_INIT, status)


@any_shell
def test_shell_init_of_several_lines(host: Host, shell: str) -> None:
    """A block of several lines is run; a C shell, which cannot run one, does not start the server."""
    run = host.run(shell, shell_init="touch one\ntouch two\n")
    if is_csh(shell):
        assert run.call is None
        error = run.startup.failure(run.status, run.stderr, "ws")
        assert isinstance(error, StartError)
        assert "Unmatched" in str(error)
    else:
        started(run)
        assert (host.home / "one").exists()
        assert (host.home / "two").exists()
