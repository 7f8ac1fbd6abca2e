"""Failures of the system as messages."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from xpm_remote.workspace.failures import WorkspaceFailure, explain, explain_any


@pytest.mark.parametrize(
    ("filename", "said"),
    [
        ("/a/b", "/a/b: "),
        (b"/a/\xff", "/a/\udcff: "),
        (None, "/where: "),
        ("", "/where: "),
        (5, "/where: "),
        ("part", "/where: "),
    ],
)
def test_where(filename: object, said: str) -> None:
    """An error of any type has its file; without a path, it has the given place."""
    error = OSError(errno.EIO, os.strerror(errno.EIO))
    error.filename = filename
    assert explain(error, Path("/where")) == said + os.strerror(errno.EIO)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space(number: int) -> None:
    """A full disk and an exceeded quota are reported as such."""
    error = OSError(number, "full", "/a")
    assert explain(error, Path("/where")) == "no space is left for /a (full)"


@pytest.mark.parametrize("number", [errno.ENOTEMPTY, errno.EBUSY])
def test_still_used(number: int) -> None:
    """A directory that stays since a file in it is open is reported as such."""
    error = OSError(number, "stays")
    assert explain(error, Path("/where")) == "/where is still open, or in use (stays)"


def test_no_text() -> None:
    """An error without a text of the system has its own."""
    assert explain(OSError("odd"), Path("/where")) == "/where: odd"


def test_any_error() -> None:
    """A failure has its own words; any other error is one to report."""
    assert explain_any(WorkspaceFailure("it is odd", "look at it")) == "it is odd; look at it"
    assert explain_any(TypeError("odd")) == "unexpected error, report it: TypeError: odd"
