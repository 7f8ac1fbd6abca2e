"""The SSH test server's interface for tests, in a container or as a private sshd."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.support.errors import CommandError, tail
from tests.support.experiments import SCRIPTS, Experiment, experiment_options
from tests.support.keys import Keys, Login
from tests.support.polling import wait_until
from tests.support.shell import SHELL_COMMAND, Shell

USERS = ("alice", "noisy", "bare", "modules")

GREETING_LIMIT = 30.0
"""Seconds from starting sshd to its greeting; a loaded machine needs one or two."""
GREETING_PATIENCE = 2.0
"""Seconds to wait for the greeting on one connection, before trying with another."""
REAP_LIMIT = 10.0
"""Seconds for a killed process to be gone."""
LOG_LINES = 40
"""Lines of sshd's log that a failing test shows: a few connections' worth."""


@dataclass(frozen=True)
class Process:
    """A process on the server that was started through SSH."""

    pid: int
    ppid: int
    arguments: str


class Server(ABC):
    """An OpenSSH server with the users ``alice``, ``noisy``, ``bare`` and ``modules`` and the real experimaestro.

    Args:
        folder: A local folder for this session's files.
        host: The address to connect to.
        port: The port to connect to.
        inner: The server's address and port as the server itself sees them, for a jump through it.

    Remote paths are text here: they go into settings and command lines.
    """

    has_guests = False
    """Whether it has the users of ``tests.support.guests``, and dropbear."""
    experimaestro: str
    """The real experimaestro's program, by its absolute path."""
    remote_python: str
    """A python that can import the real experimaestro."""
    shell_init: str
    """What brings ``experimaestro`` onto the PATH of ``modules``."""

    def __init__(
        self, folder: Path, keys: Keys, host: str, port: int, inner: tuple[str, int]
    ) -> None:
        self.folder = folder
        self.host = host
        self.port = port
        self.inner = inner
        self._keys = keys
        self._spawned: list[subprocess.Popen[str]] = []
        self._have_scripts: set[str] = set()
        self._idle: dict[str, list[Shell]] = {}
        self.known_hosts = folder / "known_hosts"
        for address in sorted({(host, port), inner}):
            self.know(*address)

    def know(self, host: str, port: int) -> None:
        """Have an address of the server in its known_hosts file."""
        with self.known_hosts.open("a") as file:
            file.write(f"{_pattern(host, port)} {self._keys.public(self._keys.host_key)}\n")

    @abstractmethod
    def account(self, name: str) -> str:
        """Return the name with which ``name`` logs in."""

    @abstractmethod
    def home(self, name: str) -> str:
        """Return the absolute path of the home folder of ``name``."""

    @abstractmethod
    def local_argv(self, name: str, command: str) -> list[str]:
        """Return the local command that runs a bash command as ``name`` on the server, without SSH."""

    @abstractmethod
    def log(self) -> str:
        """Return all that sshd has logged."""

    @abstractmethod
    def close(self) -> None:
        """Stop the server and everything that runs on it."""

    def login(self, name: str) -> Login:
        """Return the account and the key of ``name``."""
        return Login(self.account(name), self._keys.private(name))

    def certificate(self, name: str) -> Login:
        """Return a login of ``name`` with a new unknown key and a valid certificate."""
        return Login(self.account(name), self._keys.certificate(name))

    def ssh_args(self, name: str) -> list[str]:
        """Return OpenSSH's options for logging in as ``name``; the host is :attr:`host`."""
        login = self.login(name)
        return [
            *("-F", "none"),
            *("-p", str(self.port)),
            *("-i", str(login.key)),
            *("-l", login.user),
            *("-o", f"UserKnownHostsFile={self.known_hosts}"),
            *("-o", "StrictHostKeyChecking=yes"),
        ]

    def run(self, name: str, command: str, check: bool = True, input: str | None = None) -> str:
        """Run a bash command as ``name`` in its home, without SSH and login files; return its stdout.

        Raises:
            CommandError: It ended with a status other than 0, and ``check`` is set.
        """
        with self._shell(name) as shell:
            status, stdout, stderr = shell.run(command, input or "")
        if check and status:
            raise CommandError([name, command], status, stdout + stderr)
        return stdout

    def spawn(self, name: str, command: str, output: Path) -> subprocess.Popen[str]:
        """Start a bash command as :meth:`run` does, its stdout and stderr going to a local file."""
        with output.open("w") as stream:
            process = subprocess.Popen(
                self.local_argv(name, command),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._spawned.append(process)
        return process

    def write(self, name: str, path: str, text: str) -> str:
        """Write a file of ``name``, with its folders; return its absolute path.

        Args:
            name: The owner.
            path: Absolute, or relative to the home.
            text: The whole content.
        """
        absolute = PurePosixPath(self.home(name)) / path
        folder, file = shlex.quote(str(absolute.parent)), shlex.quote(str(absolute))
        self.run(name, f"mkdir -p {folder} && cat > {file}", input=text)
        return str(absolute)

    def processes(self, name: str) -> list[Process]:
        """Return the processes of ``name`` that were started through SSH, without sshd itself."""
        script = (SCRIPTS / "processes.py").read_text()
        rows = json.loads(self.run(name, f"python3 - {shlex.quote(self.home(name))}", input=script))
        return [Process(*row) for row in rows]

    def kill_session_processes(self, name: str) -> None:
        """Kill (SIGKILL) what :meth:`processes` returns, and wait until it is gone."""

        def none_left() -> bool:
            left = self.processes(name)
            if left:
                self.run(name, f"kill -KILL {' '.join(str(p.pid) for p in left)}", check=False)
            return not left

        wait_until(none_left, REAP_LIMIT, f"the processes of {name} to be gone")

    def start_experiment(
        self, workspace: str, experiment: str, login: str = "alice", **counts: float | bool
    ) -> Experiment:
        """Start a real experiment with the real experimaestro; it runs while the test goes on.

        Args:
            workspace: The workspace's path on the server, made if it is missing; a relative one
                starts at the home.
            experiment: The experiment's id.
            login: Who runs it.
            **counts: What it holds, as the options of ``make_workspace.py``: ``ok=3``, ``long=1``,
                ``long_seconds=5``, ``service=True``, …
        """
        self._install_scripts(login)
        path = str(PurePosixPath(self.home(login)) / workspace)
        words = [
            self.remote_python,
            "realws/make_workspace.py",
            *("--workspace", path, "--experiment", experiment),
            *experiment_options(counts),
        ]
        output = self.folder / f"experiment-{len(self._spawned)}.log"
        return Experiment(path, experiment, self.spawn(login, shlex.join(words), output), output)

    def log_tail(self) -> str:
        """Return the last lines of sshd's log."""
        return tail(self.log(), LOG_LINES)

    @contextmanager
    def _shell(self, name: str) -> Iterator[Shell]:
        """Yield a shell of ``name`` that is not in use; one that failed is not used again."""
        idle = self._idle.setdefault(name, [])
        shell = idle.pop() if idle else Shell(self.local_argv(name, f"exec {SHELL_COMMAND}"))
        try:
            yield shell
        except BaseException:
            shell.close()
            raise
        idle.append(shell)

    def _close_shells(self) -> None:
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    def _install_scripts(self, login: str) -> None:
        # Once: the jobs of a running experiment import these files, and must not meet half of one.
        if login not in self._have_scripts:
            for script in sorted((SCRIPTS / "realws").glob("*.py")):
                self.write(login, f"realws/{script.name}", script.read_text())
            self._have_scripts.add(login)

    def _wait_for_greeting(self) -> None:
        wait_until(
            lambda: greets(self.host, self.port), GREETING_LIMIT, "the greeting of the test server"
        )

    def _reap_spawned(self) -> None:
        for process in self._spawned:
            process.kill()
            process.wait(REAP_LIMIT)


def greets(host: str, port: int) -> bool:
    """Return whether an SSH server answers there; an engine's port forwarder alone does not count."""
    try:
        with socket.create_connection((host, port), GREETING_PATIENCE) as connection:
            return connection.recv(8).startswith(b"SSH-2.0")
    except OSError:
        return False


def _pattern(host: str, port: int) -> str:
    return host if port == 22 else f"[{host}]:{port}"
