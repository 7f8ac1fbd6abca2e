"""``experiments``: what runs, and what became of it."""

from __future__ import annotations

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.tree import CommandTree

COMMANDS = {
    "monitor": "xpm_remote.cli.monitor:monitor",
    "ssh-monitor": "xpm_remote.cli.ssh_monitor:ssh_monitor",
}
ABOUTS = {
    "monitor": "Watch the experiments and jobs of a workspace of this machine.",
    "ssh-monitor": "Watch the experiments and jobs of a workspace on a remote host.",
}
# Of 2.7.0; others are found by asking, when it is installed.
PEER_COMMANDS = (
    "actions",
    "carbon",
    "copy",
    "history",
    "history-prune",
    "list",
    "monitor-server",
    "services",
    "tag",
    "tags",
    "untag",
)


@click.group(
    cls=CommandTree,
    lazy_commands=COMMANDS,
    abouts=ABOUTS,
    peer_commands=PEER_COMMANDS,
    epilog="Example: experimaestro experiments ssh-monitor --workspace my-cluster",
)
@click.option("--workdir", metavar="DIR", help="The directory of the workspace.")
@click.option("--workspace", metavar="ID", help="The id of the workspace in the settings.")
@click.pass_obj
def experiments(context: Context, workdir: str | None, workspace: str | None) -> None:
    """Look at experiments and their jobs."""
    context.workdir = workdir
    context.workspace = workspace
