"""Fixtures of the command-line tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import Commands


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Our command line with an empty home and empty settings."""
    return Commands(tmp_path)
