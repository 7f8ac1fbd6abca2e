"""The probe, a command that examines a host without changing anything, and its answers.

It is run as the server is (see ``command``): by the login shell, after ``shell_init``. Before and after ``shell_init``
it marks stdout and stderr and waits for a line: so all output of other programs has arrived, and is assigned to its
step. In the end it prints the time for each line that it is sent; at the line ``go`` it becomes the server.

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
    slurm_check,
    workspace_check,
)
from xpm_remote.link.remote.startup import MARK, TELLING_WORDS, Mark, Noise, NoiseSource

EXPERIMAESTRO = "experimaestro"
UV = "uv"
NOT_FOUND = 127
"""The exit status of a shell, and of ``env``, for a program that does not exist."""

GO = "go"
"""The line with which the probe becomes the server."""

GOING = "going"
"""The mark after a wait."""

_SAY = f"say() {{ printf '\\n{MARK} %s\\n' \"$*\"; }}; "

# POSIX sh; no newline and no exclamation mark, which csh would not leave alone.
_TOOLS = (
    # Of a failure, the line that tells the cause: advice may follow it.
    _SAY + "tell() { w=$(printf '%s\\n' \"$3\" | grep .); u=; "
    f'if [ "$2" -ne 0 ]; then u=$(printf \'%s\\n\' "$w" | grep -iE "{TELLING_WORDS}" | tail -n 1); fi; '
    'say version "$1" "$2" "${u:-$(printf \'%s\\n\' "$w" | tail -n 1)}"; }; '
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
    is_auto: bool = False,
) -> str:
    """Return the whole command line for the remote shell.

    Args:
        remote: How the remote experimaestro is found; uv may only use its cache.
        workspace: The directory that must be a workspace.
        shell_init: Shell commands to run first.
        server: The command that the probe becomes.
        asks_experimaestro: Whether to look for uv and experimaestro.
        is_auto: Whether the server is not started where jobs run under SLURM.

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
    steps = [_pause("init"), tools, workspace_check(workspace)]
    steps += [slurm_check(workspace, fails=False), look]
    # Once more at the moment of the start.
    steps += [*([slurm_check(workspace)] if is_auto else []), f"eval {quote_word(server)}"]
    return f"{_pause('shell')}; {init_command(shell_init)} {' && '.join(steps)}"


def candidates(python: str | None) -> tuple[str, ...]:
    """Return the interpreters that an agent would be run with, in order.

    Args:
        python: The interpreter of the settings.
    """
    return (python,) if python and names_interpreter(python) else INTERPRETERS


def _pause(word: str) -> str:
    """Return a command that marks both streams and waits, for /bin/sh: csh cannot redirect stderr alone."""
    mark = f"printf '\\n{MARK} {word}\\n'"
    return f"/bin/sh -c {quote_word(f'{mark} >&2; {mark}; read -r x; {_SAY}say {GOING}')}"


def stderr_noise(stderr: str, section: NoiseSource) -> Noise:
    """Return the noise of one source on stderr.

    Args:
        stderr: What was kept of stderr, up to the end of that source.
        section: The login files or ``shell_init``.
    """
    *_, login, init = ("", *_SHELL_MARK.split(_INIT_MARK.split(stderr)[0]))
    noise = Noise()
    noise.add((login if section is NoiseSource.LOGIN else init).encode("utf-8", "surrogatepass"))
    return noise


def without_marks(stderr: str) -> str:
    """Return what stands on stderr after our last mark."""
    return _SHELL_MARK.split(_INIT_MARK.split(stderr)[-1])[-1]


@dataclass(frozen=True)
class Program:
    """A program on the host.

    Attributes:
        name: What was looked for.
        path: Where the shell finds it; empty if it does not.
        status: The exit status of the query of its version; None if there was none.
        said: The last line of the answer; of a failure, the last line that tells its cause.
    """

    name: str
    path: str = ""
    status: int | None = None
    said: str = ""

    @property
    def version(self) -> str:
        """The version; empty if unknown."""
        found = _VERSION.search(self.said) if self.status == 0 else None
        return found[0] if found else ""

    def is_before(self, *version: int) -> bool:
        """Return whether its version is known, and older than the given one."""
        numbers = [int(number) for number in re.findall(r"\d+", self.version)]
        return bool(numbers) and tuple(numbers[: len(version)]) < version


class FileSystem(NamedTuple):
    """The file system of a directory: the device, the kind (empty if unknown), and free bytes."""

    device: str
    kind: str
    free: int

    @property
    def is_network(self) -> bool:
        """Whether other hosts may write there without any notification here."""
        over = ":" in self.device or self.device.startswith("//")
        return over or _NETWORK.search(self.kind) is not None


@dataclass
class Answers:
    """The answers of the probe so far.

    Attributes:
        programs: The programs that were found or answered, by name.
        experiments: The number of experiments in the workspace; None if unknown.
        file_system: The file system of the workspace.
        problems: What may not be read or written there, a sentence each.
        times: The host's time in epoch seconds, by the line that queried it.
        slurm: A file that tells of a job of SLURM; empty for none.
    """

    programs: dict[str, Program] = field(default_factory=dict)
    experiments: int | None = None
    file_system: FileSystem | None = None
    problems: list[str] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)
    slurm: str = ""

    def take(self, mark: Mark) -> None:
        """Record an answer; a mark that is none changes nothing."""
        name, _, rest = mark.rest.partition(" ")
        if mark.word == "found":
            self.programs[name] = Program(name, rest)
        elif mark.word == "version":
            status, _, said = rest.partition(" ")
            path = self.program(name).path
            self.programs[name] = Program(name, path, _number(status), said.strip())
        elif mark.word == "slurm":
            self.slurm = mark.rest
        elif mark.word == "now" and _SECONDS.fullmatch(rest):
            self.times[name] = float(rest)
        elif mark.word == "fact" and name == "experiments":
            self.experiments = _number(rest)
        elif mark.word == "fact" and name == "df":
            self.file_system = read_df(rest)
        elif mark.word == "fact" and name in _PROBLEMS:
            self.problems.append(f"{rest} {_PROBLEMS[name]}")

    def program(self, name: str) -> Program:
        """Return what is known of a program."""
        return self.programs.get(name, Program(name))

    def pythons(self, names: Iterable[str]) -> list[Program]:
        """Return what is known of interpreters; the probe refers to them by their position."""
        told = ((name, self.program(str(number))) for number, name in enumerate(names))
        return [replace(program, name=name) for name, program in told]


def read_df(told: str) -> FileSystem | None:
    """Read ``typed`` or ``plain``, and a line of ``df -P`` with or without the type; return None for other text."""
    form, _, line = told.partition(" ")
    found = _DF.fullmatch(line.strip())
    if found is None:
        return None
    device, kind = found[1], ""
    if form == "typed":
        device, _, kind = device.rpartition(" ")
    return FileSystem(device.strip(), kind, max(0, int(found[4])) * _KIB)


class Round(NamedTuple):
    """The host's time, and ours before and after it was queried, in epoch seconds."""

    before: float
    there: float
    after: float


class Offset(NamedTuple):
    """By how many seconds the host's clock is ahead, and the error of that."""

    seconds: float
    error: float


def clock_offset(rounds: Iterable[Round]) -> Offset | None:
    """Return the difference of two clocks by the quickest round, whose error is the least; None for no rounds."""
    best = min(rounds, key=lambda each: each.after - each.before, default=None)
    if best is None:
        return None
    middle = (best.before + best.after) / 2
    return Offset(best.there - middle, (best.after - best.before) / 2)


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None
