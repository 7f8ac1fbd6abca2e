"""What ``ssh -G`` is asked, and what it answers: the configuration of one host, as OpenSSH reads it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xpm_remote.link.options.arguments import escaped, given_arguments
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.options.keywords import BY_NAME, NEEDS_GSSAPI, OURS, READ_BY_LIBRARY

Dump = Mapping[str, tuple[str, ...]]
"""Keywords in lower case and their values, as written by ``ssh -G``, in order; its defaults are among them."""

ASKED_OF_OUR_DEFAULTS = ("ServerAliveInterval", "Compression")
"""Keywords for which ``ssh -G`` prints the same whether a file says so or nobody does, where we do something else."""

TOKENS = ("C", "j")
"""Tokens that only ssh can expand: what they stand for differs from one version to another."""

# 'yes' and a number that nobody writes: each differs from the default of ssh.
_PROBES = "ServerAliveInterval 86399\nCompression yes\n"
_UNTOUCHED = {"serveraliveinterval": "86399", "compression": "yes"}
# Not every ssh is built with GSSAPI, and what the others say of the host does not depend on it.
_ASKED = frozenset(name.lower() for name in (READ_BY_LIBRARY | OURS) - NEEDS_GSSAPI)
_SEPARATOR = "|"


def parse_dump(text: str) -> Dump:
    """Read what ``ssh -G`` has printed."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        found[name.lower()] = (*found.get(name.lower(), ()), value)
    return found


def dump_arguments(
    options: ConnectOptions, extra: Iterable[str] = (), *, is_whole: bool = False
) -> list[str]:
    """Give the arguments with which ssh says what it makes of options and config files.

    Args:
        options: Where to connect to, and how; ``config_file`` without a tilde.
        extra: Further arguments, which count before the options.
        is_whole: Whether all options count; else those that the other engine honours by what ssh says of them.
    """
    names = BY_NAME if is_whole else _ASKED
    return ["-G", *extra, *given_arguments(options, names), "--", options.host]


def token_arguments() -> list[str]:
    """Give the arguments that have ``ssh -G`` expand ``TOKENS``, or as many as it knows."""
    return ["-o", f"ControlPath=/{_SEPARATOR}%C{_SEPARATOR}"]


def read_tokens(dump: Dump) -> Mapping[str, str]:
    """Read what ``token_arguments`` has asked for."""
    _, value, _ = dump["controlpath"][0].split(_SEPARATOR)
    return {"C": value, "j": _last_jump(dump)}


def probe_text(files: Iterable[str], *, is_read_twice: bool) -> str:
    """Write a config file that reads the given ones, and then values of ``ASKED_OF_OUR_DEFAULTS`` of its own.

    Args:
        files: Paths from the root on.
        is_read_twice: Whether ssh reads them once more in the end, as ``Match final`` makes it: what it finds then
            must count before our values.
    """
    included = "".join(f'Include "{_glob_escaped(file)}"\n' for file in files)
    return f"{included}{'Match final' if is_read_twice else 'Host *'}\n{_PROBES}"


def is_set(keyword: str, probed: Dump) -> bool:
    """Tell by the answer to ``probe_text`` whether anybody sets a keyword of ``ASKED_OF_OUR_DEFAULTS``.

    Compression is told apart only where ssh itself says no.
    """
    name = keyword.lower()
    return probed.get(name) != (_UNTOUCHED[name],)


def _glob_escaped(path: str) -> str:
    for special in "*?[":
        path = path.replace(special, f"\\{special}")
    return escaped(path)


def _last_jump(dump: Dump) -> str:
    jump = dump.get("proxyjump", ("",))[0].rpartition(",")[2].rpartition("@")[2]
    return jump[1:].partition("]")[0] if jump.startswith("[") else jump.partition(":")[0]
