"""Settings and flags made into one target: their precedence, and the error without either."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath

import pytest

from xpm_remote.errors import OptionError, UsageError, WorkspaceError
from xpm_remote.link.remote.agent import agent_command
from xpm_remote.link.remote.command import (
    RemoteExperimaestro,
    age_check,
    monitor_command,
    remote_command,
    slurm_check,
)
from xpm_remote.session.agent_client import handshake_of
from xpm_remote.session.target import Overrides, Target, remote_workspace, resolve_target
from xpm_remote.settings.schema import Backend, Off, Settings, SshEngine, SshSettings, Workspace

SSH = SshSettings(
    host="alice@cluster",
    shell_init="module load python",
    uv_offline=True,
    python="3.11",
    xpm_path="/opt/xpm",
    options=("-p 2222",),
)
SETTINGS = Settings(
    path=Path("/home/me/settings.yaml"),
    workspaces=(
        Workspace(id="local", path=Path("/data/ws")),
        Workspace(id="full", path=PurePosixPath("~/ws"), ssh=SSH),
        Workspace(id="bare", path=PurePosixPath("/ws"), ssh=SshSettings(host="node")),
    ),
)
NOTHING = Settings(path=Path("/home/me/settings.yaml"))


def resolve(workspace_id: str | None = None, **overrides: object) -> Target:
    """Resolve a target with the settings of this module."""
    return resolve_target(SETTINGS, workspace_id, Overrides(**overrides))  # type: ignore[arg-type]


# Workspaces


def test_remote_workspace() -> None:
    """A remote workspace is found by its id."""
    assert remote_workspace(SETTINGS, "bare") is SETTINGS.workspaces[2]


def test_local_workspace() -> None:
    """A local workspace is an error that says what it lacks."""
    with pytest.raises(
        WorkspaceError, match=r"local in /home/me/settings.yaml has no ssh settings"
    ):
        remote_workspace(SETTINGS, "local")


def test_unknown_workspace() -> None:
    """An unknown workspace is an error that lists the suitable ones."""
    with pytest.raises(WorkspaceError, match=r"no workspace .*x.* in /home/me/.*full, bare"):
        resolve("x")


# Settings alone


def test_settings_alone() -> None:
    """All values may be in the workspace's settings."""
    target = resolve("full")
    assert (target.name, target.workspace) == ("alice@cluster", "~/ws")
    assert (target.options.host, target.options.user, target.options.port) == (
        "cluster",
        "alice",
        2222,
    )
    assert target.remote == RemoteExperimaestro("/opt/xpm", uv_offline=True, python="3.11")
    assert target.shell_init == "module load python"


def test_bare_settings() -> None:
    """Values that the settings lack have their defaults."""
    target = resolve("bare")
    assert target.remote == RemoteExperimaestro()
    assert target.shell_init is None
    assert target.options.port is None


# Flags


def test_flags_alone() -> None:
    """All values may be on the command line, without any settings."""
    target = resolve_target(
        NOTHING, None, Overrides(host="bob@node", workdir="/ws", version="2.7.0")
    )
    assert (target.name, target.workspace, target.options.user) == ("bob@node", "/ws", "bob")
    assert target.remote == RemoteExperimaestro(version="2.7.0")


@pytest.mark.parametrize(
    ("overrides", "attribute", "expected"),
    [
        ({"host": "node"}, "name", "node"),
        ({"workdir": "/other"}, "workspace", "/other"),
        ({"shell_init": "true"}, "shell_init", "true"),
        ({"shell_init": ""}, "shell_init", ""),
    ],
)
def test_flags_win(overrides: dict[str, str], attribute: str, expected: str) -> None:
    """Values of the command line take precedence, one by one."""
    target = resolve("full", **overrides)
    assert getattr(target, attribute) == expected
    assert target.remote == resolve("full").remote


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"xpm_path": "/x"}, RemoteExperimaestro("/x", uv_offline=True, python="3.11")),
        ({"python": "3.12"}, RemoteExperimaestro("/opt/xpm", uv_offline=True, python="3.12")),
        ({"uv_offline": False}, RemoteExperimaestro("/opt/xpm", python="3.11")),
        (
            {"version": "2.7.0"},
            RemoteExperimaestro("/opt/xpm", uv_offline=True, python="3.11", version="2.7.0"),
        ),
    ],
)
def test_flags_for_experimaestro(
    overrides: dict[str, object], expected: RemoteExperimaestro
) -> None:
    """How experimaestro is found may be set by flags, one by one."""
    assert resolve("full", **overrides).remote == expected


