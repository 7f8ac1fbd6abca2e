"""Finding a workspace, and opening its jobs on the side where it is."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from xpm_remote.errors import UsageError, WorkspaceError
from xpm_remote.escaping import quoted
from xpm_remote.jobs.interface import Jobs
from xpm_remote.session.target import LocalTarget, Overrides, Target, resolve_target
from xpm_remote.settings.schema import Off, Settings, Workspace
from xpm_remote.settings.selection import remote_workspace_at, select_workspace
from xpm_remote.settings.workspaces import normal
from xpm_remote.workspace.failures import NotAWorkspaceFailure
from xpm_remote.workspace.layout import Layout
from xpm_remote.workspace.reading.reader import check_workspace

if TYPE_CHECKING:
    from xpm_remote.jobs.local import LocalJobs
    from xpm_remote.jobs.reliable_agent import ReliableAgent
    from xpm_remote.jobs.remote import RemoteJobs
    from xpm_remote.jobs.stepping import SteppedJobs
    from xpm_remote.link.prompts import Prompter
    from xpm_remote.rpc.client import Listener
    from xpm_remote.session.hosts import Hosts
    from xpm_remote.workspace.layout import Folder

CallPerson = Callable[[str, str], Awaitable[bool]]
"""Waits, given the name of a host and what it asks for, until a person wants to answer."""

CallForAnswers = Callable[[str], Awaitable[bool]]
"""Waits, given what a host asks for, until a person wants to answer."""


@contextmanager
def open_jobs(
    settings: Settings,
    workspace: str | None,
    workdir: str | None,
    ssh: Overrides | None,
    *,
    directory: Callable[[str | None], Path | None],
    tell: Callable[[str], None],
    call_person: CallPerson,
) -> Iterator[Jobs]:
    """Find the workspace that is meant, and connect to it where it is remote.

    That is the one of an id, the one at a directory, whose folders are those of the settings, or the default one. A
    directory that is given besides an id takes the place of that workspace's own.

    Args:
        settings: What the file says.
        workspace: The id of a workspace.
        workdir: A directory, of the host of that workspace.
        ssh: How a remote workspace is reached; None: as in the settings.
        directory: Makes a directory of this machine absolute.
        tell: Is called with a line for the user.
        call_person: Is awaited when a lost link can be restored only by a person.

    Raises:
        WorkspaceError: There is none.
        UsageError: The options do not fit together, or the directory names a user that does not exist.
        XpmRemoteError: It cannot be reached.
        WorkspaceFailure: It is no workspace, or an operation on one of this machine failed.
    """
    named = select_workspace(settings, workspace_id=workspace).workspace if workspace else None
    if named is not None and named.is_remote:
        overrides = replace(ssh or Overrides(), workdir=workdir)
        with _open_remote(settings, named, overrides, tell, call_person) as remote:
            yield remote
    elif ssh is not None:
        what = "this machine" if named is None else f"{quoted(named.id)}, which is here"
        raise UsageError(
            f"options of SSH are given for a workspace of {what}",
            "leave them out, or name a remote one with --workspace",
        )
    else:
        yield _find_local(settings, workspace, directory(workdir))


def _find_local(settings: Settings, workspace: str | None, directory: Path | None) -> LocalJobs:
    # The engine, of which a remote command needs little.
    from xpm_remote.jobs.local import LocalJobs

    found = None
    if not workspace and directory is not None:
        # That of the settings which lies there, by whatever path.
        real = os.path.realpath(directory)
        local = (each for each in settings.workspaces if not each.is_remote)
        found = next((each for each in local if os.path.realpath(each.path) == real), None)
    if found is None:
        found = select_workspace(settings, workspace_id=workspace, workdir=directory).workspace
    root = Path(os.path.abspath(found.path))  # noqa: PTH100  (links stay)
    check_here(settings, root)
    keepers = _keepers(settings, found, root)
    interval = None if isinstance(found.slurm_interval, Off) else found.slurm_interval
    return LocalJobs(Layout(root), found.folders, keepers, interval)


def check_here(settings: Settings, root: Path) -> None:
    """Check that a directory of this machine is a workspace.

    Raises:
        WorkspaceError: It is none, and the settings have a remote workspace of the same path.
        NotAWorkspaceFailure: It is none.
    """
    try:
        check_workspace(root)
    except NotAWorkspaceFailure as failure:
        remote = remote_workspace_at(settings, {str(root)}, Path.home())
        if remote is None or remote.ssh is None:
            raise
        where = f"the workspace {quoted(remote.id)} at that path is on {remote.ssh.host}"
        raise WorkspaceError(
            f"{failure.what} on this machine; {where}", f"name it with --workspace {remote.id}"
        ) from failure


@asynccontextmanager
async def open_in_loop(
    target: Target | LocalTarget,
    hosts: Hosts | None = None,
    *,
    folders: Iterable[Folder] = (),
    tell: Callable[[str], None],
    call_person: CallForAnswers | None = None,
    prompter: Prompter | None = None,
) -> AsyncIterator[RemoteJobs]:
    """Open the jobs of a workspace of a fleet in its event loop: by an agent of its own, on the login that it has.

    For a workspace of this machine, too, the agent is another process, so that no disk blocks the loop. At the end the
    job in hand is finished.

    Args:
        target: The workspace.
        hosts: The logins of the fleet; None: a login of its own.
        folders: The folders of the workspace, as the settings spell them.
        tell: Is called with a line for the user.
        call_person: Is awaited when a lost link can be restored only by a person; None: there is none.
        prompter: Answers what the host asks at first, if there is no login; None: the person at the terminal.

    Raises:
        XpmRemoteError: It cannot be reached.
    """
    from xpm_remote.jobs.reliable_agent import ReliableAgent
    from xpm_remote.jobs.remote import RemoteJobs
    from xpm_remote.session.agent_client import AgentClient, open_local_agent
    from xpm_remote.session.hosts import Hosts
    from xpm_remote.session.reconnect import no_person

    if isinstance(target, LocalTarget):
        here = target

        async def start(*, prompter: Prompter | None, listener: Listener) -> AgentClient:
            del prompter
            return await open_local_agent(here, listener=listener)

        agent = ReliableAgent(start, tell)
    else:
        agent = _agent_at(target, hosts or Hosts(), tell, call_person or no_person)
    try:
        yield RemoteJobs(agent, Layout(Path(await agent.open(prompter))), folders)
    finally:
        await agent.aclose(finish=True)


def _agent_at(
    target: Target, hosts: Hosts, tell: Callable[[str], None], call_person: CallForAnswers
) -> ReliableAgent:
    """Make an agent on a host, not opened, which comes back with the login that others share."""
    from xpm_remote.jobs.reliable_agent import ReliableAgent
    from xpm_remote.link.course import SlowWaits
    from xpm_remote.session.agent_client import open_agent

    host = hosts.at(target)

    async def call(asked: str) -> bool:
        return await host.wait_for_person(asked, call_person) is not False

    opener = functools.partial(open_agent, target, host.link, observer=SlowWaits(tell))
    return ReliableAgent(opener, tell, call, host.backoff)


@contextmanager
def _open_remote(
    settings: Settings,
    workspace: Workspace,
    overrides: Overrides,
    tell: Callable[[str], None],
    call_person: CallPerson,
) -> Iterator[SteppedJobs]:
    # A local command needs no SSH library.
    from xpm_remote.jobs.stepping import open_stepped
    from xpm_remote.link.connection import Sharing
    from xpm_remote.session.hosts import Hosts

    target = resolve_target(settings, workspace.id, overrides)
    keepers = _keepers(settings, workspace, Path(target.workspace))

    def tell_named(line: str) -> None:
        tell(f"{target.name}: {line}")

    hosts = Hosts(Sharing.BORROWS)  # the login of a dashboard that runs, where it can be used
    agent = _agent_at(target, hosts, tell_named, functools.partial(call_person, target.name))
    with open_stepped(agent, workspace.folders, keepers, tell_named) as jobs:
        yield jobs


def _keepers(settings: Settings, workspace: Workspace, root: PurePath) -> tuple[str, ...]:
    """Return the ids of the other workspaces of the same host that have a directory as a folder.

    Paths of another host are compared as text only.
    """
    host = workspace.ssh.host if workspace.ssh else None
    real: Callable[[PurePath], object] = normal if workspace.ssh else os.path.realpath
    return tuple(
        each.id
        for each in settings.workspaces
        if each.id != workspace.id
        and (each.ssh.host if each.ssh else None) == host
        and any(real(folder.path) == real(root) for folder in each.folders)
    )
