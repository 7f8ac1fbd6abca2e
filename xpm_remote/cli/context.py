"""What the groups of the command line tell the commands below them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

from xpm_remote.settings.reader import default_settings_path, load_settings
from xpm_remote.settings.schema import Settings
from xpm_remote.ui.text import safe


@dataclass
class Context:
    """The options of the groups.

    Attributes:
        settings_file: The settings file that was named, if one was.
        workspace: The workspace id that was named at the group.
        workdir: The directory that was named at the group.
    """

    settings_file: Path | None = None
    workspace: str | None = None
    workdir: str | None = None

    def load_settings(self) -> Settings:
        """Read the settings; warnings about them go to stderr.

        Raises:
            SettingsError: The file cannot be used.
        """
        home = Path.home()
        path = self.settings_file or default_settings_path(os.environ, home)
        settings = load_settings(path, os.environ, home)
        for problem in settings.warnings:
            click.echo(f"warning: {safe(str(problem))}", err=True)
        return settings
