"""The choice of a workspace, and its reason."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from tests.settings.support import FILE, read
from xpm_remote.errors import ExitCode, WorkspaceError
from xpm_remote.settings.schema import HistorySettings, Settings, Workspace
from xpm_remote.settings.selection import Rule, remote_workspace_at, select_workspace

SETTINGS = read(
    """\
    history: {max_done: 9}
    workspaces:
      - {id: far, path: /far, triggers: ["*"], ssh: {host: h}}
      - {id: first, path: /first, triggers: ["x-*"], env: {A: b}}
      - {id: second, path: /second, triggers: ["y-?", "x-*", "Z[ab]", "w[!ab]"]}
    """
)
ONLY_REMOTE = read("workspaces: [{id: far, path: /far, ssh: {host: h}}]")
NOTHING = read("")


def test_workspace_by_id() -> None:
    """``--workspace`` takes precedence over every trigger."""
    selection = select_workspace(SETTINGS, workspace_id="second", experiment_id="x-1")
    assert selection.workspace is SETTINGS.workspaces[2]
    assert selection.rule is Rule.WORKSPACE
    assert selection.reason == "--workspace second was given"


def test_remote_workspace_by_id() -> None:
    """``--workspace`` also selects a remote workspace."""
    assert select_workspace(SETTINGS, workspace_id="far").workspace.is_remote


def test_workspace_at_another_directory() -> None:
    """``--workspace`` with ``--workdir`` is that workspace at that directory; nothing else is changed."""
    before = repr(SETTINGS)
    selection = select_workspace(SETTINGS, workspace_id="first", workdir=Path("/here"))
    assert (selection.workspace.id, selection.workspace.path) == ("first", Path("/here"))
    assert selection.workspace.env == {"A": "b"}
    assert selection.rule is Rule.WORKSPACE
    assert selection.reason == "--workspace first and --workdir /here were given"
    assert repr(SETTINGS) == before


def test_remote_workspace_at_another_directory() -> None:
    """The directory is remote when the workspace is."""
    selection = select_workspace(SETTINGS, workspace_id="far", workdir=PurePosixPath("~/x"))
    assert type(selection.workspace.path) is PurePosixPath
    assert str(selection.workspace.path) == "~/x"


def test_directory() -> None:
    """``--workdir`` alone is that directory with the file's defaults, whatever the triggers."""
    selection = select_workspace(SETTINGS, workdir=Path("/second"), experiment_id="x-1")
    assert selection.workspace == Workspace(
        id="", path=Path("/second"), history=HistorySettings(max_done=9)
    )
    assert selection.rule is Rule.WORKDIR
    assert selection.reason == "--workdir /second was given"


@pytest.mark.parametrize(
    ("experiment", "workspace", "trigger"),
    [
        ("x-1", "first", "x-*"),
        ("x-", "first", "x-*"),
        ("y-1", "second", "y-?"),
        ("Za", "second", "Z[ab]"),
        ("wc", "second", "w[!ab]"),
    ],
)
def test_trigger(experiment: str, workspace: str, trigger: str) -> None:
    """The first local workspace in file order with a matching trigger is taken."""
    selection = select_workspace(SETTINGS, experiment_id=experiment)
    assert (selection.workspace.id, selection.rule) == (workspace, Rule.TRIGGER)
    assert selection.reason == f'the experiment "{experiment}" matches its trigger "{trigger}"'


@pytest.mark.parametrize("experiment", ["X-1", "y-12", "ax-1", "za", "wa", "Zab", "q"])
def test_no_trigger(experiment: str) -> None:
    """Case matters, and the whole id has to match; else it is the first local workspace."""
    selection = select_workspace(SETTINGS, experiment_id=experiment)
    assert (selection.workspace.id, selection.rule) == ("first", Rule.DEFAULT)
    assert selection.reason == (
        f'no trigger matches "{experiment}"; it is the first local workspace in {FILE}'
    )


def test_default() -> None:
    """Without flags and without an experiment it is the first local workspace."""
    selection = select_workspace(SETTINGS)
    assert (selection.workspace.id, selection.rule) == ("first", Rule.DEFAULT)
    assert selection.reason == f"it is the first local workspace in {FILE}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            SETTINGS,
            f'no workspace "secnd" in {FILE}; did you mean "second"? there are far, first, second',
        ),
        (NOTHING, f'no workspace "secnd" in {FILE}; there are no workspaces in it'),
    ],
)
def test_unknown_id(settings: Settings, message: str) -> None:
    """An unknown id is an error that lists the known ones, the nearest first."""
    with pytest.raises(WorkspaceError) as caught:
        select_workspace(settings, workspace_id="secnd")
    assert str(caught.value) == message
    assert caught.value.exit_code is ExitCode.WORKSPACE


@pytest.mark.parametrize(
    ("settings", "what"), [(ONLY_REMOTE, "only remote workspaces"), (NOTHING, "no workspaces")]
)
def test_nothing_to_choose_from(settings: Settings, what: str) -> None:
    """Without a local workspace, nothing is chosen and the error says what to do."""
    with pytest.raises(WorkspaceError) as caught:
        select_workspace(settings, experiment_id="x")
    assert str(caught.value) == (
        f"there are {what} in {FILE}; name one with --workspace, or give a directory with --workdir"
    )


AT = read(
    """\
    workspaces:
      - {id: far, path: /far/ws, ssh: {host: h}}
      - {id: both, path: /both, ssh: {host: h}}
      - {id: here, path: /both}
      - {id: home, path: ~/ws, ssh: {host: h}}
    """
)


@pytest.mark.parametrize(
    ("names", "workspace"),
    [
        (["/far/ws"], "far"),
        (["/far/./ws/"], "far"),
        (["//far/x/../ws"], "far"),
        (["link", "/link", "/far/ws"], "far"),
        (["~/ws"], "home"),
        (["/home/me/ws"], "home"),
        (["/both"], None),
        (["/far"], None),
        (["/far/ws/sub"], None),
        ([], None),
    ],
)
def test_remote_workspace_at(names: list[str], workspace: str | None) -> None:
    """A remote workspace is found by its path, however it is written, unless a local one has the same path."""
    found = remote_workspace_at(AT, names, PurePosixPath("/home/me"))
    assert (found and found.id) == workspace
