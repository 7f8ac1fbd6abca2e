"""Agents of a small workspace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.local_agents import Agents
from tests.workspace.small import SmallWorkspace


@pytest.fixture
def made(tmp_path: Path) -> SmallWorkspace:
    """A workspace."""
    return SmallWorkspace(tmp_path / "ws")


@pytest.fixture
def agents(made: SmallWorkspace) -> Agents:
    """Its agents."""
    return Agents(made.root)
