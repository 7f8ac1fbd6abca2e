"""``experiments``: what runs, and what became of it."""

from __future__ import annotations

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.lazy import LazyGroup

COMMANDS = {"ssh-monitor": "xpm_remote.cli.ssh_monitor:ssh_monitor"}


@click.group(
    cls=LazyGroup,
    lazy_commands=COMMANDS,
    epilog="Example: experimaestro experiments ssh-monitor --workspace my-cluster",
)
@click.option("--workdir", metavar="DIR", help="The directory of the workspace.")
@click.option("--workspace", metavar="ID", help="The id of the workspace in the settings.")
@click.pass_obj
def experiments(context: Context, workdir: str | None, workspace: str | None) -> None:
    """Look at experiments and their jobs."""
    context.workdir = workdir
    context.workspace = workspace