def test_engine() -> None:
    """The engine of the flag counts, else that of the settings; options are read for it."""
    ssh = SshSettings(host="h", engine=SshEngine.OPENSSH, options=("-L 1:a:2",))
    workspace = Workspace(id="w", path=PurePosixPath("/w"), ssh=ssh)
    settings = Settings(path=Path("/settings"), workspaces=(workspace,))
    target = resolve_target(settings, "w", Overrides())
    assert target.engine is SshEngine.OPENSSH
    assert target.options.beyond == ("-L (LocalForward)",)
    with pytest.raises(OptionError):
        resolve_target(settings, "w", Overrides(engine=SshEngine.ASYNCSSH))
    assert resolve("full").engine is SshEngine.ASYNCSSH


def test_options_replace() -> None:
    """SSH options of the command line replace those of the settings."""
    target = resolve("full", options=("-o Compression=yes",))
    assert target.options.port is None
    assert target.options.get("Compression") == "yes"


def test_bad_option() -> None:
    """An option that cannot be honoured is an error."""
    with pytest.raises(OptionError):
        resolve("full", options=("--nonsense",))


# Missing values


@pytest.mark.parametrize(
    ("overrides", "missing"),
    [({}, "HOST"), ({"workdir": "/ws"}, "HOST"), ({"host": "node"}, "REMOTE_WORKDIR")],
)
def test_missing(overrides: dict[str, str], missing: str) -> None:
    """A value that neither the command line nor a workspace has is named, with the workspaces that have it."""
    with pytest.raises(UsageError, match=f"the {missing} is missing.*full, bare"):
        resolve(**overrides)


# The remote command


def test_commands() -> None:
    """The command serves the workspace; the whole line prepares the shell and checks the directory before."""
    target = resolve("full")
    assert target.server_command == monitor_command(target.remote, "~/ws")
    assert target.command == remote_command(
        target.server_command,
        workspace="~/ws",
        shell_init="module load python",
        check=f"{age_check(target.remote)} && {slurm_check('~/ws')}",
    )


@pytest.mark.parametrize(
    ("backend", "is_checked"), [(Backend.AUTO, True), (Backend.EXPERIMAESTRO, False)]
)
def test_age_is_looked_at(backend: Backend, *, is_checked: bool) -> None:
    """A requested experimaestro is started in any case; with auto, its age and jobs of SLURM are looked at before."""
    target = resolve("full", backend=backend)
    assert (age_check(target.remote) in target.command) == is_checked
    assert (slurm_check(target.workspace) in target.command) == is_checked
    assert (
        slurm_check("/w") in resolve("bare", workdir="/w", backend=backend).command
    ) == is_checked


def test_agent_commands() -> None:
    """The agent's command line is the same for every backend, and does not look for experimaestro."""
    target = resolve("full", backend=Backend.AUTO)
    assert target.agent_start() in shlex.split(target.agent_command())
    assert age_check(target.remote) not in target.agent_command()


@pytest.mark.parametrize(
    ("shell_init", "expected"), [(None, False), ("", False), (" \n", False), ("true", True)]
)
def test_has_init(shell_init: str | None, *, expected: bool) -> None:
    """Blank commands are none."""
    target = Target("h", "/ws", resolve("bare").options, RemoteExperimaestro(), shell_init)
    assert target.has_init is expected


# The backend


def test_backend() -> None:
    """The backend is that of the command line, else of the settings, else found out."""
    assert resolve("bare").backend is Backend.AUTO
    assert resolve("bare", backend=Backend.AGENT).backend is Backend.AGENT
    ssh = SshSettings(host="node", backend=Backend.EXPERIMAESTRO)
    settings = Settings(
        path=Path("s"), workspaces=(Workspace(id="w", path=PurePosixPath("/ws"), ssh=ssh),)
    )
    assert resolve_target(settings, "w", Overrides()).backend is Backend.EXPERIMAESTRO


def test_slurm_interval() -> None:
    """How often SLURM is asked is that of the settings, and goes to the agent with the first request."""
    settings = Settings(path=Path("s"), slurm_interval=300.0)
    target = resolve_target(settings, None, Overrides(host="h", workdir="/ws"))
    assert handshake_of(target) == (("get_sync_info", {"slurm_interval": 300.0}),)
    ssh = SshSettings(host="node", slurm_interval=Off.OFF)
    workspace = Workspace(id="w", path=PurePosixPath("/ws"), ssh=ssh)
    never = resolve_target(Settings(path=Path("s"), workspaces=(workspace,)), "w", Overrides())
    assert handshake_of(never) == (("get_sync_info", {"slurm_interval": None}),)
    assert handshake_of(resolve("bare")) == (("get_sync_info", {}),)


def test_agent_command() -> None:
    """The agent is started behind shell_init and the check of the workspace, by the interpreter of the settings."""
    target = resolve("full", python="~/py/bin/python3")
    alone = agent_command("~/ws", python="~/py/bin/python3", compress=True)
    assert target.agent_command() == remote_command(
        alone, workspace="~/ws", shell_init="module load python"
    )
