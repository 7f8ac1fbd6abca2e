"""Modules imported from memory: how this folder runs on a host that has no file of it.

This is the first of our modules that runs there. It is executed, not imported, before anything else of ours exists, so
it imports nothing of ours.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import CodeType, ModuleType
from typing import Sequence

ORIGIN = "xpm-remote:"
"""Begins the file names in tracebacks: such a file cannot be mistaken for one of the host."""


class MemoryImporter(MetaPathFinder, InspectLoader):
    """Finds and loads modules whose sources are in memory; nothing is written, no byte code either.

    Args:
        sources: The text of each module and package by its dotted name.
    """

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of ours; None for any other."""
        if fullname not in self._sources:
            return None
        return spec_from_loader(
            fullname, self, origin=self._filename(fullname), is_package=self.is_package(fullname)
        )

    def is_package(self, fullname: str) -> bool:
        """Tell whether other modules of ours lie within it."""
        return any(name.startswith(f"{fullname}.") for name in self._sources)

    def get_code(self, fullname: str) -> CodeType:
        """Compile a module."""
        return self.source_to_code(self.get_source(fullname), self._filename(fullname))

    def get_source(self, fullname: str) -> str:
        """Give the text of a module; tracebacks ask for it, too.

        Raises:
            ImportError: It is none of ours.
        """
        if fullname not in self._sources:
            message = f"{fullname} was not sent"
            raise ImportError(message, name=fullname)
        return self._sources[fullname]

    def _filename(self, fullname: str) -> str:
        return f"{ORIGIN}{fullname.replace('.', '/')}.py"


def start(sources: dict[str, str], module: str, arguments: list[str]) -> int:
    """Import a module from memory and call its ``main``; what fails is told on stderr with its source lines.

    Args:
        sources: The text of each module by its dotted name.
        module: The one to run.
        arguments: What its ``main`` is given.

    Returns:
        What ``main`` returned: the exit status.
    """
    sys.dont_write_bytecode = True
    # The interpreter's own printer looks for source lines on disk only.
    sys.excepthook = traceback.print_exception
    sys.meta_path.insert(0, MemoryImporter(sources))
    status: int = importlib.import_module(module).main(arguments)
    return status
