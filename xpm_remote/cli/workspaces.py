"""``workspaces``: what the settings say of each, and which one would be used."""

from __future__ import annotations

import click

from xpm_remote.cli.tree import CommandTree

COMMANDS = {
    "check": "xpm_remote.cli.workspaces_check:check",
    "list": "xpm_remote.cli.workspaces_list:list_workspaces",
    "migrate": "xpm_remote.cli.workspaces_migrate:migrate_settings",
    "show": "xpm_remote.cli.workspaces_show:show",
    "which": "xpm_remote.cli.workspaces_which:which",
}
ABOUTS = {
    "check": "Show every error and every warning in the settings.",
    "list": "List the workspaces.",
    "migrate": "Rewrite alt_workspaces to folders.",
    "show": "Show what holds for a workspace, and where it comes from.",
    "which": "Say which workspace an experiment goes to, and why.",
}


@click.group(
    cls=CommandTree,
    lazy_commands=COMMANDS,
    abouts=ABOUTS,
    epilog="Example: experimaestro workspaces which neuralir-12",
)
def workspaces() -> None:
    """Look at the workspaces of the settings."""
