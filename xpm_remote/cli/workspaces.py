"""``workspaces``: the workspaces of the settings, the problems of that file, and which workspace would be used."""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import click

from xpm_remote.cli.context import Context, complete_workspace, workspace_option
from xpm_remote.cli.options import format_option
from xpm_remote.cli.output import examples, print_json, say
from xpm_remote.cli.settings_file import remove_leftovers, replace_file
from xpm_remote.errors import ExitCode, OptionError
from xpm_remote.escaping import safe
from xpm_remote.session.target import Overrides, resolve_target
from xpm_remote.settings.migration import migrate
from xpm_remote.settings.reader import read_text
from xpm_remote.settings.schema import (
    InvalidSettingsError,
    Problem,
    Settings,
    Workspace,
    in_file_order,
)
from xpm_remote.settings.selection import select_workspace
from xpm_remote.ui.documents import json_line
from xpm_remote.ui.reports.workspaces import (
    check_document,
    facts_lines,
    list_document,
    list_lines,
    problem_lines,
    show_document,
    show_lines,
    which_document,
    which_lines,
)


@click.command(
    name="list",
    epilog=examples(
        "experimaestro workspaces list -v", "experimaestro workspaces list --format json"
    ),
)
@click.option("-v", "--verbose", is_flag=True, help="Show what stands in the settings for each.")
@format_option
@click.pass_obj
def list_workspaces(context: Context, /, *, verbose: bool, is_json: bool) -> None:
    """List the workspaces.

    Each has its id, whether it is remote, and its path. The default is the one to which experiments go
    that match no trigger.
    """
    settings = context.load_settings()
    if is_json:
        print_json([json_line(list_document(settings))])
        return
    for line in list_lines(settings, is_verbose=verbose):
        say(line)
    if not settings.workspaces:
        say(f"there are no workspaces in {safe(str(settings.path))}", err=True)


@click.command(
    name="show",
    epilog=examples(
        "experimaestro workspaces show my-cluster",
        "experimaestro workspaces show my-cluster --format json",
    ),
)
@click.argument("workspace_id", metavar="ID", shell_complete=complete_workspace)
@format_option
@click.pass_obj
def show(context: Context, /, *, workspace_id: str, is_json: bool) -> None:
    """Show what holds for a workspace, and where it comes from.

    That is a line of the settings file, with the environment variables that the value refers to there,
    or the default. For a remote workspace, also where SSH would connect to, and what would be run there;
    nothing is connected to.
    """
    settings = context.load_settings()
    workspace = select_workspace(settings, workspace_id=workspace_id).workspace
    if is_json:
        facts = _facts(settings, workspace)
        print_json([json_line({**show_document(settings, workspace), "connection": facts})])
        return
    for line in show_lines(settings, workspace):
        say(line)
    facts = _facts(settings, workspace)
    if facts is not None:
        click.echo()
        for line in facts_lines(facts):
            click.echo(line.text)  # whole, so that the commands can be copied


def _facts(settings: Settings, workspace: Workspace) -> dict[str, Any] | None:
    """Return where SSH would connect to, and what would be run there; None for a local workspace.

    Raises:
        OptionError: An SSH option of the workspace cannot be used.
    """
    if not workspace.is_remote:
        return None
    target = resolve_target(settings, workspace.id, Overrides())
    # Only a remote workspace needs the SSH library.
    from xpm_remote.session.backends import describe_target

    link, served = asyncio.run(describe_target(target))
    return {**link, **served}


@click.command(
    name="which",
    epilog=examples(
        "experimaestro workspaces which neuralir-12",
        "experimaestro workspaces which neuralir-12 --format json",
    ),
)
@click.argument("experiment_id")
@workspace_option("As if run-experiment got this option.")
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
    is_json: bool,
) -> None:
    """Show which workspace an experiment goes to, and why.

    That is the workspace of --workspace, else the directory of --workdir, else the first local workspace
    with a trigger that matches the id, else the first local workspace.
    """
    settings = context.load_settings()
    # On the remote host, the directory is one of that host.
    is_remote = any(each.id == workspace and each.is_remote for each in settings.workspaces)
    selection = select_workspace(
        settings,
        experiment_id=experiment_id,
        workspace_id=workspace or None,
        workdir=PurePosixPath(workdir) if is_remote and workdir else context.directory(workdir),
    )
    if is_json:
        print_json([json_line(which_document(settings, selection, experiment_id))])
        return
    for line in which_lines(selection):
        say(line)


Problems = tuple[Problem, ...]


@click.command(
    name="check",
    epilog=examples(
        "experimaestro workspaces check && make experiments",
        "experimaestro workspaces check --format json",
    ),
)
@format_option
@click.pass_obj
def check(context: Context, /, *, is_json: bool) -> int:
    """Show every error and every warning in the settings.

    Each has its file, line and column. SSH options are checked too; nothing is connected to. The exit
    status is 3 when there are errors, and 0 when there are none, with warnings or without.
    """
    errors, warnings = _look(context)
    if is_json:
        print_json([json_line(check_document(str(context.settings_path), errors, warnings))])
    else:
        for line in problem_lines(errors, warnings):
            say(line)
        say(safe(_summary(context, errors, warnings)))
    return ExitCode.SETTINGS if errors else ExitCode.OK


def _look(context: Context) -> tuple[Problems, Problems]:
    """Return the errors and the warnings."""
    try:
        settings = context.read_settings(for_dashboard=True)
    except InvalidSettingsError as error:
        return error.problems, error.warnings
    return in_file_order(_ssh_errors(settings)), settings.warnings


def _ssh_errors(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each workspace whose SSH settings make no valid connection."""
    for index, workspace in enumerate(settings.workspaces):
        if workspace.ssh is None:
            continue
        try:
            target = resolve_target(settings, workspace.id, Overrides())
            _ = target.command
        except OptionError as error:
            key = f"workspaces[{index}].ssh"
            places = (settings.positions.get(name) for name in (f"{key}.options", key))
            position = next((place for place in places if place is not None), None)
            yield Problem(file=settings.path, position=position, key=key, what=str(error))


def _summary(context: Context, errors: Problems, warnings: Problems) -> str:
    file = context.settings_path
    if not context.has_settings:
        return f"{file}: no such file, so everything has its default"
    if not errors and not warnings:
        return f"{file}: no problems"
    return f"{file}: {_count(errors, 'error')}, {_count(warnings, 'warning')}"


def _count(problems: Problems, name: str) -> str:
    return f"{len(problems) or 'no'} {name}{'' if len(problems) == 1 else 's'}"


@click.command(
    name="migrate",
    epilog=examples("experimaestro workspaces migrate", "experimaestro workspaces migrate --write"),
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
    if write:
        remove_leftovers(path)
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
    """Return the text as in the file, which may begin with a byte order mark."""
    with path.open("rb") as file:
        mark = file.read(len(codecs.BOM_UTF8))
    start = mark if mark == codecs.BOM_UTF8 else b""
    return start + text.encode()
