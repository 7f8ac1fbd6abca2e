"""Helpers to read a settings text in a test."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from xpm_remote.settings.reader import read_settings
from xpm_remote.settings.schema import InvalidSettingsError, Settings, Workspace

SOON = hypothesis_settings(
    deadline=timedelta(seconds=10),  # a hundred times what an example takes, for a busy machine
    suppress_health_check=[HealthCheck.too_slow],
)
FILE = Path("/etc/settings.yaml")
HOME = Path("/home/me")
CWD = Path("/current")


def read(text: str, **environ: str) -> Settings:
    """Read a text, indented or not, with these variables set."""
    return read_settings(dedent(text), path=FILE, environ=environ, home=HOME, cwd=CWD)


def first(text: str, **environ: str) -> Workspace:
    """Return the first workspace of a text."""
    return read(text, **environ).workspaces[0]


def refused(text: str, **environ: str) -> InvalidSettingsError:
    """Return the error of a text."""
    with pytest.raises(InvalidSettingsError) as caught:
        read(text, **environ)
    return caught.value


def complaints(text: str, **environ: str) -> list[str]:
    """Return the problems of a text as ``line:column: key: what``."""
    return [str(each).removeprefix(f"{FILE}:") for each in refused(text, **environ).problems]


def cautions(text: str, **environ: str) -> list[str]:
    """Return the warnings of a usable text, as ``line:column: key: what``."""
    return [str(each).removeprefix(f"{FILE}:") for each in read(text, **environ).warnings]
