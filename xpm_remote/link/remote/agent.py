"""The agent's start on a host: its packed sources, the command that runs it, and its greeting.

``command.remote_command`` puts the command behind ``shell_init`` and the check of the workspace. It runs the first
interpreter that is suitable; the agent's sources come on its stdin.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

from xpm_remote.errors import RemoteError, RemotePathError, StartError
from xpm_remote.link.remote.command import quote_path, quote_word
from xpm_remote.link.remote.startup import (
    BEGIN,
    MARK,
    TELLING_WORDS,
    StartReader,
    how_ended,
    last_words,
)
from xpm_remote.workspace.failures import NOT_A_WORKSPACE

AGENT = "xpm_remote.workspace.agent.program"
"""The module whose ``main`` is the agent."""

IMPORTER = "xpm_remote.workspace.agent.importer"
"""The module that makes the others importable."""

COMPRESSION = 6
"""Level: the highest saves one byte in a hundred, and takes twice as long."""

PLAIN = "plain"
"""The mark of a python that cannot unpack the bundle."""

AGAIN = "again"
"""The mark of a python that does not find the bundle: login files have read it, or a part of it."""

BEGIN_AGAIN = b"#xpm-remote-again:"
"""Begins what is sent then; as long as ``BEGIN``."""

ARRIVAL = 3
"""Seconds for the beginning of the bundle to reach the python. It is sent with the command, so it is usually there."""

NO_INPUT = 70
"""The exit status of a python whose stdin is at its end, or closed."""

# One line, without newline, backslash or exclamation mark, which some login shells would not leave alone.
# A reader with a buffer of one byte takes from the pipe what it is asked for and nothing more: the rest is requests.
# A python without zlib asks for the bundle as it was before it was packed.
_LOADER = f"""\
import binascii,hashlib,io,json,signal,sys
try:
 import zlib
except ImportError:
 zlib=None
try:
 read=io.BufferedReader(io.FileIO(0,closefd=False),1).read
except OSError:
 sys.exit({NO_INPUT})
def late(*_):
 raise OSError
def ask(word):
 print(chr(10)+"{MARK} "+word,flush=True)
def get(size,digest):
 data=read(int(size))
 if not hashlib.sha256(data).hexdigest()==digest:
  sys.exit("the agent arrived damaged: %d of %s bytes"%(len(data),size))
 return data
signal.signal(signal.SIGALRM,late)
signal.alarm({ARRIVAL})
try:
 head=read({len(BEGIN)})
except OSError:
 head=None
signal.alarm(0)
signal.signal(signal.SIGALRM,signal.SIG_DFL)
if head==b"":
 sys.exit({NO_INPUT})
if not head==b"{BEGIN.decode()}":
 ask("{AGAIN}")
 head=b""
 while not head==b"{BEGIN_AGAIN.decode()}":
  byte=read(1)
  if not byte:
   break
  head=head[-{len(BEGIN) - 1}:]+byte
text=binascii.a2b_base64(get(*sys.argv[1:3]))
if zlib:
 text=zlib.decompress(text)
else:
 ask("{PLAIN}")
 text=get(*sys.argv[3:5])
sources=json.loads(text.decode())
space={{"__name__":"{IMPORTER}"}}
exec(compile(sources["{IMPORTER}"],"xpm-remote:importer","exec"),space)
sys.exit(space["start"](sources,"{AGENT}",sys.argv[5:]))
"""

LOADER = 'exec("""{}""".replace("~",chr(10)))'.format(_LOADER.replace("\n", "~"))
"""The program with which a remote python is started."""


@dataclass(frozen=True)
class Bundle:
    """The agent, ready to be sent: what it needs for monitoring.

    Attributes:
        payload: The first bytes on the remote python's stdin, a line without an end.
        digest: The SHA-256 of what follows ``BEGIN``, in hexadecimal digits.
        plain: The same before it was packed, for a python without zlib.
        others: The text of each module that is sent only when one of them is needed, by its dotted name.
    """

    payload: bytes
    digest: str
    plain: bytes
    others: Mapping[str, str] = field(default_factory=dict, compare=False)

    @cached_property
    def arguments(self) -> tuple[str, str, str, str]:
        """The loader's first arguments: size and digest, packed and plain."""
        plain = hashlib.sha256(self.plain).hexdigest()
        return str(len(self.payload) - len(BEGIN)), self.digest, str(len(self.plain)), plain

    @property
    def payload_again(self) -> bytes:
        """What is sent when the first payload has been lost."""
        return BEGIN_AGAIN + self.payload[len(BEGIN) :]

    def other_modules(self, is_packed: bool) -> dict[str, object]:
        """Return the parameters of the request that brings the other modules."""
        if not is_packed:
            return {"plain": self.others}
        text = json.dumps(self.others, separators=(",", ":")).encode()
        return {"packed": base64.b64encode(zlib.compress(text, COMPRESSION)).decode()}


