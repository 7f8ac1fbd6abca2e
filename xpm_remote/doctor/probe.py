"""One command that looks around on a host without changing anything, and what it answers.

It is run like the server's (see ``command``): by the person's login shell, ``shell_init`` before it. Before and after
that it marks stdout and stderr and waits for a line: so all that anybody else printed has arrived, and is known by the
step in which it came. In the end it tells the time whenever it is sent a line; told to, it becomes the server.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from xpm_remote.link.remote.agent import INTERPRETERS, names_interpreter
from xpm_remote.link.remote.command import (
    RemoteExperimaestro,
    experimaestro_words,
    init_command,
    quote_path,
    quote_word,
    workspace_check,
)
from xpm_remote.link.remote.startup import MARK, Mark, Noise, NoiseSource

EXPERIMAESTRO = "experimaestro"
UV = "uv"
NOT_FOUND = 127
"""The exit status of a shell, and of ``env``, for a program that is not there."""

GO = "go"
"""The line with which the probe becomes the server."""

GOING = "going"
"""The mark after a wait."""

_SAY = f"say() {{ printf '\\n{MARK} %s\\n' \"$*\"; }}; "

# POSIX sh; no newline and no exclamation mark, which csh would not leave alone.
_TOOLS = (
    _SAY + 'tell() { say version "$1" "$2" "$(printf \'%s\\n\' "$3" | grep . | tail -n 1)"; }; '
    'ask() { n=$1; shift; p=$(command -v "$1") || return 1; say found "$n" "$p"; '
    'v=$("$@" 2>&1 </dev/null); tell "$n" "$?" "$v"; }; '
    'n=$1; i=0; shift; while [ "$i" -lt "$n" ]; do c=$1; shift; '
    '(ask "$i" "$c" -c "import sys; print(\'%d.%d.%d\' % sys.version_info[:3])"); i=$((i+1)); done; '
    f'if [ "$#" -gt 0 ]; then (ask {UV} {UV} --version); '
    f'v=$(env "$@" version 2>&1 </dev/null); tell {EXPERIMAESTRO} "$?" "$v"; fi; say tools'
)
_LOOK = (
    _SAY + 'd=$1; case $d in /*|"") ;; *) d=./$d;; esac; '
    'for e in "$d" "$d/jobs" "$d/experiments"; do '
    'if [ -e "$e" ]; then [ -r "$e" ] || say fact unreadable "$e"; fi; done; '
    '[ -w "$d" ] || say fact unwritable "$d"; '
    'n=0; for e in "$d"/experiments/*/; do if [ -d "$e" ]; then n=$((n+1)); fi; done; '
    'say fact experiments "$n"; '
    'if f=$(LC_ALL=C df -PTk "$d" 2>/dev/null); then k=typed; else k=plain; f=$(LC_ALL=C df -Pk "$d"); fi; '
    'say fact df "$k" "$(printf \'%s\\n\' "$f" | tail -n 1)"; say looked; '
    f'while read -r n; do if [ "$n" = {GO} ]; then exit 0; fi; t=$(date +%s.%N); case $t in *[N%]*|*.) '
    "t=$(python3 -c 'import time; print(time.time())' 2>/dev/null || date +%s);; esac; "
    'say now "$n" "$t"; done; exit 1'
)

_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")
# What precedes a mark on stderr may have lost its newline on the way.
_SHELL_MARK = re.compile(rf"(?:\A|\n){MARK} shell\n")
_INIT_MARK = re.compile(rf"(?:\A|\n){MARK} init\n")
_NUMBER = re.compile(r"[0-9]{1,15}")
_SECONDS = re.compile(r"[0-9]{1,12}(?:[.][0-9]{1,9})?")
_DF = re.compile(r"(.*\S)\s+(\d+)\s+(\d+)\s+(-?\d{1,18})\s+(?:\d+%|-)\s+(/.*)")
_NETWORK = re.compile(
    r"nfs|lustre|gpfs|beegfs|cifs|smb|ceph|gluster|sshfs|afs|panfs|pvfs|orangefs|9p|weka|fhgfs|mmfs",
    re.IGNORECASE,
)
_KIB = 1024
_PROBLEMS = {
    "unreadable": "may not be read",
    "unwritable": "may not be written: the server of experimaestro keeps its notes there",
}


def probe_command(
    remote: RemoteExperimaestro,
    workspace: str,
    shell_init: str | None,
    server: str,
    *,
    asks_experimaestro: bool = True,
) -> str:
    """Give the whole command line for the remote shell.

    Args:
        remote: How the remote experimaestro is found; uv is only asked for what it has cached.
        workspace: The directory that must be a workspace.
        shell_init: Shell commands to run before.
        server: The command that it becomes.
        asks_experimaestro: Whether it looks for experimaestro, and uv, at all.

    Raises:
        OptionError: A word cannot be part of a command.
    """
    pythons = candidates(remote.python)
    cached = RemoteExperimaestro(
        remote.xpm_path, uv_offline=True, python=remote.python, version=remote.version
    )
    words = experimaestro_words(cached) if asks_experimaestro else []
    arguments = [str(len(pythons)), *map(quote_path, pythons), *words]
    tools = " ".join(["/bin/sh", "-c", quote_word(_TOOLS), "sh", *arguments, "</dev/null"])
    look = " ".join(["/bin/sh", "-c", quote_word(_LOOK), "sh", quote_path(workspace)])
    steps = [_pause("init"), tools, workspace_check(workspace), look, f"eval {quote_word(server)}"]
    return f"{_pause('shell')}; {init_command(shell_init)} {' && '.join(steps)}"


def candidates(python: str | None) -> tuple[str, ...]:
    """Give the interpreters that an agent would be run with, in order.

    Args:
        python: What the settings say of the interpreter.
    """
    return (python,) if python and names_interpreter(python) else INTERPRETERS


def _pause(word: str) -> str:
    """Give the command that marks both streams, and waits; not the shell's own: csh cannot redirect stderr alone."""
    mark = f"printf '\\n{MARK} {word}\\n'"
    return f"/bin/sh -c {quote_word(f'{mark} >&2; {mark}; read -r x; {_SAY}say {GOING}')}"


