"""The agent as bytes: its sources packed for the stdin of a remote python, and the text that unpacks them.

The remote python is given ``LOADER`` as its program and the bundle's size and digest as arguments, so the command line
says what may run: bytes that are others are not executed. Nothing is written to the remote disk. Pure.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

AGENT = "xpm_remote.workspace.agent.program"
"""The module whose ``main`` is the agent."""

IMPORTER = "xpm_remote.workspace.agent.importer"
"""The module that makes the others importable."""

COMPRESSION = 6
"""Level: the highest saves one byte in a hundred, and takes twice as long."""

# One line, without newline, backslash or exclamation mark, which some login shells would not leave alone.
# A reader with a buffer of one byte takes from the pipe what it is asked for and nothing more: the rest is requests.
LOADER = (
    "import hashlib,io,json,sys,zlib;"
    "size,digest=sys.argv[1:3];"
    "packed=io.BufferedReader(io.FileIO(0,closefd=False),1).read(int(size));"
    "hashlib.sha256(packed).hexdigest()==digest or"
    ' sys.exit("the agent arrived damaged: %d of %s bytes" % (len(packed),size));'
    "sources=json.loads(zlib.decompress(packed).decode());"
    f'space={{"__name__":"{IMPORTER}"}};'
    f'exec(compile(sources["{IMPORTER}"],"xpm-remote:importer","exec"),space);'
    f'sys.exit(space["start"](sources,"{AGENT}",sys.argv[3:]))'
)
"""The program that a remote python is started with."""


@dataclass(frozen=True)
class Bundle:
    """The agent, ready to be sent.

    Attributes:
        payload: What the remote python's stdin gets first.
        digest: Its SHA-256 in hexadecimal digits.
    """

    payload: bytes
    digest: str

    @property
    def arguments(self) -> tuple[str, str]:
        """What the loader is given first: size and digest."""
        return str(len(self.payload)), self.digest


def pack(sources: Mapping[str, str]) -> Bundle:
    """Pack the sources of the agent.

    Args:
        sources: The text of each module and package by its dotted name.
    """
    text = json.dumps(dict(sorted(sources.items())), separators=(",", ":"))
    payload = zlib.compress(text.encode(), COMPRESSION)
    return Bundle(payload, hashlib.sha256(payload).hexdigest())
