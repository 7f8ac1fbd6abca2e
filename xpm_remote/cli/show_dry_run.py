"""What would be connected to and run."""

from __future__ import annotations

import click

from xpm_remote.cli.show_remote import served_facts
from xpm_remote.escaping import safe
from xpm_remote.link.engines import describe_link
from xpm_remote.session.target import Target
from xpm_remote.ui.document import encode
from xpm_remote.ui.plain import Format


async def show_dry_run(target: Target, form: Format) -> None:
    """Print the resolved connection, the backend, and the remote command lines."""
    link = await describe_link(target.options, target.engine)
    facts = {**link, "workspace": target.workspace, **served_facts(target)}
    if form is Format.JSON:
        click.echo(encode(facts))
        return
    for name, value in facts.items():
        text = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"{name:<12} {safe(str(text))}")
