"""The command that runs the agent on a host, and what it says until the agent speaks.

``command.remote_command`` puts this command behind ``shell_init`` and the look at the workspace. It runs the first
interpreter that will do; the agent's sources come on stdin (see ``bootstrap``). Pure.
"""

from __future__ import annotations

import re

from xpm_remote.errors import StartError
from xpm_remote.link.remote.bootstrap import LOADER, Bundle
from xpm_remote.link.remote.command import quote_path, quote_word
from xpm_remote.link.remote.startup import MARK

INTERPRETERS = (
    "python3",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python3.9",
    "python3.8",
)
"""What is tried, in this order, where the settings name no interpreter."""

OLDEST_PYTHON = (3, 8)
"""What the agent is written for."""

NOISE_KEPT = 4096
"""Bytes of noise kept for an error message: a screenful."""

LINE_KEPT = 65536
"""Bytes of an unfinished line that are looked at: a mark is far shorter."""

# Isolated from the directory and the environment (a json.py in the home is not ours), without byte code, without
# sitecustomize and its like, file names in UTF-8 whatever the locale.
_FLAGS = "-I -B -S -X utf8"

_FIT = (
    f"import sys;sys.version_info>={OLDEST_PYTHON} or sys.exit(3);"
    "import ctypes,fcntl,hashlib,json,select,zlib"
)
_VERSION = 'import sys;sys.stdout.write("%d.%d.%d" % sys.version_info[:3])'

# POSIX sh; no exclamation mark, newline or backslash but in the format of the mark. An interpreter is started once: it
# looks whether it will do before it takes anything from stdin, and only when it ended with a failure is it asked again,
# so that what the agent said by its exit status, or a signal, is passed on. The version is for the error.
_CHOOSE = (
    f"fit='{_FIT}'; version='{_VERSION}'; loader=$1; size=$2; digest=$3; root=$4; mode=$5; shift 5; tried=; "
    'for p in "$@"; do '
    'if command -v "$p" >/dev/null 2>&1; then '
    f'"$p" {_FLAGS} -c "$fit;$loader" "$size" "$digest" "$root" "$mode"; status=$?; '
    f'if [ $status = 0 ] || "$p" {_FLAGS} -c "$fit" </dev/null >/dev/null 2>&1; then '
    "[ $status -le 128 ] || kill -$((status-128)) $$; exit $status; fi; "
    'v=$("$p" -c "$version" </dev/null 2>/dev/null) || v=; tried="$tried, $p (${v:-does not work})"; '
    'else tried="$tried, $p (not found)"; fi; done; '
    f"printf '\\n{MARK} python%s\\n' \"$tried\"; exit 69"
)

_INTERPRETER = re.compile(r"(?:.*/.*|~.*|(?:python|pypy)[0-9.]*)")


def names_interpreter(python: str) -> bool:
    """Tell whether ``ssh.python`` names a program, and not only a version for uv."""
    return _INTERPRETER.fullmatch(python) is not None


def agent_command(bundle: Bundle, workspace: str, *, python: str | None, compress: bool) -> str:
    """Give the command that serves a workspace by the agent, without any preparation.

    Args:
        bundle: The agent; its payload must be the first that the command finds on its stdin.
        workspace: The directory of the workspace there; ``~`` is the remote home.
        python: What the settings say of the interpreter.
        compress: Whether the agent's output is to be one deflate stream after its greeting.

    Raises:
        OptionError: A word cannot be part of a command.
    """
    programs = (python,) if python and names_interpreter(python) else INTERPRETERS
    words = ["/bin/sh", "-c", quote_word(_CHOOSE), "sh", quote_word(LOADER), *bundle.arguments]
    words += [quote_path(workspace), "deflate" if compress else "plain"]
    return " ".join([*words, *map(quote_path, programs)])


class Greeting:
    """Reads the agent's stdout until it greets: what comes before is noise.

    Attributes:
        compressed: Whether what follows the greeting is a deflate stream.
    """

    def __init__(self) -> None:
        self.compressed = False
        self._noise = bytearray()
        self._partial = b""
        self._tried = ""

    @property
    def noise(self) -> str:
        """The beginning of what was printed besides our marks; odd bytes are escaped."""
        return self._noise.decode("utf-8", "backslashreplace")

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; give those that follow the greeting once it has come, else None."""
        *lines, partial = (self._partial + data).split(b"\n")
        for number, line in enumerate(lines):
            if self._take(line):
                return b"\n".join([*lines[number + 1 :], partial])
        if len(partial) > LINE_KEPT:
            self._keep(partial)
            partial = b""
        self._partial = partial
        return None

    def failure(self, status: int | None, stderr: str) -> StartError:
        """Say why the agent ended before it greeted.

        Args:
            status: The exit status; None when a signal ended it.
            stderr: The last lines of its stderr.
        """
        if self._tried:
            oldest = ".".join(map(str, OLDEST_PYTHON))
            return StartError(
                f"the host has no python {oldest} or newer that works; tried {self._tried}",
                "set ssh.python to one, or put one in the PATH by ssh.shell_init",
            )
        how = "by a signal" if status is None else f"with exit status {status}"
        lines = [line.strip() for line in (stderr.strip() or self.noise.strip()).splitlines()]
        said = " | ".join(line for line in lines[-3:] if line)
        return StartError(
            f"the agent ended {how} before it answered{': ' + said if said else ''}",
            "try ssh.python with another interpreter of the host, or --backend experimaestro",
        )

    def _take(self, line: bytes) -> bool:
        text = line.decode("utf-8", "backslashreplace")
        if text.startswith(f"{MARK} agent "):
            self.compressed = text.split()[2] == "deflate"
            return True
        if text.startswith(f"{MARK} python, "):
            self._tried = text[len(f"{MARK} python, ") :]
        else:
            self._keep(line)
        return False

    def _keep(self, line: bytes) -> None:
        if line:
            self._noise += (line + b"\n")[: NOISE_KEPT - len(self._noise)]
