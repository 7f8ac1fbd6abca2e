"""The agent's start on a host: the command that runs it, and its greeting.

``command.remote_command`` puts the command behind ``shell_init`` and the check of the workspace. It runs the first
interpreter that is suitable; the agent's sources, of ``bundle``, come on its stdin.
"""

from __future__ import annotations

import re

from xpm_remote.errors import RemoteError, RemotePathError, StartError
from xpm_remote.link.remote.bundle import (
    AGENT,
    BEGIN_AGAIN,
    DIGEST_DIGITS,
    IMPORTER,
    PARTS,
    SIZE_DIGITS,
)
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

PLAIN = "plain"
"""The mark of a python that cannot unpack the bundle."""

AGAIN = "again"
"""The mark of a python that does not find the bundle: login files have read it, or a part of it."""

ARRIVAL = 3
"""Seconds for the beginning of the bundle to reach the python. It is sent with the command, so it is usually there."""

NO_INPUT = 70
"""The exit status of a python whose stdin is at its end, or closed."""

# One line, without newline, backslash or exclamation mark, which some login shells would not leave alone.
# A reader with a buffer of one byte takes from the pipe what it is asked for and nothing more: the rest is requests.
# Each part is read when a module of it is imported. A python without zlib asks for all of them as they were before.
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
def part():
 head=read({SIZE_DIGITS + DIGEST_DIGITS}).decode("latin-1")
 size,digest=head[:{SIZE_DIGITS}],head[{SIZE_DIGITS}:]
 data=read(int(size)) if size.isdecimal() else b""
 if not hashlib.sha256(data).hexdigest()==digest:
  sys.exit("the agent arrived damaged: %d of %s bytes"%(len(data),size))
 return data
def parts():
 unpack=zlib and zlib.decompressobj().decompress
 for _ in range({PARTS}):
  data=binascii.a2b_base64(part())
  if unpack:
   yield json.loads(unpack(data).decode())
 if not unpack:
  ask("{PLAIN}")
  yield json.loads(part().decode())
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
arriving=parts()
sources=next(arriving)
space={{"__name__":"{IMPORTER}"}}
exec(compile(sources["{IMPORTER}"],"xpm-remote:importer","exec"),space)
sys.exit(space["start"](sources,arriving,"{AGENT}",sys.argv[1:]))
"""

LOADER = 'exec("""{}""".replace("~",chr(10)))'.format(_LOADER.replace("\n", "~"))
"""The program with which a remote python is started."""


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
    "operator",
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
    f"fit='{_FIT}'; version='{_VERSION}'; loader=$1; asked=$2; root=$3; mode=$4; shift 4; "
    "tried=; "
    'for p in "$@"; do '
    'if command -v "$p" >/dev/null 2>&1; then '
    f'"$p" {_FLAGS} -c "$fit;$loader" "$root" "$mode" "$asked"; status=$?; '
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
    workspace: str, *, python: str | None, compress: bool, asked: str = NOTHING
) -> str:
    """Return the command that serves a workspace by the agent, whose payload must come first on its stdin.

    Args:
        workspace: The directory of the workspace there; ``~`` is the remote home.
        python: The interpreter, by the settings.
        compress: Whether the agent compresses its output, after the greeting, into one deflate stream.
        asked: Requests that it answers as soon as it runs, a list in JSON.

    Raises:
        OptionError: A word cannot be part of a command.
    """
    programs = (python,) if python and names_interpreter(python) else INTERPRETERS
    words = ["/bin/sh", "-c", quote_word(_CHOOSE), "sh", quote_word(LOADER)]
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
