"""What ``ssh -G`` is asked and answers, and the lines of config files, with their quotes and their places. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from xpm_remote.link.options.connect_options import ConnectOptions, escaped, given_arguments
from xpm_remote.link.options.keywords import (
    BY_NAME,
    NEEDS_GSSAPI,
    OURS,
    READ_BY_LIBRARY,
    find_keyword,
)

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


_LINE = re.compile(r"\s*\"?([A-Za-z0-9]+)\"?(?:\s*=\s*|\s+)(.*\S)\s*")
# Of ssh's quotes: both kinds, and a backslash before a quote, a backslash, or outside of quotes a blank.
_WORD = re.compile(r"""(?:"(?:\\["'\\]|[^"])*"?|'(?:\\["'\\]|[^'])*'?|\\["'\\ ]|[^\s"'])+""")
_PART = re.compile(
    r"""\\(["'\\ ])|"((?:\\["'\\]|[^"])*)"?|'((?:\\["'\\]|[^'])*)'?|([^"'])""", re.DOTALL
)
_ESCAPED = re.compile(r"""\\(["'\\])""")


class Mention(NamedTuple):
    """A keyword in a config file.

    Attributes:
        keyword: In the spelling of ssh_config(5), or as written when it is none of ours.
        words: Its value, without quotes.
        place: ``file:line``.
        is_own: Whether the file is the person's, or read by the person's, not the system's.
    """

    keyword: str
    words: tuple[str, ...]
    place: str
    is_own: bool


def mentions(text: str, file: str, *, is_own: bool) -> Iterator[Mention]:
    """Give the keywords of a file, those for other hosts included."""
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is not None:
            keyword = find_keyword(found[1])
            name = found[1] if keyword is None else keyword.name
            yield Mention(name, tuple(config_words(found[2])), f"{file}:{number}", is_own)


def find_mentions(found: Iterable[Mention], keyword: str) -> list[Mention]:
    """Give those of one keyword."""
    return [each for each in found if each.keyword.lower() == keyword.lower()]


def config_words(value: str) -> list[str]:
    """Split a value as ssh does; a comment ends it."""
    words = []
    for found in _WORD.finditer(value):
        if found[0].startswith("#"):
            break
        words.append("".join(_part(each) for each in _PART.finditer(found[0])))
    return words


def _part(found: re.Match[str]) -> str:
    escaped, double, single, plain = found.groups()
    quoted = double if double is not None else single
    if quoted is not None:
        return _ESCAPED.sub(r"\1", quoted)
    return escaped or plain


@dataclass(frozen=True)
class SshConfig:
    """What ``ssh -G`` says of a host: options, config files and defaults together.

    Attributes:
        values: By the keyword in lower case; each of its lines is a value.
        is_keepalive_set: Whether anybody says ``ServerAliveInterval``, be it zero, which is also what nobody says.
    """

    values: Dump = field(default_factory=dict)
    is_keepalive_set: bool = False

    def get(self, keyword: str) -> str | None:
        """Return the first value of a keyword; None if there is none."""
        return next(iter(self.get_all(keyword)), None)

    def get_all(self, keyword: str) -> tuple[str, ...]:
        """Return all values of a keyword."""
        return self.values.get(keyword.lower(), ())

    @property
    def has_control_path(self) -> bool:
        """Whether a connection may be shared."""
        return self.get("ControlPath") not in (None, "none")

    @property
    def where(self) -> str:
        """The host and its port, for messages."""
        return f"{self.get('Hostname')} port {self.get('Port')}"

    @property
    def host_key_name(self) -> str:
        """The host as known_hosts names it."""
        alias, host, port = (self.get(name) for name in ("HostKeyAlias", "Hostname", "Port"))
        return alias or (f"{host}" if port == "22" else f"[{host}]:{port}")
