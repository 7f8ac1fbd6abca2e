"""The errors: their tree, their exit codes, their messages; and that the documents agree with them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from xpm_remote import errors
from xpm_remote.errors import (
    ExitCode,
    NegotiationError,
    RequestError,
    StalledError,
    XpmRemoteError,
    error_of,
    exit_code_of,
    unreadable_error,
)
from xpm_remote.workspace.failures import BusyFailure, WorkspaceFailure

DOCUMENT = Path(__file__).parent.parent / "docs" / "exit-codes.md"
BASES = {"XpmRemoteError", "LinkError", "RemoteError", "JobsError"}
"""The classes that only group others and are never raised."""

CLASSES = {
    name: value
    for name, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, XpmRemoteError)
}


def drawn_tree() -> Iterator[tuple[int, str, int | None]]:
    """Return the lines of the tree in the docstring: depth, class, exit code."""
    lines = re.findall(
        r"^    ([│├└─ ]*)(\w+Error)(?: +(\d+)  \S.*)?$", errors.__doc__ or "", re.MULTILINE
    )
    for indent, name, code in lines:
        yield len(indent) // 4, name, int(code) if code else None


def documented() -> list[list[str]]:
    """Return the rows of the table in the document, cell by cell."""
    rows = [line for line in DOCUMENT.read_text().splitlines() if re.match(r"\| \d", line)]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_class_is_in_the_tree() -> None:
    """The tree in the docstring names every class once."""
    assert sorted(name for _, name, _ in drawn_tree()) == sorted(CLASSES)


def test_tree_is_that_of_the_classes() -> None:
    """Each class stands under its base, with its own exit code; the bases have none."""
    above: list[str] = []
    for depth, name, code in drawn_tree():
        del above[depth:]
        assert CLASSES[name].__base__ is (CLASSES[above[-1]] if above else Exception)
        assert code == (None if name in BASES else CLASSES[name].exit_code)
        above.append(name)


@pytest.mark.parametrize(
    ("paths", "left_out", "said"),
    [(["/a"], 0, "/a"), (["/a", "/b"], 0, "/a and 1 more"), (["/a"], 3, "/a and 3 more")],
)
def test_what_cannot_be_read_is_counted(paths: list[str], left_out: int, said: str) -> None:
    """The first path is named, all others are counted, those too that are not named anywhere."""
    error = unreadable_error(paths, left_out)
    assert str(error).startswith(f"{said} cannot be read, ")
    assert exit_code_of(error) == ExitCode.UNREADABLE


def test_errors_that_carry_more() -> None:
    """What the caller decides by is not in the message."""
    refused = NegotiationError("no common cipher", "allow one", keyword="Ciphers", theirs=("a",))
    assert (refused.keyword, refused.theirs) == ("Ciphers", ("a",))
    assert str(refused) == str(NegotiationError("no common cipher", "allow one"))
    assert StalledError("it hangs", at_start=True).at_start
    assert not StalledError("it hangs").at_start


def test_exit_codes_are_unique() -> None:
    """Errors that are raised have different exit codes, none of them that of success or of a crash."""
    codes = [kind.exit_code for name, kind in CLASSES.items() if name not in BASES]
    assert len(codes) == len(set(codes))
    assert not {ExitCode.OK, ExitCode.UNEXPECTED, ExitCode.INTERRUPTED} & set(codes)


def test_every_exit_code_is_used() -> None:
    """Each code belongs to an error, except success, crash and interruption."""
    codes = {kind.exit_code for kind in CLASSES.values()}
    assert set(ExitCode) - codes == {ExitCode.OK, ExitCode.INTERRUPTED}


def test_document_lists_the_exit_codes() -> None:
    """The document has a row for each code, in order, with a cause and a remedy."""
    rows = documented()
    assert [(int(row[0]), row[1]) for row in rows] == [
        (code.value, f"`{code.name}`") for code in ExitCode
    ]
    assert all(len(row) == 4 and all(row) for row in rows)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (XpmRemoteError("it broke"), "it broke"),
        (XpmRemoteError("it broke", "mend it"), "it broke; mend it"),
        (
            RequestError("get_jobs", -32603, "no such run"),
            "the remote server answered get_jobs with error -32603: no such run",
        ),
    ],
)
def test_one_line(error: XpmRemoteError, expected: str) -> None:
    """An error has what happened and what to do next."""
    assert str(error) == expected


def test_parts() -> None:
    """An error has its parts as attributes."""
    error = RequestError("get_jobs", -32603, "no such run")
    assert (error.method, error.code, error.message) == ("get_jobs", -32603, "no such run")
    assert (error.what, error.hint) == (str(error), "")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("workspace", errors.WorkspaceError),
        ("not-a-workspace", errors.WorkspaceError),
        ("bad-id", errors.BadJobIdError),
        ("no-job", errors.NoJobFoundError),
        ("folder", errors.FolderError),
        ("busy", errors.BusyError),
        ("damaged", errors.FolderError),
    ],
)
def test_failures_of_the_workspace(kind: str, expected: type[XpmRemoteError]) -> None:
    """Each kind of failure of the workspace engine is an error, with its message."""
    error = error_of(kind, "it is so", "do this")
    assert type(error) is expected
    assert str(error) == "it is so; do this"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestError("m", 1, "no"), ExitCode.REQUEST),
        (BusyFailure("it is so"), ExitCode.BUSY),
        (WorkspaceFailure("it is so"), ExitCode.WORKSPACE),
    ],
)
def test_exit_code(error: XpmRemoteError | WorkspaceFailure, code: ExitCode) -> None:
    """A failure on this machine has the exit code of the same failure of an agent."""
    assert exit_code_of(error) is code


def test_unknown_failure() -> None:
    """An unknown kind is no error of ours."""
    assert error_of("other", "it is so") is None


def test_signal() -> None:
    """An end by a signal has the exit status that a shell would show."""
    assert errors.StoppedBySignal(15).exit_code == 143