def pack(sources: Mapping[str, str], others: Mapping[str, str] | None = None) -> Bundle:
    """Pack the sources of the agent.

    Args:
        sources: The text of each module and package by its dotted name.
        others: Those that are not sent at first.
    """
    plain = json.dumps(dict(sorted(sources.items())), separators=(",", ":")).encode()
    packed = base64.b64encode(zlib.compress(plain, COMPRESSION))
    return Bundle(BEGIN + packed, hashlib.sha256(packed).hexdigest(), plain, others or {})


if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # of Python 3.11 on

PACKAGE = "xpm_remote.workspace"


@cache
def agent_bundle() -> Bundle:
    """Read and pack ``xpm_remote/workspace``; its parent is sent as an empty package.

    At first only what is imported when the agent starts is sent: what monitoring never needs is imported in functions.
    """
    sources = {"xpm_remote": "", **dict(_sources(files(PACKAGE), PACKAGE))}
    first = _imported(sources)
    return pack(
        {name: without_comments(sources[name]) for name in first},
        {name: text for name, text in sources.items() if name not in first},
    )


def _sources(directory: Traversable, package: str) -> Iterator[tuple[str, str]]:
    for entry in directory.iterdir():
        if entry.name == "__init__.py":
            yield package, entry.read_text(encoding="utf-8")
        elif entry.name.endswith(".py"):
            yield f"{package}.{entry.name[:-3]}", entry.read_text(encoding="utf-8")
        elif entry.is_dir() and entry.joinpath("__init__.py").is_file():
            yield from _sources(entry, f"{package}.{entry.name}")


