"""The remote command line: prepare the shell, check the workspace, start the server.

It is run by the account's login shell, so it uses only what sh, bash, zsh, ksh, fish and csh read alike. Between its
steps it prints marks (see ``startup``), each on a line of its own even after text without a newline: they show its
progress, and where noise ends. Pure.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from xpm_remote.errors import OptionError
from xpm_remote.link.remote.startup import MARK, NO_OUTPUT

SUPPORTED_EXPERIMAESTRO = "experimaestro>=2.7,<3"
"""The versions that are supported. Older servers may mark other hosts' jobs as failed when they start."""

TESTED_VERSION = "2.7.0"
"""The release against which every change is tested."""

WORKSPACE_MARKER = ".__experimaestro__"

# Started in a sub-folder of a workspace, the server asks questions on its stdin and takes our requests for the
# answers: so the directory is checked before. POSIX sh, without exclamation marks and newlines, which csh would
# change. A relative directory gets a "./", so that `cd` does not search CDPATH or take "-" for the previous one. The
# last line of a zone's file has its rules. Login files may have sent stdout elsewhere, so that no mark arrives.
_CHECK = (
    f"kill -URG 0; say() {{ printf '\\n{MARK} %s\\n' \"$*\"; }}; "
    f"o=/dev/fd/1; if [ -e /dev/fd/0 ]; then [ -e $o ] || exit {NO_OUTPUT}; fi; "
    f"if [ -c $o ] || [ -f $o ]; then exit {NO_OUTPUT}; fi; "
    'd=$1; m=$2; case $d in /*|"") ;; *) d=./$d;; esac; '
    "z=${TZ:-$(readlink /etc/localtime || cat /etc/timezone 2>/dev/null)}; f=/etc/localtime; "
    '[ -z "$TZ" ] || f=/usr/share/zoneinfo/${TZ#:}; r=$(tail -n 1 "$f" 2>/dev/null | tr -cd " -~"); '
    '[ -e "$d" ] || { say path missing; exit 66; }; '
    '[ -d "$d" ] || { say path file; exit 66; }; '
    'p=$(cd -- "$d" 2>/dev/null && pwd -P) || { say path forbidden; exit 66; }; '
    'if [ -f "$d/$m" ]; then say ready "$(date \'+%s %z\')" "$z" "$r"; exit 0; fi; '
    'until [ "$p" = / ]; do p=$(dirname -- "$p"); '
    'if [ -f "$p/$m" ]; then say path inside "$p"; exit 66; fi; done; '
    "say path unmarked; exit 66"
)

# A console script names its interpreter, and the directory of a package beside that has the version in its name: so
# it is known in a millisecond, and without running anything. If anything is different, the command goes on. POSIX sh,
# with the limits of the check above; the first line may be that of a binary.
_OUTDATED = (
    'exec 2>/dev/null; p=$(command -v "$1") && [ -f "$p" ] && [ -r "$p" ] || exit 0; '
    'IFS= read -r l <"$p"; case $l in "#"?/*) ;; *) exit 0;; esac; '
    "i=${l#??}; i=${i%% *}; case ${i##*/} in python*) ;; *) exit 0;; esac; v=; "
    'for d in "${i%/*}"/../lib/python3*/site-packages/experimaestro-*.dist-info; do [ -d "$d" ] || exit 0; '
    "v=${d##*/experimaestro-}; v=${v%.dist-info}; "
    "case $v in [01].*|2.[0-6]|2.[0-6][.abcr]*) ;; *) exit 0;; esac; done; "
    f'printf \'\\n{MARK} old %s %s\\n\' "$v" "$p"; exit 69'
)

_AT_ONCE = 200
"""Files that are searched by one process: as long a command line as every system takes."""

