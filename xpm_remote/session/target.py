"""The target of a connection, the commands to run there, and how settings and flags become one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from xpm_remote.errors import UsageError, WorkspaceError
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.remote.agent import NOTHING, agent_command
from xpm_remote.link.remote.command import (
    RemoteExperimaestro,
    age_check,
    monitor_command,
    remote_command,
    slurm_check,
)
from xpm_remote.link.waits import DEFAULT_LIMITS, START_TIMEOUT, Limits
from xpm_remote.settings.schema import Backend, Off, Settings, SshEngine, SshSettings, Workspace
from xpm_remote.settings.selection import select_workspace
from xpm_remote.workspace.rows import ASK_INTERVAL


@dataclass(frozen=True)
class Target:
    """A workspace on a remote host.

    Attributes:
        name: The host, as named in the settings or on the command line.
        workspace: The directory there, as it was written.
        options: The SSH options, with the host.
        remote: How the remote experimaestro is found.
        shell_init: Shell commands to run before it.
        engine: The SSH engine.
        backend: What serves the workspace there.
        limits: The seconds of each wait until it answers.
        id: The id of the workspace in the settings; empty where the command line names host and directory.
        slurm_interval: Seconds between two questions to SLURM.
    """

    name: str
    workspace: str
    options: ConnectOptions
    remote: RemoteExperimaestro
    shell_init: str | None = None
    engine: SshEngine = SshEngine.ASYNCSSH
    backend: Backend = Backend.EXPERIMAESTRO
    limits: Limits = DEFAULT_LIMITS
    id: str = ""
    slurm_interval: float | Off = ASK_INTERVAL

    @property
    def label(self) -> str:
        """The name of the workspace among others."""
        return self.id or f"{self.name}:{self.workspace}"

    @property
    def has_init(self) -> bool:
        """Whether there are shell commands to run before the server."""
        return bool(self.shell_init and self.shell_init.strip())

    @property
    def server_command(self) -> str:
        """The command that serves the workspace, without ``shell_init`` and checks, as one would type it."""
        return monitor_command(self.remote, self.workspace)

    @property
    def command(self) -> str:
        """The whole remote command line.

        With ``auto``, an experimaestro is not started that is known to be too old, or where jobs run under SLURM.
        """
        check = ""
        if self.backend is Backend.AUTO:
            checks = (age_check(self.remote), slurm_check(self.workspace))
            check = " && ".join(filter(None, checks))
        return remote_command(
            self.server_command, workspace=self.workspace, shell_init=self.shell_init, check=check
        )

    def agent_start(self, asked: str = NOTHING) -> str:
        """Return the command that becomes our agent, without ``shell_init``; the agent is sent on its stdin.

        Args:
            asked: Requests that it answers as soon as it runs, a list in JSON.

        Raises:
            OptionError: A word cannot be part of a command.
        """
        python = self.remote.python
        return agent_command(self.workspace, python=python, compress=True, asked=asked)

    def agent_command(self, asked: str = NOTHING) -> str:
        """Return the whole remote command line that starts our agent.

        Args:
            asked: As of ``agent_start``.

        Raises:
            OptionError: A word cannot be part of a command.
        """
        start = self.agent_start(asked)
        return remote_command(start, workspace=self.workspace, shell_init=self.shell_init)


@dataclass(frozen=True)
class LocalTarget:
    """A workspace of this machine.

    Attributes:
        name: This machine's name.
        workspace: The directory.
        id: The id of the workspace in the settings; empty where the command line names the directory.
        slurm_interval: Seconds between two questions to SLURM.
    """

    name: str
    workspace: str
    id: str = ""
    slurm_interval: float | Off = ASK_INTERVAL

    @property
    def label(self) -> str:
        """The name of the workspace among others."""
        return self.id or self.workspace


@dataclass(frozen=True)
class Overrides:
    """The values of the command line; None (for ``options``: empty) means that of the settings.

    Attributes:
        host: The SSH host.
        workdir: The remote directory.
        shell_init: Shell commands to run before the server.
        uv_offline: Whether uv may not ask the package index.
        python: The interpreter that uv uses.
        xpm_path: The remote experimaestro.
        options: SSH options; they replace those of the settings.
        version: The exact version that uv runs.
        engine: The SSH engine.
        backend: What serves the workspace there.
        start_timeout: Seconds for the login files, and for ``shell_init``.
    """

    host: str | None = None
    workdir: str | None = None
    shell_init: str | None = None
    uv_offline: bool | None = None
    python: str | None = None
    xpm_path: str | None = None
    options: tuple[str, ...] = ()
    version: str | None = None
    engine: SshEngine | None = None
    backend: Backend | None = None
    start_timeout: float = START_TIMEOUT


def remote_workspace(settings: Settings, workspace_id: str) -> Workspace:
    """Return the remote workspace with an id.

    Raises:
        WorkspaceError: There is none with that id, or it is a local one.
    """
    workspace = select_workspace(settings, workspace_id=workspace_id).workspace
    if workspace.ssh is None:
        raise WorkspaceError(
            f"the workspace {workspace_id} in {settings.path} has no ssh settings",
            "add `ssh: {host: …}` to it, or give HOST and REMOTE_WORKDIR",
        )
    return workspace


def resolve_target(settings: Settings, workspace_id: str | None, overrides: Overrides) -> Target:
    """Return the target: values of the command line, else those of the workspace's settings.

    Raises:
        UsageError: Neither names a host, or neither a directory.
        WorkspaceError: The workspace is unknown or not remote.
        OptionError: An SSH option is malformed or cannot be honoured.
    """
    ssh = SshSettings(host="")
    workdir = overrides.workdir
    if workspace_id is not None:
        workspace = remote_workspace(settings, workspace_id)
        ssh = workspace.ssh or ssh
        workdir = workdir or str(workspace.path)
    host = overrides.host or ssh.host
    if not host or not workdir:
        names = ", ".join(each.id for each in settings.workspaces if each.is_remote) or "none"
        raise UsageError(
            f"the {'REMOTE_WORKDIR' if host else 'HOST'} is missing",
            "give HOST and REMOTE_WORKDIR, or --workspace ID"
            f" (remote workspaces in {settings.path}: {names})",
        )
    engine = overrides.engine or ssh.engine
    uv_offline = ssh.uv_offline if overrides.uv_offline is None else overrides.uv_offline
    return Target(
        name=host,
        workspace=workdir,
        options=parse_ssh_options(host, overrides.options or ssh.options, engine),
        remote=RemoteExperimaestro(
            xpm_path=overrides.xpm_path or ssh.xpm_path,
            uv_offline=uv_offline,
            python=overrides.python or ssh.python,
            version=overrides.version,
        ),
        shell_init=overrides.shell_init if overrides.shell_init is not None else ssh.shell_init,
        engine=engine,
        backend=overrides.backend or ssh.backend,
        limits=Limits(start=overrides.start_timeout),
        id=workspace_id or "",
        slurm_interval=settings.slurm_interval if workspace_id is None else ssh.slurm_interval,
    )
