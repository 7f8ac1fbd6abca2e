"""One run of the reader: its inputs and limits, the problems found, and the walk over mappings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from xpm_remote.escaping import cleaned, nearest, quoted
from xpm_remote.settings import document
from xpm_remote.settings.schema import InvalidSettingsError, Problem, SourcePosition

# Limit of the values plus characters visited, aliases counted at each visit. A text without aliases stays below
# twice its size, so only aliases that multiply each other reach this.
MAX_EXPANSION = 4 * document.MAX_SIZE

# Limits the time: a guess takes up to a millisecond.
_MAX_GUESSES = 50

# ${env:X}, ${env.X}, ${oc.env:X}, ${oc.env.X}. A brace ends the search for the closing one, which keeps the
# search linear on a text full of openings.
_REFERENCE = re.compile(r"\$\{(?:oc\.)?env[:.]([^{}]+)\}")

_KINDS = {"int": "number", "float": "number", "bool": "truth value", "timestamp": "date"}


class Reading:
    """Collects the problems, warnings, positions and variables of one run.

    Args:
        file: The settings file, for messages.
        environ: The variables that the texts may refer to.
        home: What ``~`` stands for in a local path.
        cwd: What a relative local path starts from.
    """

    def __init__(self, *, file: Path, environ: Mapping[str, str], home: Path, cwd: Path) -> None:
        self.file = file
        self.home = home
        self.cwd = cwd
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.positions: dict[str, SourcePosition] = {}
        self.variables: dict[str, tuple[str, ...]] = {}
        self._environ = environ
        self._left = MAX_EXPANSION
        self._guesses = _MAX_GUESSES

    def visit(self, at: str, node: yaml.Node) -> None:
        """Record the position of a key's value, and count the visit."""
        self.positions[at] = document.position(node)
        self.spend(node)

    def spend(self, node: yaml.Node) -> None:
        """Count the visit of a node.

        Raises:
            InvalidSettingsError: Aliases multiply the text beyond ``MAX_EXPANSION``.
        """
        self._pay(1 + len(node.value), node)

    def _pay(self, cost: int, node: yaml.Node) -> None:
        self._left -= cost
        if self._left < 0:
            what = "aliases or variables repeat the same text too often"
            problem = self._problem("", what, "", node)
            raise InvalidSettingsError([*self.errors, problem], self.warnings)

    def error(self, at: str, what: str, allowed: str = "", node: yaml.Node | None = None) -> None:
        """Record an error, at the node or else at the position of the key's value."""
        self.errors.append(self._problem(at, what, allowed, node))

    def warn(self, at: str, what: str, node: yaml.Node | None = None) -> None:
        """Record a warning, at the node or else at the position of the key's value."""
        self.warnings.append(self._problem(at, what, "", node))

    def wrong_type(self, at: str, node: yaml.Node, allowed: str, text: str | None = None) -> None:
        """Record that a value has the wrong type; ``text`` is the value after interpolation."""
        expanded = "" if text in (None, node.value) else f", which is {quoted(str(text))}"
        self.error(at, f"found {describe(node)}{expanded}", allowed, node)

    def expand(self, at: str, node: yaml.ScalarNode) -> str:
        """Return the text of a scalar as written, with environment variables replaced."""
        text, unset = interpolate(node.value, self._environ)
        self._pay(len(text), node)
        names = variables_in(node.value)
        if names:
            self.variables[at] = names
        for name in unset:
            self.warn(
                at, f"the environment variable {quoted(name)} is not set; kept as it stands", node
            )
        return text

    def guess(self, word: str, known: Iterable[str]) -> str:
        """Return the text of ``nearest`` to append to a message; empty after ``_MAX_GUESSES`` of them."""
        self._guesses -= 1
        question = nearest(word, known) if self._guesses >= 0 else ""
        return f"; {question}" if question else ""

    def entries(self, at: str, node: yaml.MappingNode) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        """Return the keys and values of a mapping: its own first, then those that ``<<`` merges into it.

        A key that is not text or stands there twice is an error and left out.
        """
        found: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        for mapping in self._merged(at, node):
            for key, value in self._own(at, mapping):
                found.setdefault(key.value, (key, value))
        return list(found.values())

    def _own(
        self, at: str, mapping: yaml.MappingNode
    ) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        seen: set[str] = set()
        for key, value in mapping.value:
            self.spend(key)
            if not isinstance(key, yaml.ScalarNode):
                self.error(at, f"found {describe(key)} as a key", "text", key)
                continue
            if key.value in seen:
                self.error(at, f"the key {quoted(key.value)} stands here twice", node=key)
            seen.add(key.value)
            if not _is_merge(key):
                yield key, value

    def _merged(self, at: str, node: yaml.MappingNode) -> list[yaml.MappingNode]:
        """Return the mapping and those that it merges, directly or not, in order of precedence, each once."""
        order: dict[int, yaml.MappingNode] = {}
        todo = [node]
        while todo:
            mapping = todo.pop()
            if id(mapping) not in order:
                order[id(mapping)] = mapping
                todo.extend(reversed(self._bases(at, mapping)))
        return list(order.values())

    def _bases(self, at: str, mapping: yaml.MappingNode) -> list[yaml.MappingNode]:
        """Return the mappings under the ``<<`` keys of one."""
        bases: list[yaml.MappingNode] = []
        for value in (value for key, value in mapping.value if _is_merge(key)):
            for base in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                self.spend(base)
                if isinstance(base, yaml.MappingNode):
                    bases.append(base)
                else:
                    allowed = "a mapping, or a list of mappings"
                    self.error(at, f"<< merges {describe(base)}", allowed, base)
        return bases

    def _problem(self, at: str, what: str, allowed: str, node: yaml.Node | None) -> Problem:
        place = document.position(node) if node else self.positions.get(at)
        return Problem(file=self.file, position=place, key=at, what=what, allowed=allowed)


def describe(node: yaml.Node) -> str:
    """Return a description of a node for a message."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if is_null(node):
        return f"{node.value}, which means nothing in YAML" if node.value else "nothing"
    kind = _KINDS.get(document.short_tag(node))
    return f"the {kind} {cleaned(node.value)}" if kind else f"the text {quoted(node.value)}"


def is_null(node: yaml.Node) -> bool:
    """Return whether a node is empty or ``null``."""
    return document.short_tag(node) == "null"


def _is_merge(key: yaml.Node) -> bool:
    return document.short_tag(key) == "merge"


def variables_in(text: str) -> tuple[str, ...]:
    """Return the names of the variables that a text refers to, in order."""
    return tuple(_REFERENCE.findall(text))


def interpolate(text: str, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Replace references to variables by their values, which are not searched again.

    Returns:
        The new text, in which references to unset variables still stand, and the names of those.
    """
    unset: list[str] = []

    def replace(reference: re.Match[str]) -> str:
        value = environ.get(reference[1])
        if value is None:
            unset.append(reference[1])
            return reference[0]
        return value

    return _REFERENCE.sub(replace, text), tuple(unset)