# A server that starts takes the pid files of jobs that SLURM holds, and marks these jobs as failed. So it is unsafe if
# the pid file or the status.json of a job without ".done" names another launcher than "local", or cannot be read; a
# file that is gone by then was of a job that has ended. POSIX sh, with the limits of the check above.
_UNSAFE = (
    'exec 2>/dev/null; d=$1; e=$2; case $d in /*|"") ;; *) d=./$d;; esac; '
    f'unsafe() {{ printf \'\\n{MARK} slurm %s\\n\' "$1"; exit "$e"; }}; '
    'see() { f=$(LC_ALL=C grep -l -E \'"type" *: *"([^l"]|l[^o"]|lo[^c"])\' -- "$@"); s=$?; '
    'if [ -n "$f" ]; then unsafe "$(printf \'%s\\n\' "$f" | head -n 1)"; fi; '
    'if [ "$s" -gt 1 ]; then for f in "$@"; do cat -- "$f" >/dev/null || { if [ -e "$f" ]; then unsafe "$f"; fi; }; '
    "done; fi; }; "
    'look() { for t in "$d"/jobs "$d"/jobs/*/; do [ -e "$t" ] || continue; '
    '[ -r "$t" ] && [ -x "$t" ] || unsafe "$t"; [ "$t" = "$d/jobs" ] && continue; '
    'x=${t%/}; x=${x##*/}; x=${x##*.}; for j in "$t"*/; do if [ -e "$j$x.done" ]; then continue; fi; '
    'for f in "$j$x.pid" "$j.experimaestro/status.json"; do if [ -e "$f" ]; then set -- "$@" "$f"; fi; done; '
    f'if [ "$#" -ge {_AT_ONCE} ]; then see "$@"; set --; fi; done; done; '
    'if [ "$#" -gt 0 ]; then see "$@"; fi; }; set --; look; exit 0'
)

_LOOKS = 50
"""Checks of the watch, each after a fifth of a second, between two of its marks."""

# While shell_init runs, it has no stdin of ours, and sshd ends nothing: a lost link would leave it running. So a watch
# writes a mark now and then, and if that fails ends the shell's process group, which sshd has made for it. The watch
# ends with the shell, or at SIGURG, which other processes ignore: that comes before the server's first output. Its
# parent goes on only after the trap is set.
_WATCH = (
    "s=$PPID; exec 3>&1; "
    'w=$({ trap "exit 0" URG; trap "" PIPE TERM; exec >&3 3>&- 2>/dev/null; n=0; '
    "while kill -0 $s; do n=$((n+1)); "
    f'if [ $n -ge {_LOOKS} ]; then n=0; printf "\\n{MARK} wait\\n" || '
    "{ kill -TERM -$s || kill -TERM $s; sleep 2; kill -KILL -$s || kill -KILL $s; exit; }; fi; "
    "sleep 0.2 || sleep 1; done; } & )"
)
_TILDE = re.compile(r"~[A-Za-z0-9_.-]*(?:/|\Z)")
_ERREXIT = re.compile(r"\bset\s[^\n;&|#]*(?:-[A-Za-z]*e|\berrexit)")
_UNLIKE = re.compile(r"[\\!]")
_HALF = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True)
class RemoteExperimaestro:
    """The way to run the remote experimaestro.

    Attributes:
        xpm_path: The executable, optionally with arguments before ours; None: ``uv tool run``.
        uv_offline: Whether uv uses its cache only, without the package index.
        python: The interpreter for uv.
        version: The exact version for uv; None: any supported one.
    """

    xpm_path: str | None = None
    uv_offline: bool = False
    python: str | None = None
    version: str | None = None

    @property
    def is_described(self) -> bool:
        """Whether settings or flags describe an experimaestro: by its path, its version, or that uv has it already."""
        return self.xpm_path is not None or self.uv_offline or self.version is not None


def quote_path(path: str) -> str:
    """Quote a word for the remote shell so that it arrives unchanged, except for a leading ``~`` or ``~user``.

    Raises:
        OptionError: It holds a character that cannot be in an argument, or cannot be sent.
    """
    tilde = _TILDE.match(path)
    if tilde is None:
        return quote_word(path)
    rest = path[tilde.end() :]
    return tilde.group() + (quote_word(rest) if rest else "")


def experimaestro_words(remote: RemoteExperimaestro) -> list[str]:
    """Return the words that start the remote experimaestro, each quoted for a shell.

    Raises:
        OptionError: ``xpm_path`` cannot be split into words, or one of them cannot be sent.
    """
    if remote.xpm_path is not None:
        return [quote_path(word) for word in _split(remote.xpm_path)]
    words = ["uv", "tool", "run"]
    if remote.uv_offline:
        words.append("--offline")
    if remote.python is not None:
        words += ["--python", quote_path(remote.python)]
    pinned = f"experimaestro=={remote.version}" if remote.version else SUPPORTED_EXPERIMAESTRO
    return [*words, quote_word(pinned)]


