"""The arguments with which ssh opens a shell in a directory, as ssh and the shells of hosts read them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from xpm_remote.errors import OptionError
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.ssh_config.text import SshConfig, parse_dump
from xpm_remote.link.terminal import NO_DIRECTORY, shell_arguments
from xpm_remote.settings.schema import SshEngine

NASTY = """it's "a" $(touch broken) `x` \\ !1 ; é 漢"""
SHELLS = [
    shell
    for shell in ("sh", "bash", "dash", "zsh", "ksh", "csh", "tcsh", "fish")
    if shutil.which(shell)
]


def arguments(*options: str, directory: str = "/data") -> list[str]:
    """Return the arguments for a host with these options."""
    given = parse_ssh_options("me@host", ["-F none", *options], SshEngine.OPENSSH)
    return shell_arguments(given, directory)


def understood(*options: str) -> SshConfig:
    """Return what the ssh of this machine makes of the arguments."""
    words = arguments(*options)
    done = subprocess.run(["ssh", "-G", *words], capture_output=True, text=True, check=True)
    return SshConfig(parse_dump(done.stdout))


def test_options_of_the_workspace() -> None:
    """The options of the workspace hold: user, port, jump hosts, keys; but no second forwarding of its ports."""
    options = ("-p 2222 -J gate.example -i /k/key", "-L 8000:localhost:80", "-o RequestTTY=no")
    found = understood(*options, "-o LogLevel=DEBUG3")
    assert (found.get("User"), found.get("Port"), found.get("ProxyJump")) == (
        "me",
        "2222",
        "gate.example",
    )
    assert found.get("IdentityFile") == "/k/key"
    assert found.get("LocalForward") is None
    assert found.get("RequestTTY") in ("true", "yes")
    assert found.get("LogLevel") == "INFO"


def test_a_hostile_host_is_no_option() -> None:
    """Whatever follows the options is the host and one command."""
    words = arguments()
    assert words[-3:-1] == ["--", "host"]
    assert words[-1].startswith("exec /bin/sh -c ")


@pytest.mark.parametrize("shell", SHELLS)
def test_any_directory_in_any_shell(shell: str, tmp_path: Path) -> None:
    """A directory of any name is entered by whatever login shell, and nothing of the name is run."""
    directory = tmp_path / NASTY
    directory.mkdir()
    command = arguments(directory=str(directory))[-1]
    said = tmp_path / "said"
    own = tmp_path / "own-shell"
    own.write_text(f"#!/bin/sh\npwd > {said}\necho $1 >> {said}\n")
    own.chmod(0o755)
    environment = {"SHELL": str(own), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run([shell, "-c", command], env=environment, cwd=tmp_path, check=True)
    assert said.read_text().splitlines() == [str(directory), "-l"]
    assert not list(tmp_path.rglob("broken"))


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    """Where the directory cannot be entered, no shell is opened elsewhere."""
    command = arguments(directory=str(tmp_path / "gone"))[-1]
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert done.returncode == NO_DIRECTORY


def test_what_cannot_be_sent() -> None:
    """A name that is no text is an error."""
    with pytest.raises(OptionError):
        arguments(directory="/data/\udcff")
