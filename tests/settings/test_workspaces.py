"""Workspaces together: ids, folders, alternatives, history."""

from __future__ import annotations

import os
import pwd
from pathlib import Path, PurePosixPath

import pytest

from tests.settings.support import CWD, HOME, cautions, complaints, first, read
from xpm_remote.settings.schema import HistorySettings
from xpm_remote.settings.workspaces import above_jobs, is_inside, local_path, normal
from xpm_remote.workspace.layout import Folder, FolderMode

REMOTE = "ssh: {host: h}"
DEPRECATED = "deprecated; write folders with mode: use (workspaces migrate does it)"


def _with_folders(folders: str, more: str = "id: a") -> str:
    return f"workspaces:\n- {{path: /data/ws, folders: [{folders}], {more}}}\n"


def test_ids_are_unique() -> None:
    """A second workspace of the same id is an error that names the first."""
    text = "workspaces:\n- {id: a, path: /a}\n- {id: b, path: /b}\n- {id: a, path: /c}\n"
    assert complaints(text) == [
        '4:8: workspaces[2].id: "a" is already the id of workspaces[0] on line 2;'
        " allowed: an id of its own"
    ]


def test_history_is_inherited_key_by_key() -> None:
    """A workspace's history is completed by the file's, and that by the defaults."""
    settings = read(
        """\
        history: {max_done: 9}
        workspaces:
          - {id: a, path: /a, history: {max_failed: 4}}
          - {id: b, path: /b, history: {max_done: 2}}
          - {id: c, path: /c}
        """
    )
    assert settings.history == HistorySettings(max_done=9, max_failed=1)
    assert [workspace.history for workspace in settings.workspaces] == [
        HistorySettings(max_done=9, max_failed=4),
        HistorySettings(max_done=2, max_failed=1),
        HistorySettings(max_done=9, max_failed=1),
    ]


def test_triggers_are_no_longer_than_an_experiment_id() -> None:
    """A trigger beyond every experiment id is an error, since globs may take long."""
    text = f"workspaces: [{{id: a, path: /a, triggers: [b, '{'[' * 256}']}}]"
    assert complaints(text) == [
        "1:46: workspaces[0].triggers[1]: found a trigger of 256 characters;"
        " allowed: at most 255, the length of an experiment's id"
    ]
    assert len(first(text.replace("[" * 256, "[" * 255)).triggers) == 2


def test_local_folders() -> None:
    """The folders of a local workspace have absolute paths, modes, and their order."""
    workspace = first(
        _with_folders("{path: ~/u}, {path: /b, mode: backup}, {path: /m/../n, mode: move}")
    )
    assert workspace.folders == (
        Folder(path=HOME / "u", mode=FolderMode.USE),
        Folder(path=Path("/b"), mode=FolderMode.BACKUP),
        Folder(path=Path("/m/../n"), mode=FolderMode.MOVE),
    )


def test_remote_folders() -> None:
    """The folders of a remote workspace keep their text, also ``~``."""
    workspace = first(_with_folders("{path: ~/u}, {path: '~you/$x y'}", f"id: a, {REMOTE}"))
    assert [folder.path.is_absolute() for folder in workspace.folders] == [False, False]
    assert [str(folder.path) for folder in workspace.folders] == ["~/u", "~you/$x y"]


@pytest.mark.parametrize("more", ["id: a", f"id: a, {REMOTE}"])
def test_folder_that_names_its_jobs(more: str) -> None:
    """A folder path that ends in ``/jobs`` means the directory above, with a warning."""
    text = _with_folders("{path: /scratch/old/jobs}", more)
    assert str(first(text).folders[0].path) == "/scratch/old"
    assert cautions(text) == [
        '2:37: workspaces[0].folders[0].path: read as "/scratch/old":'
        " jobs/ is added to a folder's path, by experimaestro too"
    ]


