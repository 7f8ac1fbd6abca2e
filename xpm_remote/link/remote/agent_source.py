"""The sources of the agent, read from the installed package."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from xpm_remote.link.remote.bootstrap import Bundle, pack

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # of Python 3.11 on

PACKAGE = "xpm_remote.workspace"


@cache
def agent_bundle() -> Bundle:
    """Read and pack ``xpm_remote/workspace``; its parent is sent as an empty package."""
    return pack({"xpm_remote": "", **dict(_sources(files(PACKAGE), PACKAGE))})


def _sources(directory: Traversable, package: str) -> Iterator[tuple[str, str]]:
    for entry in directory.iterdir():
        if entry.name == "__init__.py":
            yield package, entry.read_text(encoding="utf-8")
        elif entry.name.endswith(".py"):
            yield f"{package}.{entry.name[:-3]}", entry.read_text(encoding="utf-8")
        elif entry.is_dir() and entry.joinpath("__init__.py").is_file():
            yield from _sources(entry, f"{package}.{entry.name}")
