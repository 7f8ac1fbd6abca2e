"""Run remote command lines by the shells of this machine, with a program that records how it was called."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from xpm_remote.link.remote.command import (
    WORKSPACE_MARKER,
    RemoteExperimaestro,
    monitor_command,
    remote_command,
)
from xpm_remote.link.remote.startup import StartPhase, Startup

RUN_TIMEOUT = 30.0
"""Seconds for a command line: it takes a tenth of one, so what takes longer waits for something."""

CHUNK = 65536
"""Bytes that are read at once of what a command line has printed."""

_FAMILIES = {
    "sh": "posix",
    "bash": "posix",
    "dash": "posix",
    "zsh": "posix",
    "ksh": "posix",
    "mksh": "posix",
    "fish": "fish",
    "tcsh": "csh",
    "csh": "csh",
}

SHELLS = [name for name in _FAMILIES if shutil.which(name)]
"""The shells of this machine; sh and bash must be among them, which a test checks."""

POSIX_SHELLS = [name for name in SHELLS if _FAMILIES[name] == "posix"]

any_shell = pytest.mark.parametrize("shell", SHELLS)
"""Runs a test with every shell."""

posix_shell = pytest.mark.parametrize("shell", POSIX_SHELLS)
"""Runs a test with every shell of the Bourne family."""

MONITOR = ["--quiet", "experiments", "--workdir"]
"""What the stub is given before the directory."""

REQUEST = b'{"jsonrpc": "2.0", "id": 1}\n'
"""What waits on stdin for the server."""

_STUB = f"""#!{sys.executable}
import json, os, sys
print(json.dumps({{
    "program": sys.argv[0], "arguments": sys.argv[1:], "stdin": sys.stdin.read(),
    "directory": os.getcwd(), "variable": os.environ.get("VARIABLE"),
}}))
"""


def idiom(shell: str, *, posix: str, fish: str | None = None, csh: str | None = None) -> str:
    """Return the spelling for a shell, or the only one there is."""
    return {"fish": fish, "csh": csh}.get(_FAMILIES[shell]) or posix


def is_csh(shell: str) -> bool:
    """Return whether it is a C shell, to which no text can be passed with a newline."""
    return _FAMILIES[shell] == "csh"


@dataclass(frozen=True)
class Run:
    """The outcome of a command line.

    Attributes:
        status: Its exit status.
        startup: What was read of its output.
        call: How the stub was called, or None if it was not.
        stderr: What it wrote there.
    """

    status: int
    startup: Startup
    call: dict[str, Any] | None
    stderr: str


def started(run: Run) -> dict[str, Any]:
    """Return the call of the stub, after checking the startup."""
    assert run.call is not None, (run.startup.phase, run.startup.noise, run.stderr)
    assert run.startup.phase is StartPhase.READY
    assert run.call["stdin"] == REQUEST.decode()
    return run.call


class Host:
    """A home directory with a stub in place of experimaestro, and a workspace.

    Args:
        home: An empty directory.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.stub = install_stub(home / "bin's $HOME" / "experimaestro")
        self.workspace = make_workspace(home / "workspace")
        self.environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }

    def run(
        self,
        shell: str,
        *,
        workspace: str | None = None,
        shell_init: str | None = None,
        xpm_path: str | None = None,
        remote: RemoteExperimaestro | None = None,
        user: str | None = None,
        check: str = "",
    ) -> Run:
        """Run the remote command line as sshd does: by the login shell, in the home directory."""
        if remote is None:
            remote = RemoteExperimaestro(xpm_path=xpm_path or shlex.quote(str(self.stub)))
        workspace = str(self.workspace) if workspace is None else workspace
        command = remote_command(
            monitor_command(remote, workspace),
            workspace=workspace,
            shell_init=shell_init,
            check=check,
        )
        done = self.shell(shell, command, user=user)
        startup = Startup()
        output = startup.feed(done.stdout)
        call = json.loads(output) if output else None
        return Run(done.returncode, startup, call, done.stderr.decode())

    def shell(
        self, shell: str, command: str, *, user: str | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run any command line by a shell, as another user if one is given."""
        # As sshd does, we note the shell's end even if other processes hold its output, which is a socket.
        output, its_output = socket.socketpair()
        with output, its_output, tempfile.TemporaryFile() as errors:
            done = subprocess.run(
                [shutil.which(shell) or shell, "-c", command],
                input=REQUEST,
                stdout=its_output.fileno(),
                stderr=errors,
                env=self.environment,
                cwd=self.home,
                timeout=RUN_TIMEOUT,
                check=False,
                user=user,
                extra_groups=None if user is None else [],
            )
            output.setblocking(False)
            printed = bytearray()
            with contextlib.suppress(BlockingIOError):
                while data := output.recv(CHUNK):
                    printed += data
            errors.seek(0)
            return subprocess.CompletedProcess(
                done.args, done.returncode, bytes(printed), errors.read()
            )


def install_stub(path: Path, python: str = sys.executable) -> Path:
    """Write a program that records how it was called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_STUB.replace(sys.executable, python, 1))
    path.chmod(0o755)
    return path


def make_workspace(path: Path) -> Path:
    """Make a directory with the marker of a workspace."""
    path.mkdir(parents=True)
    (path / WORKSPACE_MARKER).touch()
    return path
