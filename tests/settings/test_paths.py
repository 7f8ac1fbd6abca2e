"""Local and remote paths."""

from __future__ import annotations

import os
import pwd
from pathlib import Path, PurePosixPath

import pytest

from tests.settings.support import CWD, HOME, cautions, complaints, first
from xpm_remote.settings.paths import above_jobs, is_inside, local_path, normal


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


def test_local_path_of_nobody() -> None:
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
    """Repeated and trailing slashes and ``.`` parts of a remote path go."""
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
    """Containment goes by parts of a path, never by the letters it starts with."""
    assert is_inside(PurePosixPath(path), PurePosixPath(directory)) is inside
    assert normal(PurePosixPath(path)) == normal(PurePosixPath(f"{path}/x/.."))
