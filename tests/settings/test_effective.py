"""The values in effect for one workspace, and their sources."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tests.settings.support import read
from xpm_remote.settings.effective import Effective, effective_values
from xpm_remote.settings.schema import Off, SourcePosition
from xpm_remote.settings.selection import select_workspace
from xpm_remote.workspace.layout import Folder, FolderMode

SETTINGS = read(
    """\
    env: {A: all, B: all}
    history: {max_done: 9}
    workspaces:
      - id: near
        path: /near
        env: {A: own}
        alt_workspaces: [/old]
        folders:
          - path: /new
        history: {max_failed: 4}
      - id: far
        path: /far
        ssh: {host: h, uv_offline: true}
    """
)


def _by_key(found: tuple[Effective, ...]) -> dict[str, tuple[object, SourcePosition | None]]:
    return {each.key: (each.value, each.position) for each in found}


def test_local_workspace() -> None:
    """Each value comes from the workspace, else from the whole file, else from the defaults."""
    assert _by_key(effective_values(SETTINGS, SETTINGS.workspaces[0])) == {
        "id": ("near", SourcePosition(4, 9)),
        "path": (Path("/near"), SourcePosition(5, 11)),
        "max_retries": (3, None),
        "lock_mode": ("inherit", None),
        "triggers": ((), None),
        "slurm_interval": (120.0, None),
        "env.A": ("own", SourcePosition(6, 14)),
        "env.B": ("all", SourcePosition(1, 18)),
        "folders[0]": (Folder(path=Path("/old"), mode=FolderMode.USE), SourcePosition(7, 22)),
        "folders[1]": (Folder(path=Path("/new")), SourcePosition(9, 9)),
        "history.max_done": (9, SourcePosition(2, 21)),
        "history.max_failed": (4, SourcePosition(10, 27)),
    }


def test_remote_workspace() -> None:
    """A remote workspace has its SSH settings too."""
    found = _by_key(effective_values(SETTINGS, SETTINGS.workspaces[1]))
    assert found["path"] == (PurePosixPath("/far"), SourcePosition(12, 11))
    assert found["ssh.host"] == ("h", SourcePosition(13, 17))
    assert found["ssh.uv_offline"] == (True, SourcePosition(13, 32))
    assert found["ssh.options"] == ((), None)


def test_variables() -> None:
    """A value has the environment variables that it refers to, also in its items, each once."""
    settings = read(
        """\
        env: {A: "${env:X}"}
        workspaces:
          - id: w
            path: ${env:ROOT}/${env:ROOT}
            folders: [{path: "/old/${env.X}"}]
            triggers: ["${env:ROOT}-*", plain, "${oc.env:NOPE}"]
        """,
        X="1",
        ROOT="/r",
    )
    found = effective_values(settings, settings.workspaces[0])
    assert {each.key: each.variables for each in found if each.variables} == {
        "path": ("ROOT",),
        "env.A": ("X",),
        "folders[0]": ("X",),
        "triggers": ("ROOT", "NOPE"),
    }


def test_directory_of_the_command_line() -> None:
    """A directory given by ``--workdir`` has the values of the whole file and the defaults."""
    workspace = select_workspace(SETTINGS, workdir=Path("/here")).workspace
    found = _by_key(effective_values(SETTINGS, workspace))
    assert found["path"] == (Path("/here"), None)
    assert found["history.max_done"] == (9, SourcePosition(2, 21))


def test_slurm_interval() -> None:
    """How often SLURM is asked is said by the connection, else by the workspace, else by the file, once."""
    settings = read(
        """\
        slurm_interval: 300
        workspaces:
          - {id: a, path: /a}
          - {id: b, path: /b, slurm_interval: 60}
          - {id: c, path: /c, ssh: {host: h}}
          - {id: d, path: /d, slurm_interval: 60, ssh: {host: h, slurm_interval: off}}
        """
    )
    found = [_by_key(effective_values(settings, each)) for each in settings.workspaces]
    assert [each["slurm_interval"] for each in found] == [
        (300.0, SourcePosition(1, 17)),
        (60.0, SourcePosition(4, 39)),
        (300.0, SourcePosition(1, 17)),
        (Off.OFF, SourcePosition(6, 74)),
    ]
    remote = [each.ssh for each in settings.workspaces if each.ssh]
    assert [each.slurm_interval for each in remote] == [300.0, Off.OFF]
    assert "ssh.slurm_interval" not in found[3]
    assert select_workspace(settings, workdir=Path("/here")).workspace.slurm_interval == 300
