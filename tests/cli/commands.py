"""Run our command line in another process, with a settings file, with or without a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cli.in_process import call_main
from tests.support import forked
from tests.support.server import Server
from xpm_remote.session.backends import CHANGES_WORKSPACE
from xpm_remote.settings.schema import SshEngine

COMMAND_LIMIT = 60.0
"""Seconds for one command: starting the real server on a loaded machine takes a few."""
WATCH_LIMIT = 180.0
"""Seconds for a command that runs while a test acts, such as running a real experiment."""
END_LIMIT = 10.0
"""Seconds for a command to end after a signal."""


@dataclass(frozen=True)
class Finished:
    """The outcome of a command."""

    status: int
    stdout: str
    stderr: str

    @property
    def told(self) -> list[str]:
        """The lines on stderr, besides the warning of what experimaestro may do."""
        return [line for line in self.stderr.splitlines() if CHANGES_WORKSPACE not in line]

    @property
    def error(self) -> str:
        """The one line of its error message."""
        lines = self.told
        assert len(lines) == 1, f"expected one line of error:\n{self.stderr}"
        return lines[0]

    @property
    def document(self) -> Any:
        """Its output, read as JSON."""
        return json.loads(self.stdout)


class Commands:
    """Our command line with a home and a settings file of its own.

    Args:
        folder: Where its files are.

    Attributes:
        engine: What ``--ssh-engine`` gets; None leaves the flag out.
        is_forked: Whether commands that go on are forked from this process, which has imported all that they need.
    """

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.settings = folder / "settings.yaml"
        self.engine: str | None = None
        self.is_forked = True
        self._workspaces: list[dict[str, Any]] = []
        self._write()

    def add(self, workspace_id: str, path: str, **ssh: object) -> str:
        """Add a workspace to the settings, a remote one if ssh settings are given; return its id."""
        workspace: dict[str, Any] = {"id": workspace_id, "path": path}
        if ssh:
            workspace["ssh"] = ssh
        self._workspaces.append(workspace)
        self._write()
        return workspace_id

    def add_login(self, server: Server, login: str, path: str, **ssh: object) -> str:
        """Add a workspace of a user of the test server; return its id, which is the user's name.

        It is served by experimaestro, unless ``ssh`` says another backend.
        """
        given: dict[str, object] = {"host": server.host, "options": server.ssh_args(login)}
        given |= {"backend": "experimaestro", **ssh}
        return self.add(str(ssh.pop("id", login)), path, **given)

    def run(self, *arguments: str, limit: float = COMMAND_LIMIT) -> Finished:
        """Run a command to its end, in this process.

        The program ssh would ask at a terminal that the tests have; where it is the engine, it is another process.
        """
        if self.engine == SshEngine.OPENSSH.value:
            with self.started(*arguments) as process:
                stdout, stderr = process.communicate(timeout=limit)
            assert "Traceback" not in stderr, stderr
            return Finished(process.returncode, stdout, stderr)
        return Finished(*call_main(arguments, self._environment(), limit))

    def run_process(self, *arguments: str, limit: float = COMMAND_LIMIT) -> Finished:
        """Run a command to its end in a process of its own; check that it shows no traceback."""
        done = subprocess.run(
            self._argv(arguments),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            start_new_session=True,  # without a terminal, also where the tests have one
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Finished(done.returncode, done.stdout, done.stderr)

    def monitor(self, *arguments: str, limit: float = COMMAND_LIMIT) -> Finished:
        """Run ``experiments ssh-monitor``."""
        return self.run(*self.words(*arguments), limit=limit)

    def words(self, *arguments: str) -> tuple[str, ...]:
        """Return the words of ``experiments ssh-monitor``, with the engine to be used, if one is set."""
        chosen = ("--ssh-engine", self.engine) if self.engine else ()
        return ("experiments", "ssh-monitor", *chosen, *arguments)

    @contextmanager
    def started(
        self, *arguments: str, limit: float = WATCH_LIMIT
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a command with pipes for what it prints, until the context ends, or it is killed at a limit."""
        process = (
            forked.start(arguments, self._environment())
            if self.is_forked
            else subprocess.Popen(
                self._argv(arguments),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        # A test that waits for a line that does not come is ended with the process.
        watchdog = threading.Timer(limit, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()
            process.communicate()

    @contextmanager
    def events(self, *arguments: str) -> Iterator[Events]:
        """Run the events viewer with JSON, until the context ends."""
        words = self.words("--events-viewer", "--events-format", "json", *arguments)
        with self.started(*words) as process:
            yield Events(process)

    def _argv(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "xpm_remote", *arguments]

    def _environment(self) -> dict[str, str]:
        environment = {**os.environ, "HOME": str(self.home), "PYTHONWARNINGS": "error"}
        environment["XPM_REMOTE_SETTINGS"] = str(self.settings)
        environment.pop("SSH_AUTH_SOCK", None)
        # Wide enough for the paths of temporary folders, however deep a worker's are.
        environment["COLUMNS"] = "160"
        return environment

    def _write(self) -> None:
        self.settings.write_text(yaml.safe_dump({"workspaces": self._workspaces}))


class Events:
    """The lines of a running events viewer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append(json.loads(line))
            yield self.seen[-1]

    def wait_live(self) -> dict[str, Any]:
        """Read until the link is live; return the line that reports it."""
        for event in self:
            if event["event"] == "link" and event["phase"] == "live":
                return event
        raise AssertionError(f"the events ended: {self.finish()}")

    def stop(self, number: int = signal.SIGINT) -> Finished:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.finish()

    def finish(self) -> Finished:
        """Wait for the end."""
        stdout, stderr = self.process.communicate(timeout=END_LIMIT)
        return Finished(self.process.returncode, stdout, stderr)
