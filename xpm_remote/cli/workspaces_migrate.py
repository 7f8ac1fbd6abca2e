"""``workspaces migrate``: the deprecated ``alt_workspaces`` rewritten to ``folders``."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.settings_file import replace_file
from xpm_remote.cli.terminal import say
from xpm_remote.escaping import safe
from xpm_remote.settings.migration import migrate
from xpm_remote.settings.reader import read_text


@click.command(
    name="migrate",
    epilog="Examples: experimaestro workspaces migrate · … workspaces migrate --write",
)
@click.option("--write", is_flag=True, help="Write the change into the settings file.")
@click.pass_obj
def migrate_settings(context: Context, /, *, write: bool) -> None:
    """Rewrite alt_workspaces to folders.

    The folders get the mode use. The difference is printed; comments, order and formatting of everything
    else stay. Without --write nothing is written; with it, the old file is kept beside the new one as
    settings.yaml.bak (.bak.1 and so on, if there is one).
    """
    path = context.settings_path
    text = read_text(path) if context.has_settings else ""
    done = migrate(text, path=path, environ=os.environ, home=Path.home())
    if not done.workspaces:
        say(f"nothing to do: no alt_workspaces in {safe(str(path))}", err=True)
        return
    for line in done.diff.splitlines():
        click.echo(safe(line))
    if not write:
        click.echo("nothing is written yet: add --write", err=True)
        return
    backup = replace_file(path, *(_bytes(path, each) for each in (text, done.text)))
    say(f"{safe(str(path))} is rewritten; what it held before is in {safe(str(backup))}", err=True)


def _bytes(path: Path, text: str) -> bytes:
    """The text as it lies in the file, which may begin with a mark that is no part of the text."""
    with path.open("rb") as file:
        mark = file.read(len(codecs.BOM_UTF8))
    start = mark if mark == codecs.BOM_UTF8 else b""
    return start + text.encode()