@pytest.mark.parametrize(
    ("folders", "complaint"),
    [
        (
            "{path: x}",
            '2:37: workspaces[0].folders[0].path: the folder "x" is relative, so each process would'
            " look elsewhere; allowed: a path that starts with / or ~",
        ),
        (
            "{path: /data/ws/x}",
            '2:37: workspaces[0].folders[0].path: "/data/ws/x" lies inside its own workspace'
            ' "/data/ws"; allowed: a path outside the workspace',
        ),
        (
            "{path: /data/ws/../ws}",
            '2:37: workspaces[0].folders[0].path: "/data/ws/../ws" is its own workspace'
            ' "/data/ws"; allowed: a path outside the workspace',
        ),
        (
            "{path: /data}",
            '2:37: workspaces[0].folders[0].path: "/data" contains its own workspace "/data/ws";'
            " allowed: a path outside the workspace",
        ),
        (
            "{path: /b}, {path: /b/jobs, mode: move}",
            '2:49: workspaces[0].folders[1].path: "/b" is already workspaces[0].folders[0].path;'
            " allowed: another path",
        ),
        (
            "{path: ~no-such-user/x}",
            '2:37: workspaces[0].folders[0].path: this machine has no user "no-such-user";'
            " allowed: the home directory in full",
        ),
        ("{mode: use}", "2:30: workspaces[0].folders[0].path: is missing"),
    ],
)
def test_folders_that_cannot_be(folders: str, complaint: str) -> None:
    """Folders that are relative, overlap their workspace or are repeated are errors."""
    assert complaints(_with_folders(folders)) == [complaint]


def test_folder_beside_a_workspace_of_like_name() -> None:
    """``/data/ws2`` is not inside ``/data/ws``."""
    assert first(_with_folders("{path: /data/ws2}")).folders == (Folder(path=Path("/data/ws2")),)


def test_folders_of_a_workspace_without_path() -> None:
    """Where the workspace's own path is missing, its folders are compared with each other."""
    assert complaints("workspaces: [{id: a, folders: [{path: /b}, {path: /b}]}]") == [
        "1:14: workspaces[0].path: is missing",
        '1:51: workspaces[0].folders[1].path: "/b" is already workspaces[0].folders[0].path;'
        " allowed: another path",
    ]


def test_alternatives() -> None:
    """``alt_workspaces`` are folders to use before the others, with one warning."""
    text = """\
        workspaces:
          - {id: nlp, path: /nlp, alt_workspaces: [late, /old, ~/older], folders: [{path: /b, mode: move}]}
          - {id: late, path: ~/late}
        """
    workspace = first(text)
    assert workspace.alt_workspaces == ("late", "/old", "~/older")
    assert workspace.folders == (
        Folder(path=HOME / "late", mode=FolderMode.USE),
        Folder(path=Path("/old"), mode=FolderMode.USE),
        Folder(path=HOME / "older", mode=FolderMode.USE),
        Folder(path=Path("/b"), mode=FolderMode.MOVE),
    )
    assert cautions(text) == [f"2:43: workspaces[0].alt_workspaces: {DEPRECATED}"]


def test_remote_alternatives() -> None:
    """A workspace on the same host is an alternative to a remote one."""
    workspace = first(
        f"""\
        workspaces:
          - {{id: a, path: ~/a, {REMOTE}, alt_workspaces: [b, ~/c]}}
          - {{id: b, path: x/b, {REMOTE}}}
        """
    )
    assert [str(folder.path) for folder in workspace.folders] == ["x/b", "~/c"]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (
            "locl",
            '"locl" is neither the id of a workspace nor an absolute path;'
            ' allowed: an id or a path; did you mean "local"?',
        ),
        (
            "x/y",
            '"x/y" is neither the id of a workspace nor an absolute path; allowed: an id or a path',
        ),
        ("far", 'the workspace "far" lies on another host; allowed: a workspace on the same host'),
        ("a", '"/a" is its own workspace "/a"; allowed: a path outside the workspace'),
        ("/b", '"/b" is already workspaces[0].alt_workspaces[0]; allowed: another path'),
    ],
)
def test_alternatives_that_cannot_be(entry: str, complaint: str) -> None:
    """An entry that is no workspace and no path, elsewhere, itself or repeated is an error."""
    text = f"""\
        workspaces:
          - {{id: a, path: /a, alt_workspaces: [/b, {entry}]}}
          - {{id: local, path: /l}}
          - {{id: far, path: /f, {REMOTE}}}
        """
    assert complaints(text) == [f"2:44: workspaces[0].alt_workspaces[1]: {complaint}"]


