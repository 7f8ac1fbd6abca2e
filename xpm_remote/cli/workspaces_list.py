"""``workspaces list``: all of them, in the order of the settings."""

from __future__ import annotations

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.options import format_option
from xpm_remote.cli.show_workspaces import list_document, list_lines
from xpm_remote.cli.terminal import say
from xpm_remote.escaping import safe
from xpm_remote.ui.document import encode
from xpm_remote.ui.plain import Format


@click.command(
    name="list",
    epilog="Examples: experimaestro workspaces list -v · … workspaces list --format json",
)
@click.option("-v", "--verbose", is_flag=True, help="Show what stands in the settings for each.")
@format_option
@click.pass_obj
def list_workspaces(context: Context, /, *, verbose: bool, form: str) -> None:
    """List the workspaces.

    Each has its id, whether it is remote, and its path. The default is the one to which experiments go
    that match no trigger.
    """
    settings = context.load_settings()
    if form == Format.JSON.value:
        click.echo(encode(list_document(settings)))
        return
    for line in list_lines(settings, is_verbose=verbose):
        say(line)
    if not settings.workspaces:
        say(f"there are no workspaces in {safe(str(settings.path))}", err=True)
