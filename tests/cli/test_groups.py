"""Commands that are imported when they are used."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from xpm_remote.cli.groups import LazyGroup

MODULE = "tests_lazy_commands"


@pytest.fixture
def imported() -> Iterator[list[str]]:
    """A module with a command that records when one of its attributes is fetched."""
    fetched: list[str] = []

    @click.command()
    def hello() -> None:
        """Say hello."""
        click.echo("hello")

    class Module(types.ModuleType):
        def __getattr__(self, name: str) -> click.Command:
            if name != "hello":
                raise AttributeError(name)
            fetched.append(name)
            return hello

    sys.modules[MODULE] = Module(MODULE)
    yield fetched
    del sys.modules[MODULE]


@pytest.fixture
def group() -> LazyGroup:
    """A group with one command that is imported and two that are not yet."""
    group = LazyGroup(
        "root", lazy_commands={"hello": f"{MODULE}:hello", "broken": f"{MODULE}:nothing"}
    )
    group.add_command(click.Command("eager", callback=lambda: click.echo("eager")))
    return group


def test_names(group: LazyGroup, imported: list[str]) -> None:
    """All commands are listed in order, and none is imported for that."""
    assert group.list_commands(click.Context(group)) == ["broken", "eager", "hello"]
    assert imported == []


def test_command_is_imported_when_used(group: LazyGroup, imported: list[str]) -> None:
    """A command that is used is imported and run."""
    result = CliRunner().invoke(group, ["hello"])
    assert (result.output, result.exit_code) == ("hello\n", 0)
    assert imported == ["hello"]


def test_other_commands_are_not_imported(group: LazyGroup, imported: list[str]) -> None:
    """An imported command needs no import, nor does one that does not exist."""
    assert CliRunner().invoke(group, ["eager"]).output == "eager\n"
    result = CliRunner().invoke(group, ["nonsense"])
    assert result.exit_code == 2
    assert "No such command 'nonsense'" in result.output
    assert imported == []


def test_missing_attribute(group: LazyGroup, imported: list[str]) -> None:
    """A missing attribute is a programming error, not an unknown command."""
    with pytest.raises(AttributeError):
        group.get_command(click.Context(group), "broken")
    assert imported == []