def test_alternative_without_path() -> None:
    """An alternative whose own path is missing is one error, at that workspace."""
    text = "workspaces: [{id: a, path: /a, alt_workspaces: [b]}, {id: b}]"
    assert complaints(text) == ["1:54: workspaces[1].path: is missing"]


def test_alternatives_with_a_problem_are_left_alone() -> None:
    """A list with a bad entry has that problem, and none about the others' places."""
    text = "workspaces: [{id: a, path: /a, alt_workspaces: [1, b]}]"
    assert complaints(text) == [
        '1:49: workspaces[0].alt_workspaces[0]: found the number 1; allowed: text; quote it: "1"'
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a/b", "/a/b"),
        ("~", "/home/me"),
        ("~/", "/home/me"),
        ("~/a", "/home/me/a"),
        ("~//a", "/home/me/a"),
        ("a/~", "/current/a/~"),
        ("../a", "/current/../a"),
    ],
)
def test_local_path(text: str, expected: str) -> None:
    """``~`` is the given home, and a relative path starts at the given directory."""
    assert local_path(text, home=HOME, cwd=CWD) == Path(expected)


def test_local_path_of_another_user() -> None:
    """``~name`` is that user's home."""
    user = pwd.getpwuid(os.getuid())
    assert local_path(f"~{user.pw_name}/a", home=HOME, cwd=CWD) == Path(user.pw_dir, "a")


def test_local_path_of_an_unknown_user() -> None:
    """``~name`` of an unknown user is an error of the key."""
    assert complaints("workspaces: [{id: a, path: ~no-such-user/x}]") == [
        '1:28: workspaces[0].path: this machine has no user "no-such-user";'
        " allowed: the home directory in full"
    ]


def test_relative_local_path_warns() -> None:
    """A relative path of a local workspace is used as experimaestro does, with a warning."""
    text = "workspaces: [{id: a, path: x}]"
    assert first(text).path == CWD / "x"
    assert cautions(text) == [
        "1:28: workspaces[0].path: a relative path means another directory wherever you start from"
    ]


@pytest.mark.parametrize(
    "text", ['/a b/it\'s "x"/$HOME/`id`', "~/a", "~you/a", "relative/a", "/a/../b", "/é", "/a;b|c"]
)
def test_remote_path_arrives_as_it_is(text: str) -> None:
    """A remote path keeps its text, whatever it is, and is no local path."""
    quoted = text.replace("'", "''")
    path = first(f"workspaces: [{{id: a, path: '{quoted}', ssh: {{host: h}}}}]").path
    assert type(path) is PurePosixPath
    assert str(path) == text


def test_remote_path_is_normalised_only_where_it_means_the_same() -> None:
    """Repeated and trailing slashes and ``.`` parts of a remote path are removed."""
    path = first("workspaces: [{id: a, path: /a//b/./c/, ssh: {host: h}}]").path
    assert str(path) == "/a/b/c"


@pytest.mark.parametrize(
    ("path", "root"), [("/a/jobs", "/a"), ("/a/jobs/b", "/a/jobs/b"), ("~/jobs", "~"), ("/a", "/a")]
)
def test_above_jobs(path: str, root: str) -> None:
    """The root of a folder is above its ``jobs``."""
    assert above_jobs(PurePosixPath(path)) == PurePosixPath(root)


@pytest.mark.parametrize(
    ("path", "directory", "inside"),
    [
        ("/a/b", "/a", True),
        ("/a", "/a", True),
        ("/a/../b", "/b", True),
        ("//a/b", "/a", True),
        ("/ab", "/a", False),
        ("/a", "/a/b", False),
        ("~/a/b", "~/a", True),
        ("/", "/", True),
    ],
)
def test_is_inside(path: str, directory: str, inside: bool) -> None:
    """Containment is decided by parts of a path, never by leading characters."""
    assert is_inside(PurePosixPath(path), PurePosixPath(directory)) is inside
    assert normal(PurePosixPath(path)) == normal(PurePosixPath(f"{path}/x/.."))
