"""``run-experiment``: choose the workspace, then become the experimaestro that runs the experiment in it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.experiment_file import experiment_id, find_file
from xpm_remote.cli.handover import hand_over, peer_command, require_installed
from xpm_remote.cli.passing import PassingCommand, words_without
from xpm_remote.cli.peer_settings import peer_words
from xpm_remote.cli.terminal import say
from xpm_remote.errors import UsageError, WorkspaceError
from xpm_remote.escaping import quoted, safe
from xpm_remote.settings.schema import Settings, Workspace, environment
from xpm_remote.settings.selection import Selection, select_workspace

NAME = "run-experiment"

_OURS = ("--workspace", "--workdir", "--dry-run")

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _passed(*names: str, **how: Any) -> Callable[[_Command], _Command]:  # noqa: ANN401
    """An option of experimaestro's, which we know only to tell options from arguments."""
    return click.option(*names, expose_value=False, **how)


@click.command(
    name=NAME,
    cls=PassingCommand,
    context_settings={"ignore_unknown_options": True},
    epilog="Examples: experimaestro run-experiment experiment.yaml"
    " · … run-experiment --workspace neuralir experiment.yaml -c lr=0.1"
    " · … run-experiment --dry-run experiment.yaml",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="YAML [ARGS]...")
@click.option("--workspace", metavar="ID", help="Run in this workspace of the settings.")
@click.option("--workdir", metavar="DIR", help="Run in this directory.")
@click.option("--dry-run", is_flag=True, help="Print what would be run, and where; run nothing.")
@click.option("-c", "--conf", multiple=True, metavar="KEY=VALUE", help="Set a value of the YAML.")
@click.option("--pre-yaml", multiple=True, metavar="FILE", help="Merge this file in before YAML.")
@click.option("--post-yaml", multiple=True, metavar="FILE", help="Merge this file in after YAML.")
@_passed("--env", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a variable of the jobs.")
@_passed("--run-mode", metavar="MODE", help="normal, generate_only, dry_run or prepare.")
@_passed("--file", metavar="FILE", help="The code of the experiment.")
@_passed("--module-name", metavar="NAME", help="The module with the code of the experiment.")
@_passed("--xpm-config-dir", metavar="DIR", help="Where launchers are configured.")
@_passed("--show", is_flag=True, help="Print the configuration of the experiment and end.")
@_passed("--console", is_flag=True, help="Watch the experiment in experimaestro's console.")
@_passed("--web", is_flag=True, help="Watch the experiment in the browser.")
@_passed("--events-viewer", is_flag=True, help="Print events as they come.")
@_passed("--events-format", metavar="FORMAT", help="How to print them: text or json.")
@_passed("--no-progress", is_flag=True, help="Leave progress out of the events.")
@_passed("--no-db", is_flag=True, help="Keep no state of the experiment.")
@_passed("--watcher", metavar="KIND", help="How changes of files are noticed.")
@_passed("--polling-interval", metavar="S", help="Seconds between two looks at files.")
@_passed("--debug", is_flag=True, help="Print debug information.")
@_passed("--host", hidden=True)
@_passed("--port", hidden=True)
@click.pass_context
def run_experiment(
    ctx: click.Context,
    /,
    *,
    words: tuple[str, ...],
    workspace: str | None,
    workdir: str | None,
    dry_run: bool,
    conf: tuple[str, ...],
    pre_yaml: tuple[str, ...],
    post_yaml: tuple[str, ...],
) -> None:
    """Run an experiment in the workspace that is meant for it.

    That is the workspace of --workspace, else the directory of --workdir, else the first local workspace
    with a trigger that matches the id in YAML, else the first local workspace. Which one, and why, is said on
    stderr. experimaestro itself runs the experiment: it has to be installed beside xpm-remote, and gets all
    other options, and ARGS, as they are.
    """
    context: Context = ctx.obj
    names = [*pre_yaml, _yaml(words), *post_yaml]
    if not dry_run:
        require_installed(NAME)
    settings = context.load_settings()
    directory = context.directory(workdir)
    selection = _select(settings, workspace or None, directory, names, conf)
    _require_local(settings, selection.workspace)
    environ = environment(settings, selection.workspace, os.environ)
    told = peer_words(context, settings, selection, environ, is_moved=directory is not None)
    arguments = [*context.peer_flags, NAME, *told, *words_without(ctx, _OURS)]
    if dry_run:
        _show(selection, environ, peer_command(arguments))
        return
    if not context.is_quiet:
        say(f"{ctx.find_root().info_name}: {safe(_choice(selection))}", err=True)
    # Its imports take as long as reading the settings, and most workspaces have no folders.
    if selection.workspace.folders:
        from xpm_remote.cli.recover_before import recover_before

        recover_before(context, selection.workspace, lambda: _id(names, conf))
    hand_over(arguments, environ)


def _yaml(words: Sequence[str]) -> str:
    """Find the YAML among the arguments and the options that we do not know."""
    name = next((word for word in words if not word.startswith("-")), None)
    if name is None:
        raise UsageError("the YAML file of the experiment is missing", f"see {NAME} --help")
    return name


def _select(
    settings: Settings,
    workspace: str | None,
    workdir: Path | None,
    names: Iterable[str],
    conf: Sequence[str],
) -> Selection:
    files = [find_file(name) for name in names]
    if workspace or workdir:
        return select_workspace(settings, workspace_id=workspace, workdir=workdir)
    found = _id(names, conf)
    if found is None and any(each.triggers for each in settings.workspaces if not each.is_remote):
        raise UsageError(
            f"{files[-1]} has no id, so no trigger of a workspace can match it",
            "add id: to it, or name the workspace with --workspace",
        )
    return select_workspace(settings, experiment_id=found)


def _id(names: Iterable[str], conf: Sequence[str]) -> str | None:
    """Find the id of the experiment, as far as its files tell."""
    return experiment_id(map(find_file, names), conf, datetime.now().astimezone())


def _require_local(settings: Settings, workspace: Workspace) -> None:
    if workspace.ssh is None:
        return
    local = [each.id for each in settings.workspaces if not each.is_remote]
    there = shlex.join(["ssh", *workspace.ssh.options, workspace.ssh.host])
    or_here = f", or --workspace with one that is here: {', '.join(local)}" if local else ""
    raise WorkspaceError(
        f"the workspace {quoted(workspace.id)} is on {workspace.ssh.host}, and {NAME} runs here",
        f"log in there ({there}) and run it{or_here}",
    )


def _choice(selection: Selection) -> str:
    workspace = selection.workspace
    name = f"workspace {workspace.id} at" if workspace.id else "workspace"
    return f"{name} {workspace.path}: {selection.reason}"


def _show(selection: Selection, environ: dict[str, str], command: Sequence[str]) -> None:
    rows = [
        ("workspace", selection.workspace.id or "none of the settings"),
        ("path", str(selection.workspace.path)),
        ("because", selection.reason),
    ]
    changed = sorted(name for name in environ if environ[name] != os.environ.get(name))
    rows += [("variable", f"{name}={environ[name]}") for name in changed]
    for name, value in [*rows, ("command", shlex.join(command))]:
        click.echo(f"{name:<10} {safe(value)}")
