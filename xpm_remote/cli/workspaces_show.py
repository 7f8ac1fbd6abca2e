"""``workspaces show``: what holds for one, and where it comes from."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.options import format_option
from xpm_remote.cli.show_workspaces import facts_lines, show_document, show_lines
from xpm_remote.cli.terminal import say
from xpm_remote.session.target import Overrides, resolve_target
from xpm_remote.settings.schema import Settings, Workspace
from xpm_remote.settings.selection import select_workspace
from xpm_remote.ui.document import encode
from xpm_remote.ui.plain import Format


@click.command(
    name="show",
    epilog="Examples: experimaestro workspaces show my-cluster"
    " · … workspaces show my-cluster --format json",
)
@click.argument("workspace_id", metavar="ID")
@format_option
@click.pass_obj
def show(context: Context, /, *, workspace_id: str, form: str) -> None:
    """Show what holds for a workspace, and where it comes from.

    That is a line of the settings file, with the environment variables that the value refers to there,
    or the default. For a remote workspace, also where SSH would connect to, and what would be run there;
    nothing is connected to.
    """
    settings = context.load_settings()
    workspace = select_workspace(settings, workspace_id=workspace_id).workspace
    if form == Format.JSON.value:
        _show_json(settings, workspace)
    else:
        _show_text(settings, workspace)


def _show_json(settings: Settings, workspace: Workspace) -> None:
    facts = _facts(settings, workspace)
    click.echo(encode({**show_document(settings, workspace), "connection": facts}))


def _show_text(settings: Settings, workspace: Workspace) -> None:
    for line in show_lines(settings, workspace):
        say(line)
    facts = _facts(settings, workspace)
    if facts is not None:
        click.echo()
        for line in facts_lines(facts):
            click.echo(line.text)  # whole, so that the commands can be copied


def _facts(settings: Settings, workspace: Workspace) -> dict[str, Any] | None:
    """Where SSH would connect to, and what would be run there; None for a local workspace.

    Raises:
        OptionError: An SSH option of the workspace cannot be used.
    """
    if not workspace.is_remote:
        return None
    target = resolve_target(settings, workspace.id, Overrides())
    # Only a remote workspace needs the SSH library.
    from xpm_remote.cli.show_remote import remote_facts

    return asyncio.run(remote_facts(target))
