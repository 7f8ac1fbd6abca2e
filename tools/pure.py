"""The pure modules of the package: those whose docstring ends with "Pure.".

``.importlinter`` holds them to their word by :class:`PureContract`, and ``python -m tools.pure`` prints the
settings of the coverage run in ``make test``. Nothing else lists them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from grimp import ImportGraph
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.domain import fields
from importlinter.domain.contract import Contract, ContractCheck

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = "xpm_remote"
WORD = "Pure."


class PureContract(Contract):
    """A forbidden contract whose source modules are the pure ones."""

    forbidden_modules = fields.SetField(subfield=fields.ModuleExpressionField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Check the imports of the pure modules, direct and indirect."""
        return self._forbidden().check(graph, verbose)

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the forbidden imports."""
        self._forbidden().render_broken_contract(check)

    def _forbidden(self) -> ForbiddenContract:
        modules = [module_name(path) for path in pure_files()]
        options = {**self.contract_options, "source_modules": modules}
        return ForbiddenContract(self.name, self.session_options, options)


def pure_files(folder: Path = CHECKOUT) -> Iterator[Path]:
    """Yield the paths of the pure modules, relative to the checkout."""
    for path in sorted((folder / PACKAGE).rglob("*.py")):
        words = (ast.get_docstring(ast.parse(path.read_text())) or "").split()
        if words and words[-1] == WORD:
            yield path.relative_to(folder)


def module_name(path: Path) -> str:
    """Return the dotted name of a module from its path."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def coverage_settings(files: Iterable[Path]) -> str:
    """Return the settings of a coverage run that fails unless each branch of these files is taken."""
    include = "".join(f"\n    {path}" for path in files)
    return (
        f"[run]\nbranch = true\ndata_file = .coverage\ninclude ={include}\n"
        "[report]\nfail_under = 100\nshow_missing = true\nskip_covered = true\n"
    )


if __name__ == "__main__":
    print(coverage_settings(pure_files()))
