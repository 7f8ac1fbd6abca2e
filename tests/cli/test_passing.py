"""Words of a command line that are passed on."""

from __future__ import annotations

import shlex

import pytest

from xpm_remote.cli.peer import drop_options

VALUES = {"--keep": 1, "--pair": 2, "--flag": 0, "--drop": 1, "-d": 1, "-k": 1, "--gone": 0}
DROPPED = ("--drop", "-d", "--gone")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("a b", "a b"),
        ("--drop x a", "a"),
        ("--drop=x a", "a"),
        ("-d x a", "a"),
        ("-dx a", "a"),
        ("--gone a", "a"),
        ("a --drop x --flag b --drop y", "a --flag b"),
        ("--keep --drop a", "--keep --drop a"),
        ("--keep=1 --drop x", "--keep=1"),
        ("-k --drop -k1 --drop x", "-k --drop -k1"),
        ("--pair --drop --drop --drop x", "--pair --drop --drop"),
        ("--pair=1 --drop --drop x", "--pair=1 --drop"),
        ("--unknown --drop x", "--unknown"),
        ("- --drop x -5", "- -5"),
        ("a -- --drop x", "a -- --drop x"),
        ("--keep -- --drop x", "--keep --"),
        ("a --drop", "a"),
        ("'' '--drop x' --drop ''", "'' '--drop x'"),
    ],
)
def test_drop_options(words: str, kept: str) -> None:
    """Dropped options go with their values, however they are spelled; all else stays as it is."""
    assert drop_options(shlex.split(words), DROPPED, VALUES) == shlex.split(kept)