# At the beginning of a line: not in functions, nor for type checkers.
_IMPORT = re.compile(r"^from (xpm_remote[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)


def _imported(sources: Mapping[str, str]) -> set[str]:
    """Return the modules that are imported when the agent starts, and their packages."""
    found: set[str] = set()
    waiting = [AGENT, IMPORTER]
    while waiting:
        name = waiting.pop()
        if name in found or name not in sources:
            continue
        found.add(name)
        waiting.append(name.rpartition(".")[0])
        for package, names in _IMPORT.findall(sources[name]):
            waiting.append(package)
            waiting += [f"{package}.{each}" for each in re.findall(r"\w+", names)]
    return found


_DOCSTRING = re.compile(r'^( *)"""(?:[^"\\]|\\.|"(?!""))*"""$', re.MULTILINE)
_COMMENT = re.compile(r"(?:^ *|  )# .*$", re.MULTILINE)


def without_comments(source: str) -> str:
    """Return our source without comments and the text of docstrings, each line at its place: half of it is packed away.

    It knows the style in which ours are written, which a test compares with what Python reads.
    """
    bare = _DOCSTRING.sub(lambda found: f'{found[1]}""' + "\n" * found[0].count("\n"), source)
    return _COMMENT.sub("", bare)


NOTHING = "[]"
"""No requests."""

INTERPRETERS = (
    "python3",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python3.9",
    "python3.8",
)
"""The interpreters that are tried, in this order, where the settings name none."""

OLDEST_PYTHON = (3, 8)
"""The oldest python on which the agent runs."""

# Isolated from the directory and the environment (a json.py in the home is not ours), without byte code, without
# sitecustomize and its like, file names in UTF-8 whatever the locale.
FLAGS = ("-I", "-B", "-S", "-X", "utf8")
_FLAGS = " ".join(FLAGS)

REQUIRED = (
    "_thread",
    "base64",
    "binascii",
    "codecs",
    "collections",
    "contextlib",
    "datetime",
    "enum",
    "errno",
    "functools",
    "gc",
    "hashlib",
    "heapq",
    "importlib.util",
    "io",
    "itertools",
    "json",
    "math",
    "os",
    "pathlib",
    "queue",
    "re",
    "signal",
    "stat",
    "struct",
    "threading",
    "time",
    "traceback",
    "types",
    "typing",
)
"""The modules of the standard library that the agent imports when it starts."""

_FIT = f"import sys;sys.version_info>={OLDEST_PYTHON} or sys.exit(3);import {','.join(REQUIRED)}"
_VERSION = 'import sys;sys.stdout.write("%d.%d.%d" % sys.version_info[:3])'

WHY_KEPT = 100
"""Characters of the reason of an interpreter that does not work: several may be tried."""

# POSIX sh; no exclamation mark, newline or backslash but in the format of the mark. An interpreter is started once: it
# checks itself before it reads anything from stdin, and is examined only after it has failed. So the agent's exit
# status, or a signal, is passed on. The version is for the error, with what cannot be imported; an interpreter that is
# too old for -I gets the same by letters.
_CHOOSE = (
    f"fit='{_FIT}'; version='{_VERSION}'; loader=$1; size=$2; digest=$3; whole=$4; whole_digest=$5; asked=$6; "
    "root=$7; mode=$8; shift 8; tried=; "
    'for p in "$@"; do '
    'if command -v "$p" >/dev/null 2>&1; then '
    f'"$p" {_FLAGS} -c "$fit;$loader" "$size" "$digest" "$whole" "$whole_digest" "$root" "$mode" "$asked"; status=$?; '
    f'if [ $status = 0 ] || "$p" {_FLAGS} -c "$fit" </dev/null >/dev/null 2>&1; then '
    "[ $status -le 128 ] || kill -$((status-128)) $$; exit $status; fi; "
    f'v=$("$p" {_FLAGS} -c "$version" </dev/null 2>/dev/null) || '
    'v=$("$p" -EsBS -c "$version" </dev/null 2>/dev/null) || v=; '
    f'w=$("$p" {_FLAGS} -c "$fit" </dev/null 2>&1); e=$(printf %s "$w" | grep -iE "{TELLING_WORDS}") || e=$w; '
    f'e=$(printf %s "$e" | tail -n 1 | cut -c1-{WHY_KEPT}); '
    'case $e in *Error:*) e=${e#*Error: };; *) [ -z "$v" ] || e=;; esac; '
    'tried="$tried, $p (${v:-does not work}${e:+: $e})"; '
    'else tried="$tried, $p (not found)"; fi; done; '
    f"printf '\\n{MARK} python%s\\n' \"$tried\"; exit 69"
)

_INTERPRETER = re.compile(r"(?:.*/.*|~.*|(?:python|pypy)[0-9.]*)")


def names_interpreter(python: str) -> bool:
    """Return whether ``ssh.python`` names a program, and not only a version for uv."""
    return _INTERPRETER.fullmatch(python) is not None


def agent_command(
    bundle: Bundle, workspace: str, *, python: str | None, compress: bool, asked: str = NOTHING
) -> str:
    """Return the command that serves a workspace by the agent, without any preparation.

    Args:
        bundle: The agent; its payload must come first on the command's stdin.
        workspace: The directory of the workspace there; ``~`` is the remote home.
        python: The interpreter, by the settings.
        compress: Whether the agent compresses its output, after the greeting, into one deflate stream.
        asked: Requests that it answers as soon as it runs, a list in JSON.

    Raises:
        OptionError: A word cannot be part of a command.
    """
    programs = (python,) if python and names_interpreter(python) else INTERPRETERS
    words = ["/bin/sh", "-c", quote_word(_CHOOSE), "sh", quote_word(LOADER), *bundle.arguments]
    words += [quote_word(asked), quote_path(workspace), "deflate" if compress else "plain"]
    return " ".join([*words, *map(quote_path, programs)])


class Greeting(StartReader):
    """Reads the agent's stdout until it greets: what comes before is noise.

    Attributes:
        compressed: Whether a deflate stream follows the greeting.
        asks: What the python there waits for: ``AGAIN`` or ``PLAIN``; None once it has greeted.
        was_lost: Whether login files have read what was sent at first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.compressed = False
        self.asks: str | None = None
        self.was_lost = False
        self._tried = ""

    def failure(self, status: int | None, stderr: str) -> RemoteError:
        """Return the error for an agent that ended before it greeted.

        Args:
            status: Its exit status; None if a signal ended it.
            stderr: The end of its stderr.
        """
        if self._tried:
            oldest = ".".join(map(str, OLDEST_PYTHON))
            return StartError(
                f"the host has no python {oldest} or newer that works; tried {self._tried}",
                "set ssh.python to one, or put one in the PATH by ssh.shell_init",
            )
        said = stderr.strip()
        if status == NOT_A_WORKSPACE and said:
            what, _, hint = said.splitlines()[-1].partition("; ")
            return RemotePathError(what, hint)
        if status == NO_INPUT:
            return StartError(
                "the agent gets no input on the host: its stdin is closed",
                "look in the login files (.bashrc, .zshenv, .cshrc, ...) and in ssh.shell_init for what takes or"
                " closes it, such as exec </dev/null",
            )
        return StartError(
            f"the agent ended {how_ended(status)} before it answered{last_words(stderr, self.noise)}",
            "try ssh.python with another interpreter of the host, or --backend experimaestro",
        )

    def _take(self, line: bytes) -> bool:
        text = line.decode("utf-8", "backslashreplace")
        if text.startswith(f"{MARK} agent "):
            self.compressed = text.split()[2] == "deflate"
            self.asks = None
            return True
        if text == f"{MARK} {AGAIN}" and not self.was_lost:
            self.asks, self.was_lost = AGAIN, True
            return True
        if text == f"{MARK} {PLAIN}" and self.asks != PLAIN:
            self.asks = PLAIN
            return True
        if text.startswith(f"{MARK} python, "):
            self._tried = text[len(f"{MARK} python, ") :]
        else:
            self._keep(line)
        return False
