"""The agent's sources as they are sent to a host: in parts what a first picture needs, the others when asked for."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from xpm_remote.link.remote.startup import BEGIN
from xpm_remote.workspace.agent.importer import INIT

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # of Python 3.11 on

AGENT = "xpm_remote.workspace.agent.program"
"""The module whose ``main`` is the agent."""

IMPORTER = "xpm_remote.workspace.agent.importer"
"""The module that makes the others importable."""

PARTS = 6
"""How many parts the agent is sent in: while one is on its way, the python there compiles those before it."""

SIZE_DIGITS, DIGEST_DIGITS = 6, 64
"""What precedes each part: its size in decimal, its SHA-256 in hexadecimal digits."""

BEGIN_AGAIN = b"#xpm-remote-again:"
"""Begins what is sent when the first payload was lost; as long as ``BEGIN``."""

COMPRESSION = 6
"""Level: the highest saves one byte in a hundred, and takes twice as long."""


@dataclass(frozen=True)
class Bundle:
    """The agent, ready to be sent: what it needs for monitoring.

    Attributes:
        sources: The text of each module by its dotted name, that of a package by the name with ``INIT``, in the order
            in which they are imported.
        payload: The first bytes on the remote python's stdin: ``BEGIN`` and the parts, a line without an end.
        others: The texts that are sent only when one of them is needed.
    """

    sources: Mapping[str, str]
    payload: bytes
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def plain(self) -> bytes:
        """All in one part that is not packed, for a python without zlib."""
        return _part(_json(self.sources))

    @property
    def payload_again(self) -> bytes:
        """What is sent when the first payload has been lost."""
        return BEGIN_AGAIN + self.payload[len(BEGIN) :]

    def other_modules(self, is_packed: bool) -> dict[str, object]:
        """Return the parameters of the request that brings the other modules."""
        if not is_packed:
            return {"plain": self.others}
        return {"packed": base64.b64encode(zlib.compress(_json(self.others), COMPRESSION)).decode()}


def pack(sources: Mapping[str, str], others: Mapping[str, str] | None = None) -> Bundle:
    """Pack the sources of the agent.

    Args:
        sources: The text of each module and package, in the order in which they are imported.
        others: Those that are not sent at first.
    """
    share = sum(map(len, sources.values())) / PARTS
    parts: list[dict[str, str]] = [{} for _ in range(PARTS)]
    taken = 0
    for name, text in sources.items():
        parts[min(int(taken / share), PARTS - 1) if share else 0][name] = text
        taken += len(text)
    deflate = zlib.compressobj(COMPRESSION)  # one stream, so that a part repeats what others have
    packed = (deflate.compress(_json(part)) + deflate.flush(zlib.Z_SYNC_FLUSH) for part in parts)
    payload = BEGIN + b"".join(_part(base64.b64encode(each)) for each in packed)
    return Bundle(sources, payload, others or {})


def _json(sources: Mapping[str, str]) -> bytes:
    return json.dumps(dict(sources), separators=(",", ":")).encode()


def _part(data: bytes) -> bytes:
    return f"{len(data):0{SIZE_DIGITS}}{hashlib.sha256(data).hexdigest()}".encode() + data


PACKAGE = "xpm_remote.workspace"


@cache
def agent_bundle() -> Bundle:
    """Read and pack ``xpm_remote/workspace``; its parent is sent as an empty package.

    At first only what is imported when the agent starts is sent: what monitoring never needs is imported in functions.
    """
    from importlib.resources import files  # takes longer than a dozen of our modules

    sources = {f"xpm_remote{INIT}": "", **dict(_sources(files(PACKAGE), PACKAGE))}
    first = _imported(sources)
    return pack(
        {name: without_comments(sources[name]) for name in first},
        {name: text for name, text in sources.items() if name not in first},
    )


def _sources(directory: Traversable, package: str) -> Iterator[tuple[str, str]]:
    for entry in directory.iterdir():
        if entry.name.endswith(".py"):
            yield f"{package}.{entry.name[:-3]}", entry.read_text(encoding="utf-8")
        elif entry.is_dir() and entry.joinpath("__init__.py").is_file():
            yield from _sources(entry, f"{package}.{entry.name}")


# At the beginning of a line: not in functions, nor for type checkers.
_IMPORT = re.compile(r"^from (xpm_remote[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)


def _imported(sources: Mapping[str, str]) -> list[str]:
    """Return the modules that are imported when the agent starts, with their packages, in the order of the imports."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        key = name if name in sources else name + INIT
        if key in found or key not in sources:
            return
        visit(name.rpartition(".")[0])
        found[key] = None
        for package, names in _IMPORT.findall(sources[key]):
            visit(package)
            for each in re.findall(r"\w+", names):
                visit(f"{package}.{each}")

    visit(IMPORTER)
    visit(AGENT)
    return list(found)


_DOCSTRING = re.compile(r'^( *)"""(?:[^"\\]|\\.|"(?!""))*"""$', re.MULTILINE)
_COMMENT = re.compile(r"(?:^ *|  )# .*$", re.MULTILINE)
_RETURNS = re.compile(r"\) -> [^:\n]+:$", re.MULTILINE)
_INDENT = re.compile(r"^(?:    )+", re.MULTILINE)


def without_comments(source: str) -> str:
    """Return our source without comments, the text of docstrings and the types of results, indented by single blanks.

    Each line is at its place. It knows the style in which ours are written; a test compares what Python reads of both.
    """
    bare = _DOCSTRING.sub(lambda found: f'{found[1]}""' + "\n" * found[0].count("\n"), source)
    bare = _RETURNS.sub("):", _COMMENT.sub("", bare))
    return _INDENT.sub(lambda found: " " * (len(found[0]) // 4), bare)
