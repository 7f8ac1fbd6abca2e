"""Our command line with workspaces of this machine and their folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.commands import Commands, Finished
from tests.workspace.small import SmallWorkspace


class Local:
    """A workspace ``w`` with a backup folder, and the command line that knows it.

    Args:
        commands: The command line.
        folder: Where everything is.
    """

    def __init__(self, commands: Commands, folder: Path) -> None:
        self.commands = commands
        self.made = SmallWorkspace(folder / "ws")
        self.backup = SmallWorkspace(folder / "backup")
        self.settle([(self.backup, "backup")])

    def settle(self, folders: list[tuple[SmallWorkspace, str]], *others: dict[str, Any]) -> None:
        """Write the settings: the workspace with these folders, then others."""
        listed = [{"path": str(each.root), "mode": mode} for each, mode in folders]
        own = {"id": "w", "path": str(self.made.root), "folders": listed}
        # JSON is YAML.
        self.commands.settings.write_text(json.dumps({"workspaces": [own, *others]}))

    def run(self, *words: str) -> Finished:
        """Run a command to its end."""
        return self.commands.run(*words)

    def objects(self, *words: str) -> list[dict[str, Any]]:
        """Run a command with JSON that must succeed; return the objects of its lines."""
        done = self.run(*words, "--format", "json")
        assert done.status == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]
