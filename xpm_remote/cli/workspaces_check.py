"""``workspaces check``: everything that is wrong with the settings, in one run."""

from __future__ import annotations

from collections.abc import Iterator

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.options import format_option
from xpm_remote.cli.show_workspaces import check_document, problem_lines
from xpm_remote.cli.terminal import say
from xpm_remote.errors import ExitCode, OptionError
from xpm_remote.escaping import safe
from xpm_remote.session.target import Overrides, resolve_target
from xpm_remote.settings.schema import InvalidSettingsError, Problem, Settings, in_file_order
from xpm_remote.ui.document import encode
from xpm_remote.ui.plain import Format

Problems = tuple[Problem, ...]


@click.command(
    name="check",
    epilog="Examples: experimaestro workspaces check && make experiments"
    " · … workspaces check --format json",
)
@format_option
@click.pass_obj
def check(context: Context, /, *, form: str) -> int:
    """Show every error and every warning in the settings.

    Each has its file, line and column. SSH options are checked too; nothing is connected to. The exit
    status is 3 when there are errors, and 0 when there are none, with warnings or without.
    """
    errors, warnings = _look(context)
    if form == Format.JSON.value:
        click.echo(encode(check_document(str(context.settings_path), errors, warnings)))
    else:
        for line in problem_lines(errors, warnings):
            say(line)
        say(safe(_summary(context, errors, warnings)))
    return ExitCode.SETTINGS if errors else ExitCode.OK


def _look(context: Context) -> tuple[Problems, Problems]:
    """Give the errors and the warnings."""
    try:
        settings = context.read_settings()
    except InvalidSettingsError as error:
        return error.problems, error.warnings
    return in_file_order(_ssh_errors(settings)), settings.warnings


def _ssh_errors(settings: Settings) -> Iterator[Problem]:
    """What keeps us from making a connection of what the settings say of ssh."""
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
