"""Each example of experimaestro's settings page has the effect that the page describes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from tests.settings.support import HOME, first, read
from xpm_remote.settings.migration import migrate
from xpm_remote.settings.schema import SshSettings, environment
from xpm_remote.settings.selection import Rule, select_workspace
from xpm_remote.workspace.layout import Folder, FolderMode

FILE = read(
    """\
    # Experiment server settings
    server:
      port: 12345
      token: 2134inmd8132323
      host: 192.168.1.1
    # Environment variables for experimental tasks
    env:
      JAVA_HOME: /path/to/java

    workspaces:
      # First workspace is the default
      - id: neuralir
        path: ~/experiments/xpmir
        # Specific environment for this workspace
        env:
          VARNAME: VALUE
        # Auto-select this workspace when experiment ID matches these patterns
        triggers:
          - "neuralir-*"
          - "my-awesome-experiment"
      - id: other_project
        path: ~/experiments/other
        triggers:
          - "other-*"
    """
)
TRIGGERS = read(
    """\
    workspaces:
      - id: neuralir
        path: ~/experiments/xpmir
        triggers:
          - "neuralir-*"      # Matches neuralir-123, neuralir-test, etc.
          - "ir-experiment"   # Exact match
          - "test-ir-*"       # Matches test-ir-1, test-ir-baseline, etc.
      - id: nlp
        path: ~/experiments/nlp
        triggers:
          - "nlp-*"
          - "transformer-*"
      - id: default
        path: ~/experiments/default
        # No triggers - this is the fallback
    """
)
REMOTE = read(
    """\
    workspaces:
      - id: my-cluster
        path: /remote/path/to/experiments
        ssh:
          host: user@cluster
          shell_init: "source /etc/profile; module load python/3.10"
          uv_offline: true
          python: python3
      - id: local-workspace
        path: ~/experiments/local
        # No ssh — this is a local workspace
    """
)


def test_settings_file() -> None:
    """The first example: server, variables for all and for one workspace, paths at home."""
    assert FILE.warnings == ()
    assert (FILE.server.port, FILE.server.token) == (12345, "2134inmd8132323")
    assert FILE.server.host == "192.168.1.1"
    workspace = select_workspace(FILE).workspace
    assert (workspace.id, workspace.path) == ("neuralir", HOME / "experiments/xpmir")
    assert environment(FILE, workspace, {}) == {"JAVA_HOME": "/path/to/java", "VARNAME": "VALUE"}


@pytest.mark.parametrize(
    ("experiment", "workspace"),
    [
        ("neuralir-123", "neuralir"),
        ("neuralir-test", "neuralir"),
        ("ir-experiment", "neuralir"),
        ("test-ir-1", "neuralir"),
        ("test-ir-baseline", "neuralir"),
        ("nlp-1", "nlp"),
        ("transformer-x", "nlp"),
    ],
)
def test_triggers(experiment: str, workspace: str) -> None:
    """The second example: the workspaces that its comments name are selected."""
    selection = select_workspace(TRIGGERS, experiment_id=experiment)
    assert (selection.workspace.id, selection.rule) == (workspace, Rule.TRIGGER)


def test_fallback_is_the_first_workspace() -> None:
    """An experiment that no trigger matches goes to the first workspace, as by the page's rules."""
    selection = select_workspace(TRIGGERS, experiment_id="ir-experiment-2")
    assert (selection.workspace.id, selection.rule) == ("neuralir", Rule.DEFAULT)


def test_folders() -> None:
    """The example of folders: three modes, and ``…/jobs`` means the directory above."""
    workspace = first(
        """\
        workspaces:
          - id: nlp
            path: ~/experiments/nlp
            folders:
              - path: /scratch/old-workspace/jobs # alternative read-only location
                mode: use
              - path: /slow/backup/nlp
                mode: backup
              - path: /fast-read/nlp
                mode: move
        """
    )
    assert workspace.folders == (
        Folder(path=Path("/scratch/old-workspace"), mode=FolderMode.USE),
        Folder(path=Path("/slow/backup/nlp"), mode=FolderMode.BACKUP),
        Folder(path=Path("/fast-read/nlp"), mode=FolderMode.MOVE),
    )


def test_migration() -> None:
    """The example of old and new, completed to whole files: the old is migrated to the new."""
    before, after = (
        f"workspaces:\n- {{id: other-workspace-id, path: /path/to/other/workspace}}\n"
        f"- id: nlp\n  path: /nlp\n{folders}"
        for folders in (
            '  alt_workspaces: ["other-workspace-id"]\n',
            "  folders:\n    - path: /path/to/other/workspace\n      mode: use\n",
        )
    )
    migrated = migrate(before, path=Path("/s.yaml"), environ={}, home=HOME).text
    folder = Folder(path=Path("/path/to/other/workspace"), mode=FolderMode.USE)
    for text in (before, after, migrated):
        assert read(text).workspaces[1].folders == (folder,)
    assert read(migrated).warnings == ()


def test_remote_workspace() -> None:
    """The example of a remote workspace: it is used by name, and by default the local one is."""
    workspace = select_workspace(REMOTE, workspace_id="my-cluster").workspace
    assert workspace.path == PurePosixPath("/remote/path/to/experiments")
    assert workspace.ssh == SshSettings(
        host="user@cluster",
        shell_init="source /etc/profile; module load python/3.10",
        uv_offline=True,
        python="python3",
    )
    assert select_workspace(REMOTE).workspace.id == "local-workspace"
