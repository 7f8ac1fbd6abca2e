"""The questions to ``ssh -G`` and its answers, and the lines of config files with their places. Pure."""

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
"""Keywords in lower case and their values, as written by ``ssh -G``, in order; with its defaults."""

ASKED_OF_OUR_DEFAULTS = ("ServerAliveInterval", "Compression")
"""Keywords with a default of ours for which ``ssh -G`` prints a file's value and its own default alike."""

TOKENS = ("C", "j")
"""Tokens that only ssh can expand: their meaning differs from version to version."""

# 'yes' and an improbable number: each differs from the default of ssh.
_PROBES = "ServerAliveInterval 86399\nCompression yes\n"
_UNTOUCHED = {"serveraliveinterval": "86399", "compression": "yes"}
# Not every ssh is built with GSSAPI, and the other keywords do not depend on it.
_ASKED = frozenset(name.lower() for name in (READ_BY_LIBRARY | OURS) - NEEDS_GSSAPI)
_SEPARATOR = "|"


def parse_dump(text: str) -> Dump:
    """Read the output of ``ssh -G``."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        found[name.lower()] = (*found.get(name.lower(), ()), value)
    return found


def dump_arguments(
    options: ConnectOptions, extra: Iterable[str] = (), *, is_whole: bool = False
) -> list[str]:
    """Return the arguments with which ssh prints its configuration of a host.

    Args:
        options: The host and the options of the connection; ``config_file`` without a tilde.
        extra: Further arguments, which take precedence over the options.
        is_whole: Whether to pass all options; else those that the other engine honours.
    """
    names = BY_NAME if is_whole else _ASKED
    return ["-G", *extra, *given_arguments(options, names), "--", options.host]


def token_arguments() -> list[str]:
    """Return the arguments with which ``ssh -G`` expands ``TOKENS``, or as many as it knows."""
    return ["-o", f"ControlPath=/{_SEPARATOR}%C{_SEPARATOR}"]


def read_tokens(dump: Dump) -> Mapping[str, str]:
    """Read the answer to ``token_arguments``."""
    _, value, _ = dump["controlpath"][0].split(_SEPARATOR)
    jump = dump.get("proxyjump", ("",))[0].rpartition(",")[2].rpartition("@")[2]
    host = jump[1:].partition("]")[0] if jump.startswith("[") else jump.partition(":")[0]
    return {"C": value, "j": host}


def probe_text(files: Iterable[str], *, is_read_twice: bool) -> str:
    """Return a config file that includes the given ones, and then sets ``ASKED_OF_OUR_DEFAULTS`` to marked values.

    Args:
        files: Absolute paths.
        is_read_twice: Whether ssh reads the files once more in the end, as for ``Match final``: the values that it
            finds then must precede ours.
    """
    paths = (escaped(re.sub(r"([*?[])", r"\\\1", file)) for file in files)
    included = "".join(f'Include "{path}"\n' for path in paths)
    return f"{included}{'Match final' if is_read_twice else 'Host *'}\n{_PROBES}"


def is_set(keyword: str, probed: Dump) -> bool:
    """Return, by the answer to ``probe_text``, whether a file sets a keyword of ``ASKED_OF_OUR_DEFAULTS``.

    For Compression the answer is right only if the first answer of ssh was no.
    """
    name = keyword.lower()
    return probed.get(name) != (_UNTOUCHED[name],)


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
        keyword: In the spelling of ssh_config(5), or as written if it is unknown.
        words: The value, without quotes.
        place: ``file:line``.
        is_own: Whether the file is the user's, or included by it, and not the system's.
    """

    keyword: str
    words: tuple[str, ...]
    place: str
    is_own: bool


def mentions(text: str, file: str, *, is_own: bool) -> Iterator[Mention]:
    """Yield the keywords of a file, those for other hosts included."""
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is not None:
            keyword = find_keyword(found[1])
            name = found[1] if keyword is None else keyword.name
            yield Mention(name, tuple(config_words(found[2])), f"{file}:{number}", is_own)


def find_mentions(found: Iterable[Mention], keyword: str) -> list[Mention]:
    """Return the mentions of one keyword."""
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
    """The answer of ``ssh -G`` for a host: options, config files and defaults together.

    Attributes:
        values: The values of each keyword in lower case.
        is_keepalive_set: Whether options or files set ``ServerAliveInterval``, even if to its default of zero.
        is_compression_set: Whether they set ``Compression``, even if to its default of no.
    """

    values: Dump = field(default_factory=dict)
    is_keepalive_set: bool = False
    is_compression_set: bool = False

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
    def jumps(self) -> tuple[str, ...]:
        """The jump hosts, in the order in which they are visited."""
        return tuple(
            each for each in (self.get("ProxyJump") or "").split(",") if each not in ("", "none")
        )

    @property
    def known_hosts_files(self) -> list[str]:
        """The known_hosts files, the user's and the system's."""
        found = []
        for keyword in ("UserKnownHostsFile", "GlobalKnownHostsFile"):
            found += (self.get(keyword) or "none").split()
        return [name for name in found if name != "none"]

    @property
    def host_key_name(self) -> str:
        """The host as named in known_hosts."""
        alias, host, port = (self.get(name) for name in ("HostKeyAlias", "Hostname", "Port"))
        return alias or (f"{host}" if port == "22" else f"[{host}]:{port}")