def monitor_command(remote: RemoteExperimaestro, workspace: str) -> str:
    """Return the command that serves a workspace on its stdin and stdout, without any preparation.

    Args:
        remote: The way to run experimaestro there.
        workspace: The directory of the workspace there; ``~`` is the remote home.
    """
    words = [*experimaestro_words(remote), "--quiet", "experiments"]
    return " ".join([*words, "--workdir", quote_path(workspace), "monitor-server"])


def remote_command(
    command: str, *, workspace: str, shell_init: str | None = None, check: str = ""
) -> str:
    """Return the whole command line for the remote shell.

    Args:
        command: The command to run in the end, for example from ``monitor_command``.
        workspace: The directory that must be a workspace.
        shell_init: Shell commands to run before, in the same shell; they do not see our stdin, and if the last of
            them fails nothing else is started.
        check: Another command that must succeed first, for example from ``age_check``; empty for none.
    """
    checked = " && ".join(filter(None, [check, workspace_check(workspace)]))
    prepare = init_command(shell_init)
    if not prepare:
        return f"printf '\\n{MARK} init\\n'; {checked} && {command}"
    watch = f"/bin/sh -c {shlex.quote(_WATCH)} </dev/null"
    return (
        f"printf '\\n{MARK} shell\\n'; {watch}; {prepare} printf '\\n{MARK} init\\n' && {checked}"
        # By eval, so that it may be an alias that shell_init has defined.
        f" && eval {quote_word(command)}"
    )


def init_command(shell_init: str | None) -> str:
    """Return the command that runs ``shell_init``, with the operator before the next one; empty if there is none."""
    if shell_init is None or not shell_init.strip():
        return ""
    # `&&` would disarm a `set -e` among the commands; with that, the shell ends by itself.
    then = ";" if _ERREXIT.search(shell_init) else " &&"
    return f"eval {quote_word(shell_init)} </dev/null{then}"


def workspace_check(workspace: str) -> str:
    """Return the command that prints a mark about a directory, and fails if it is no workspace."""
    check = ["/bin/sh", "-c", shlex.quote(_CHECK), "sh", quote_path(workspace), WORKSPACE_MARKER]
    return " ".join([*check, "</dev/null"])


def age_check(remote: RemoteExperimaestro) -> str:
    """Return the command that fails, after a mark, if the remote experimaestro is certainly older than 2.7.

    It is empty if there is nothing to check: uv installs a supported version.

    Raises:
        OptionError: ``xpm_path`` cannot be split into words, or one of them cannot be sent.
    """
    if remote.xpm_path is None:
        return ""
    words = experimaestro_words(remote)
    if len(words) > 1:
        return ""
    return f"/bin/sh -c {quote_word(_OUTDATED)} sh {words[0]} </dev/null"


def slurm_check(workspace: str, *, fails: bool = True) -> str:
    """Return the command that prints a mark if jobs of a workspace may run under SLURM; it changes nothing.

    Args:
        workspace: The directory of the workspace.
        fails: Whether it then fails.

    Raises:
        OptionError: The directory cannot be part of a command.
    """
    status = 69 if fails else 0
    return f"/bin/sh -c {quote_word(_UNSAFE)} sh {quote_path(workspace)} {status} </dev/null"


def quote_word(word: str) -> str:
    """Quote a word for any shell: within quotes, fish reads a backslash and csh an exclamation mark.

    Raises:
        OptionError: It holds a character that cannot be in an argument, or cannot be sent.
    """
    if "\0" in word or _HALF.search(word):
        raise OptionError(
            f"{word!r} holds a NUL or is not UTF-8", "it cannot be a part of a command"
        )
    return _UNLIKE.sub(r"'\\\g<0>'", shlex.quote(word))


def _split(xpm_path: str) -> list[str]:
    try:
        words = shlex.split(xpm_path)
    except ValueError as error:
        raise OptionError(f"xpm_path {xpm_path!r}: {error}", "check its quotes") from error
    if not words:
        raise OptionError(
            "xpm_path is empty", "set it to the path of experimaestro, or leave it out"
        )
    return words
