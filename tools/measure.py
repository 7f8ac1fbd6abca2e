"""Print the size and the shape of the package: ``python -m tools.measure [FOLDER]``.

Code lines are those with code on them: no blank lines, comments or docstrings. ``__init__`` modules are not
counted. A cycle is a set of modules that import each other, wherever in them the import stands; what
only a type checker imports counts too.
"""

from __future__ import annotations

import ast
import io
import statistics
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

PACKAGE = "xpm_remote"
SMALL = 40
"""Code lines up to which a module is small."""
NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    tokenize.ENDMARKER,
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
Graph = Mapping[str, set[str]]


def main(folder: Path) -> None:
    """Print the figures of the package in a folder."""
    sources = {
        ".".join(path.relative_to(folder).with_suffix("").parts): path.read_text()
        for path in sorted((folder / PACKAGE).rglob("*.py"))
    }
    trees = {name: ast.parse(source) for name, source in sources.items()}
    lines = {name: code_lines(sources[name], trees[name]) for name in sources}
    counted = [len(lines[name]) for name in lines if not name.endswith("__init__")]
    functions = sorted(size for name in trees for size in function_sizes(trees[name], lines[name]))
    graph = {name: set(imported(tree, name, trees.keys())) for name, tree in trees.items()}
    cycles = list(find_cycles(graph))
    by_string = [f"{name}:{line}" for name in trees for line in string_imports(trees[name])]
    print(f"modules                    {len(counted)}")
    print(f"of at most {SMALL} code lines   {sum(count <= SMALL for count in counted)}")
    print(f"code lines                 {sum(counted)}")
    print(f"largest module             {max(counted)}")
    print(f"function, median / p95     {statistics.median(functions):g} / {percentile(functions)}")
    print(f"imports a module           {sum(map(len, graph.values())) / len(graph):.1f}")
    print(f"cycles                     {len(cycles)}", *map(", ".join, cycles), sep="\n  ")
    print(f"imports by string          {len(by_string)}", *by_string, sep="\n  ")


def code_lines(source: str, tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            lines.difference_update(range(docstring.lineno, _end(docstring) + 1))
    return lines


def function_sizes(tree: ast.Module, lines: set[int]) -> Iterator[int]:
    """Yield the code lines of each function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield len(lines.intersection(range(node.lineno, _end(node) + 1)))


def imported(tree: ast.Module, importer: str, names: Iterable[str]) -> Iterator[str]:
    """Yield the modules of the package that a module imports."""
    known = {name.removesuffix(".__init__"): name for name in names}
    for node in ast.walk(tree):
        wanted: list[str] = []
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            wanted = [name if name in known else node.module for name in whole]
        yield from (known[name] for name in wanted if known.get(name, importer) != importer)


def find_cycles(graph: Graph) -> Iterator[list[str]]:
    """Yield the sets of nodes that reach each other."""
    reached = {node: _reach(graph, node) for node in graph}
    seen: set[str] = set()
    for node in graph:
        cycle = {other for other in reached[node] if node in reached[other]}
        if cycle and node not in seen:
            seen |= cycle
            yield sorted(cycle)


def string_imports(tree: ast.Module) -> Iterator[int]:
    """Yield the lines with a call of ``import_module`` or ``__import__``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ("import_module", "__import__"):
                yield node.lineno


def percentile(ordered: list[int]) -> int:
    """Return the value that 95 % do not exceed."""
    return ordered[int(len(ordered) * 0.95)]


def _reach(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for node in graph[waiting.pop()] - found:
            found.add(node)
            waiting.append(node)
    return found


def _end(node: ast.stmt | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
