"""Importing modules from memory: so this folder runs on a host that has no file of it.

This is the first module of the package that runs there. It is executed, not imported, before any other is available,
so it imports none of them.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any, Callable, Iterator, Sequence

PACKAGE = "xpm_remote."
"""Begins the names of the modules that may be asked for."""

INIT = ".__init__"
"""Ends the name under which the text of a package is sent."""

ORIGIN = "xpm-remote:"
"""Begins the file names in tracebacks: such a file cannot be mistaken for one of the host."""


class MemoryImporter:
    """Finds and loads modules whose sources are in memory; nothing is written, no byte code either.

    It is a finder and a loader by its methods: importing their base classes takes longer than importing ten modules.

    Args:
        sources: The text of each module by its dotted name, that of a package by the name with ``INIT``.
        arriving: Yields more of them as they arrive.

    Attributes:
        fetch: Returns the modules that were not sent at first; None: there is no way to ask for them.
    """

    def __init__(self, sources: dict[str, str], arriving: Iterator[dict[str, str]]) -> None:
        self._sources = sources
        self._arriving = arriving
        self.fetch: Callable[[], dict[str, str]] | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module in memory; None for any other."""
        while fullname.startswith(PACKAGE) and self._key(fullname) is None and self.take_more():
            pass
        if fullname.startswith(PACKAGE) and self._key(fullname) is None and self.fetch:
            self._sources.update(self.fetch())
        key = self._key(fullname)
        if key is None:
            return None
        loader: Any = self  # its type asks for a method that is no longer part of the protocol
        return spec_from_loader(
            fullname, loader, origin=self._filename(fullname), is_package=key != fullname
        )

    def take_more(self) -> bool:
        """Wait for more sources; return False once all have arrived."""
        more = next(self._arriving, None)
        self._sources.update(more or {})
        return more is not None

    def create_module(self, spec: ModuleSpec) -> None:
        """Return None: the import system makes the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module."""
        name = module.__name__
        code = compile(self.get_source(name), self._filename(name), "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102  (this is what a loader does)

    def get_source(self, fullname: str) -> str:
        """Return the text of a module; tracebacks need it, too.

        Raises:
            ImportError: It is not in memory.
        """
        key = self._key(fullname)
        if key is None:
            message = f"{fullname} was not sent"
            raise ImportError(message, name=fullname)
        return self._sources[key]

    def _key(self, fullname: str) -> str | None:
        """Return the name under which a module was sent; None if it was not."""
        names = (fullname, fullname + INIT)
        return next((each for each in names if each in self._sources), None)

    def _filename(self, fullname: str) -> str:
        return f"{ORIGIN}{fullname.replace('.', '/')}.py"


def start(
    sources: dict[str, str], arriving: Iterator[dict[str, str]], module: str, arguments: list[str]
) -> int:
    """Import a module from memory and call its ``main``; tracebacks on stderr have its source lines.

    Args:
        sources: The text of each module that has arrived, by its name.
        arriving: Yields the others.
        module: The one to run.
        arguments: The arguments of its ``main``.

    Returns:
        The exit status, from ``main``.
    """
    sys.dont_write_bytecode = True
    # The interpreter's own printer looks for source lines on disk only.
    sys.excepthook = traceback.print_exception
    importer = MemoryImporter(sources, arriving)
    sys.meta_path.insert(0, importer)
    program = importlib.import_module(module)
    while importer.take_more():  # what follows on stdin is not for the importer
        pass
    status: int = program.main(arguments)
    return status
