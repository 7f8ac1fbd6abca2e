"""``jobs``: the jobs of a workspace, here or on a remote host."""

from __future__ import annotations

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.tree import CommandTree

COMMANDS = {
    "archive": "xpm_remote.cli.jobs_archive:archive",
    "clean": "xpm_remote.cli.jobs_clean:clean",
    "kill": "xpm_remote.cli.jobs_kill:kill",
    "list": "xpm_remote.cli.jobs_list:list_jobs",
    "log": "xpm_remote.cli.jobs_log:log",
    "path": "xpm_remote.cli.jobs_path:path",
    "recover": "xpm_remote.cli.jobs_recover:recover",
}
ABOUTS = {
    "archive": "Copy or move jobs that succeeded to the backup and move folders of the workspace.",
    "clean": "Remove the directories of jobs that have ended.",
    "kill": "End the processes of jobs, with all that they started.",
    "list": "List jobs.",
    "log": "Show what jobs printed: their standard error, or with --std their standard output.",
    "path": "Print the directory of a job.",
    "recover": "Bring jobs back from the folders of the workspace.",
}
# Of 2.7.0; others are found by asking, when it is installed.
PEER_COMMANDS = ("stray",)


@click.group(
    cls=CommandTree,
    lazy_commands=COMMANDS,
    abouts=ABOUTS,
    peer_commands=PEER_COMMANDS,
    epilog="Example: experimaestro jobs --workspace neuralir list --filter '@state = \"error\"'",
)
@click.option("--workdir", metavar="DIR", help="The directory of the workspace.")
@click.option("--workspace", metavar="ID", help="The id of the workspace in the settings.")
@click.pass_obj
def jobs(context: Context, workdir: str | None, workspace: str | None) -> None:
    """Look at jobs, archive them, and bring them back.

    The workspace is that of --workspace, which may be a remote one, else the one at --workdir, else the first
    local one of the settings.
    """
    context.workdir = workdir
    context.workspace = workspace
