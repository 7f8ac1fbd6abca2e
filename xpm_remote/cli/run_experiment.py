"""``run-experiment``: choose the workspace, then become the experimaestro that runs the experiment in it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from xpm_remote.cli.context import Context, workspace_option
from xpm_remote.cli.experiment_file import experiment_id, find_file
from xpm_remote.cli.output import copy_progress, examples, say
from xpm_remote.cli.peer import (
    ForwardingCommand,
    check_local,
    forwarded_words,
    hand_over,
    peer_command,
    require_installed,
)
from xpm_remote.errors import SettingsError, UsageError, WorkspaceError
from xpm_remote.escaping import quoted, safe
from xpm_remote.settings.effective import Effective, effective_values
from xpm_remote.settings.reader import load_settings
from xpm_remote.settings.schema import Settings, Workspace, environment
from xpm_remote.settings.selection import Rule, Selection, select_workspace

NAME = "run-experiment"
_OURS = ("--workspace", "--workdir", "--dry-run")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _passed(*names: str, **how: Any) -> Callable[[_Command], _Command]:  # noqa: ANN401
    """Return an option of experimaestro, declared only to distinguish options from arguments."""
    return click.option(*names, expose_value=False, **how)


@click.command(
    name=NAME,
    cls=ForwardingCommand,
    context_settings={"ignore_unknown_options": True},
    epilog=examples(
        "experimaestro run-experiment experiment.yaml",
        "experimaestro run-experiment --workspace neuralir experiment.yaml -c lr=0.1",
        "experimaestro run-experiment --dry-run experiment.yaml",
    ),
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="YAML [ARGS]...")
@workspace_option("Run in this workspace of the settings.")
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
    settings = context.load_settings()
    # Before anything else: whether experimaestro is installed must make no difference.
    if workspace:
        _require_local(settings, select_workspace(settings, workspace_id=workspace).workspace)
    elif workdir:
        told = [NAME, f"--workdir={workdir}", *forwarded_words(ctx, _OURS)]
        check_local(context, quoted(NAME), told)
    if not dry_run:
        require_installed(NAME)
    directory = context.directory(workdir)
    selection = _select(settings, workspace or None, directory, names, conf)
    _require_local(settings, selection.workspace)
    environ = environment(settings, selection.workspace, os.environ)
    told = peer_words(context, settings, selection, environ, is_moved=directory is not None)
    arguments = [*context.peer_flags, NAME, *told, *forwarded_words(ctx, _OURS)]
    if dry_run:
        _show(selection, environ, peer_command(arguments))
        return
    if not context.is_quiet:
        found = selection.workspace
        name = f"workspace {found.id} at" if found.id else "workspace"
        choice = f"{name} {found.path}: {selection.reason}"
        say(f"{ctx.find_root().info_name}: {safe(choice)}", err=True)
    if selection.workspace.folders:
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
    """Return the id of the experiment; None when its files have none."""
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


_ENV = "env."
# Keys that options express, or that only the choice needs.
_TOLD = ("id", "path", "triggers", "slurm_interval")  # the last one concerns us alone


def peer_words(
    context: Context,
    settings: Settings,
    selection: Selection,
    environ: Mapping[str, str],
    *,
    is_moved: bool,
) -> list[str]:
    """Return the options by which experimaestro runs an experiment in the selected workspace.

    Args:
        context: Which settings file is ours.
        settings: What is in it.
        selection: A local workspace.
        environ: The environment in which experimaestro will start.
        is_moved: Whether the workspace is to lie at another directory than its own.

    Raises:
        UsageError: The settings are not in experimaestro's own file, and hold more than options can express.
        SettingsError: In that environment the settings mean something else.
    """
    workspace = selection.workspace
    place = ["--workdir", str(workspace.path)]
    env = {**settings.env, **workspace.env}
    if not context.is_shared:
        _check_tellable(context, settings, workspace)
        return [*place, *_env_words(env)]
    name = [] if selection.rule is Rule.WORKDIR else ["--workspace", workspace.id]
    changed = _changed_env(settings, workspace, environ)
    env_words = _env_words({key: env[key] for key in changed})
    return [*name, *(place if is_moved or not name else []), *env_words]


def _env_words(env: Mapping[str, str]) -> list[str]:
    return [word for name, value in env.items() for word in ("--env", name, value)]


def _check_tellable(context: Context, settings: Settings, workspace: Workspace) -> None:
    given = [each.key for each in effective_values(settings, workspace) if each.position]
    untold = [key for key in given if key not in _TOLD and not key.startswith(_ENV)]
    if untold:
        what = (
            f"experimaestro reads {context.shared_path} only, so {', '.join(untold)}"
            f" of {settings.path} would have no effect"
        )
        raise UsageError(what, "put the workspace into that file")


def _changed_env(settings: Settings, workspace: Workspace, environ: Mapping[str, str]) -> list[str]:
    """Return the variables of the workspace that experimaestro would read otherwise.

    It fills in ``${env:X}`` from the environment in which it starts: the one that the settings made.
    """
    try:
        again = load_settings(settings.path, environ, Path.home())
    except SettingsError as error:
        what = f"with the variables that it sets under env, {settings.path} has errors: {error}"
        raise SettingsError(what, "write out what stands for ${env:…} there") from error
    before, after = _values(settings, workspace), _values(again, workspace)
    changed = [key for key in before if before[key].value != getattr(after.get(key), "value", None)]
    other = [key for key in changed if not key.startswith(_ENV)]
    if other:
        where = ", ".join(f"{key} ({' '.join(before[key].variables)})" for key in other)
        what = f"the variables under env in {settings.path} change what is meant elsewhere: {where}"
        raise SettingsError(what, "write out what stands for ${env:…} there")
    return [key.removeprefix(_ENV) for key in changed]


def _values(settings: Settings, workspace: Workspace) -> dict[str, Effective]:
    """Return the values in force for a workspace, by key, in one reading of the settings."""
    found = next((each for each in settings.workspaces if each.id == workspace.id), workspace)
    return {each.key: each for each in effective_values(settings, found)}


def recover_before(
    context: Context, workspace: Workspace, find_id: Callable[[], str | None]
) -> None:
    """Bring back the jobs of an experiment that its workspace has lost and a folder has whole.

    A job that cannot be brought back is a warning only: it is run again.

    Args:
        context: Whether to be quiet.
        workspace: The workspace, a local one.
        find_id: Returns the id of the experiment; None when its files have none.
    """
    # These imports take as long as reading the settings, and most workspaces have no folders.
    from xpm_remote.ui.reports.jobs import recovery_outcome_line, recovery_total
    from xpm_remote.workspace.folders.recovery import plan_recovery, recover
    from xpm_remote.workspace.layout import Layout
    from xpm_remote.workspace.orphans.references import read_references

    layout, folders = Layout(Path(workspace.path)), workspace.folders
    if not folders or not layout.marker.exists():
        return
    try:
        experiment = find_id()
    except UsageError:  # experimaestro itself will report what is wrong with the files
        return
    jobs = () if experiment is None else read_references(layout, [experiment])
    plans = [each for each in plan_recovery(layout, folders, jobs) if each.status.is_to_do]
    if not plans:
        return
    if not context.is_quiet:
        say(recovery_total(plans), err=True)
    size, files = sum(plan.size for plan in plans), sum(plan.files for plan in plans)
    with copy_progress("recovering", size, files) as progress:
        for outcome in recover(layout, folders, [plan.job for plan in plans], progress=progress):
            if not outcome.is_there:
                context.warn(recovery_outcome_line(outcome))
