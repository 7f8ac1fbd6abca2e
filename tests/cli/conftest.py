"""Fixtures of the command-line tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.people import Person, install
from xpm_remote.settings.schema import SshEngine


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Our command line with an empty home and empty settings."""
    return Commands(tmp_path)


@pytest.fixture
def by_engine(commands: Commands, engine: SshEngine) -> Commands:
    """The command line with each SSH engine; a test of ``commands`` with ``usefixtures`` runs once for each."""
    commands.engine = engine.value
    return commands


@pytest.fixture(scope="session")
def venv_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with xpm-remote and nothing of experimaestro."""
    return install(tmp_path_factory.mktemp("alone") / "venv", with_peer=False)


@pytest.fixture(scope="session")
def venv_beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with xpm-remote and the real experimaestro."""
    return install(tmp_path_factory.mktemp("beside") / "venv", with_peer=True)


@pytest.fixture
def alone(venv_alone: Path, tmp_path: Path) -> Person:
    """A person who has only xpm-remote, and no settings yet."""
    return Person(venv_alone, tmp_path, is_here=True)


@pytest.fixture
def beside(venv_beside: Path, tmp_path: Path) -> Person:
    """A person who has xpm-remote and the real experimaestro, and no settings yet."""
    return Person(venv_beside, tmp_path)