def stderr_noise(stderr: str, section: NoiseSource) -> Noise:
    """Give what stands on stderr of a section, as far as it is kept.

    Args:
        stderr: All of it that is kept, up to the end of the section.
        section: The login files' or the one of ``shell_init``.
    """
    *_, login, init = ("", *_SHELL_MARK.split(_INIT_MARK.split(stderr)[0]))
    noise = Noise()
    noise.add((login if section is NoiseSource.LOGIN else init).encode("utf-8", "surrogatepass"))
    return noise


def without_marks(stderr: str) -> str:
    """Give what was said on stderr after our last mark there: it is of those who came last."""
    return _SHELL_MARK.split(_INIT_MARK.split(stderr)[-1])[-1]


@dataclass(frozen=True)
class Program:
    """A program on the host.

    Attributes:
        name: What was looked for.
        path: Where the shell finds it; empty where it does not.
        status: The exit status when it was asked for its version; None when it was not.
        said: The last line of its answer.
    """

    name: str
    path: str = ""
    status: int | None = None
    said: str = ""

    @property
    def version(self) -> str:
        """Its version; empty when it did not tell."""
        found = _VERSION.search(self.said) if self.status == 0 else None
        return found[0] if found else ""

    def is_before(self, *version: int) -> bool:
        """Tell whether its version is known, and older than that one."""
        numbers = [int(number) for number in re.findall(r"\d+", self.version)]
        return bool(numbers) and tuple(numbers[: len(version)]) < version


class FileSystem(NamedTuple):
    """Where a directory lies: the device, the kind (empty when unknown), and free bytes."""

    device: str
    kind: str
    free: int

    @property
    def is_network(self) -> bool:
        """Whether other hosts may write there, of which nothing here is told."""
        over = ":" in self.device or self.device.startswith("//")
        return over or _NETWORK.search(self.kind) is not None


@dataclass
class Answers:
    """What the probe has told so far.

    Attributes:
        programs: Programs by name, those that were found or answered.
        experiments: How many experiments the workspace has.
        file_system: Where the workspace lies.
        problems: What may not be read or written there, a sentence each.
        times: The host's time in epoch seconds, by what it was asked with.
    """

    programs: dict[str, Program] = field(default_factory=dict)
    experiments: int | None = None
    file_system: FileSystem | None = None
    problems: list[str] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)

    def take(self, mark: Mark) -> None:
        """Take a mark; one that is not an answer, or is none of ours, changes nothing."""
        reader = _READERS.get(mark.word)
        if reader is not None:
            reader(self, mark.rest)

    def program(self, name: str) -> Program:
        """Give what is known of a program."""
        return self.programs.get(name, Program(name))

    def pythons(self, names: Iterable[str]) -> list[Program]:
        """Give what is known of the interpreters that were looked for: the probe calls them by their number."""
        told = ((name, self.program(str(number))) for number, name in enumerate(names))
        return [replace(program, name=name) for name, program in told]

    def _found(self, rest: str) -> None:
        name, _, path = rest.partition(" ")
        self.programs[name] = Program(name, path)

    def _version(self, rest: str) -> None:
        name, _, told = rest.partition(" ")
        status, _, said = told.partition(" ")
        path = self.program(name).path
        self.programs[name] = Program(name, path, _number(status), said.strip())

    def _fact(self, rest: str) -> None:
        kind, _, told = rest.partition(" ")
        if kind == "experiments":
            self.experiments = _number(told)
        elif kind == "df":
            self.file_system = read_df(told)
        elif kind in _PROBLEMS:
            self.problems.append(f"{told} {_PROBLEMS[kind]}")

    def _now(self, rest: str) -> None:
        name, _, told = rest.partition(" ")
        if _SECONDS.fullmatch(told):
            self.times[name] = float(told)


_READERS = {
    "found": Answers._found,  # noqa: SLF001 - the class's own table
    "version": Answers._version,  # noqa: SLF001
    "fact": Answers._fact,  # noqa: SLF001
    "now": Answers._now,  # noqa: SLF001
}


def read_df(told: str) -> FileSystem | None:
    """Read ``typed`` or ``plain`` and a line of ``df -P``, with the type in it or not; None for other words."""
    form, _, line = told.partition(" ")
    found = _DF.fullmatch(line.strip())
    if found is None:
        return None
    device, kind = found[1], ""
    if form == "typed":
        device, _, kind = device.rpartition(" ")
    return FileSystem(device.strip(), kind, max(0, int(found[4])) * _KIB)


class Round(NamedTuple):
    """The host's time, and ours before and after it was asked for, in epoch seconds."""

    before: float
    there: float
    after: float


class Offset(NamedTuple):
    """By how many seconds the host's clock is ahead, and how many that may be wrong."""

    seconds: float
    error: float


def clock_offset(rounds: Iterable[Round]) -> Offset | None:
    """Compare two clocks; None for no rounds. The quickest round counts: it leaves the least in doubt."""
    best = min(rounds, key=lambda each: each.after - each.before, default=None)
    if best is None:
        return None
    middle = (best.before + best.after) / 2
    return Offset(best.there - middle, (best.after - best.before) / 2)


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None
