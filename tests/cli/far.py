"""A workspace of a user of the test server, written here file by file, and a command line with settings for it."""

from __future__ import annotations

import base64
import io
import json
import secrets
import tarfile
from pathlib import Path
from typing import Any

from tests.cli.commands import Commands, Finished
from tests.support.server import Server
from tests.workspace.small import SmallWorkspace


class Far:
    """A workspace ``far`` with a backup folder, in a directory of its own in a user's home.

    Args:
        commands: The command line.
        server: The test server.
        folder: Where everything is made before it goes there.
        login: Whose it is.

    Attributes:
        made: The workspace, until it is sent; ``backup``: its folder.
        place: The directory of both there.
    """

    def __init__(self, commands: Commands, server: Server, folder: Path, login: str) -> None:
        self.commands = commands
        self.server = server
        self.login = login
        self._folder = folder / "far"
        self.made = SmallWorkspace(self._folder / "ws")
        self.backup = SmallWorkspace(self._folder / "backup")
        self._name = f"far-{secrets.token_hex(4)}"
        self.place = f"{server.home(login)}/{self._name}"

    def send(self, port: int | None = None) -> None:
        """Send both to the server, and write the settings.

        Args:
            port: Where to connect to; None: the server's own port.
        """
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            archive.add(self._folder, self._name)
        text = base64.b64encode(data.getvalue()).decode()
        self.server.run(
            self.login,
            "base64 -d | tar xz --no-same-owner -m -C ~ && chmod 700 ~/far-*",
            input=text,
        )
        self.settle(port)

    def settle(self, port: int | None = None, folder: str = "backup") -> None:
        """Write the settings, with a folder that they spell with ``~``."""
        options = self.server.ssh_args(self.login)
        if port is not None:
            # Of an option that is given twice, the first counts.
            alias = f"HostKeyAlias=[{self.server.host}]:{self.server.port}"
            options = ["-p", str(port), "-o", alias, *options]
        workspace = {
            "id": "far",
            "path": f"~/{self._name}/ws",
            "ssh": {"host": self.server.host, "options": options},
            "folders": [{"path": f"~/{self._name}/{folder}", "mode": "backup"}],
        }
        self.commands.settings.write_text(json.dumps({"workspaces": [workspace]}))

    def run(self, *words: str) -> Finished:
        """Run a command about the workspace to its end."""
        return self.commands.run(*self.words(*words))

    def words(self, *words: str) -> tuple[str, ...]:
        """Name the workspace in a command: at its group, or behind it where it is none."""
        group, *rest = words
        return (group, "--workspace", "far", *rest)

    def objects(self, *words: str) -> list[dict[str, Any]]:
        """Run a command with JSON that must succeed; return the objects of its lines."""
        done = self.run(*words, "--format", "json")
        assert done.status == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def shell(self, command: str) -> str:
        """Run a bash command in the workspace on the server; return its output."""
        return self.server.run(self.login, f"cd {self.place}/ws && {command}")

    def there(self) -> list[str]:
        """Return the jobs whose result is in the workspace."""
        found = self.shell("cd jobs && ls -d */*/result.txt 2>/dev/null || true").split()
        return sorted(each.removesuffix("/result.txt") for each in found)
