"""What an experiment had before and has lost, brought back before it runs again: only what its own runs refer to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xpm_remote.cli.context import Context
from xpm_remote.cli.local_workspace import as_folders
from xpm_remote.cli.show_progress import copy_progress
from xpm_remote.cli.terminal import say
from xpm_remote.errors import UsageError
from xpm_remote.settings.schema import Workspace
from xpm_remote.ui.recovery_report import outcome_line, plan_total
from xpm_remote.workspace.folders.recovery import plan_recovery, recover
from xpm_remote.workspace.layout import Layout
from xpm_remote.workspace.orphans.references import read_references


def recover_before(
    context: Context, workspace: Workspace, find_id: Callable[[], str | None]
) -> None:
    """Bring back the jobs of an experiment that its workspace has lost and a folder has whole.

    What cannot be brought back hinders nothing: it is run again. It is said in a warning.

    Args:
        context: Says whether to be quiet.
        workspace: The workspace, a local one.
        find_id: Gives the id of the experiment, as far as its files tell.
    """
    layout, folders = Layout(Path(workspace.path)), as_folders(workspace)
    if not folders or not layout.marker.exists():
        return
    try:
        experiment = find_id()
    except UsageError:  # experimaestro itself will say what is wrong with the files
        return
    jobs = () if experiment is None else read_references(layout, [experiment])
    plans = [each for each in plan_recovery(layout, folders, jobs) if each.status.is_to_do]
    if not plans:
        return
    if not context.is_quiet:
        say(plan_total(plans), err=True)
    size, files = sum(plan.size for plan in plans), sum(plan.files for plan in plans)
    with copy_progress("recovering", size, files) as progress:
        for outcome in recover(layout, folders, [plan.job for plan in plans], progress=progress):
            if not outcome.is_there:
                context.warn(outcome_line(outcome))
