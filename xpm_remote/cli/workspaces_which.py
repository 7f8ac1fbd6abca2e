"""``workspaces which``: where an experiment goes to, and why."""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.options import format_option
from xpm_remote.cli.show_workspaces import which_document, which_lines
from xpm_remote.cli.terminal import say
from xpm_remote.settings.schema import Settings
from xpm_remote.settings.selection import select_workspace
from xpm_remote.ui.document import encode
from xpm_remote.ui.plain import Format


@click.command(
    name="which",
    epilog="Examples: experimaestro workspaces which neuralir-12"
    " · … workspaces which neuralir-12 --format json",
)
@click.argument("experiment_id")
@click.option("--workspace", metavar="ID", help="As if run-experiment got this option.")
@click.option("--workdir", metavar="DIR", help="As if run-experiment got this option.")
@format_option
@click.pass_obj
def which(
    context: Context,
    /,
    *,
    experiment_id: str,
    workspace: str | None,
    workdir: str | None,
    form: str,
) -> None:
    """Say which workspace an experiment goes to, and why.

    That is the workspace of --workspace, else the directory of --workdir, else the first local workspace
    with a trigger that matches the id, else the first local workspace.
    """
    settings = context.load_settings()
    selection = select_workspace(
        settings,
        experiment_id=experiment_id,
        workspace_id=workspace or None,
        workdir=_directory(context, settings, workspace, workdir),
    )
    if form == Format.JSON.value:
        click.echo(encode(which_document(settings, selection, experiment_id)))
        return
    for line in which_lines(selection):
        say(line)


def _directory(
    context: Context, settings: Settings, workspace: str | None, workdir: str | None
) -> PurePath | None:
    """The directory that is meant: on the remote host for a remote workspace."""
    is_remote = any(each.id == workspace and each.is_remote for each in settings.workspaces)
    if is_remote and workdir:
        return PurePosixPath(workdir)
    return context.directory(workdir)
