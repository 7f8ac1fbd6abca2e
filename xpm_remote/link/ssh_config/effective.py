"""What options and config files come to for one host, by ``ssh -G``, as options that need no config file. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from xpm_remote.errors import OptionError
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.options.destination import Destination, parse_jumps
from xpm_remote.link.options.keywords import BY_NAME
from xpm_remote.link.options.words import unquote
from xpm_remote.link.ssh_config.text import (
    ASKED_OF_OUR_DEFAULTS,
    TOKENS,
    Dump,
    Mention,
    find_mentions,
    is_set,
)

MAX_JUMPS = 8
"""Jump hosts in a row: more than any site has, so what exceeds it is a circle in a config file."""

ALGORITHMS = ("Ciphers", "HostKeyAlgorithms", "KexAlgorithms", "MACs")
"""Keywords whose values are lists of names that the library may not know."""

_TOKEN = re.compile(r"%(.?)")
_REFERENCE = re.compile(r"\$\{(.*?)\}")
_BRACKETED = re.compile(r"\[([^\[\]:]*)\]")
_NAMED_VARIABLE = re.compile(r"\$(\w+)", re.ASCII)

# One word each, in a spelling that our own check of the keyword understands.
_PLAIN = (
    "AddressFamily",
    "BatchMode",
    "BindAddress",
    "ConnectionAttempts",
    "EnableSSHKeysign",
    "GSSAPIAuthentication",
    "GSSAPIDelegateCredentials",
    "GSSAPIKeyExchange",
    "HashKnownHosts",
    "HostKeyAlias",
    "HostbasedAuthentication",
    "IdentitiesOnly",
    "KbdInteractiveAuthentication",
    "NumberOfPasswordPrompts",
    "PasswordAuthentication",
    "PreferredAuthentications",
    "ServerAliveCountMax",
    "StrictHostKeyChecking",
    "TCPKeepAlive",
)
# Given on only where somebody has set them.
_UNLESS_DEFAULT = ("ConnectTimeout", "LogLevel", "PKCS11Provider", "RekeyLimit")
_LISTS = ("SendEnv", "SetEnv")


class Abilities(NamedTuple):
    """What the SSH library can do on this machine.

    Attributes:
        algorithms: For each of ``ALGORITHMS``, the names that it knows.
        lacking: Keywords that it could honour but for a package that is not installed.
    """

    algorithms: Mapping[str, frozenset[str]]
    lacking: frozenset[str]


@dataclass(frozen=True)
class HostReading:
    """All that is known of a host's configuration.

    Attributes:
        dump: What ``ssh -G`` says, options and files taken together.
        defaults: What it says without either.
        probed: What it says to ``probe_text``; None when no file mentions what that is about.
        tokens: What ``TOKENS`` stand for; empty unless ``needs_tokens``.
        mentions: The lines of the config files.
        home: The person's home directory, as ssh sees it: not ``$HOME``.
        local_user: Who runs us.
        uid: Their number.
        local_host: This machine's name.
        environ: The environment.
        algorithms: For each of ``ALGORITHMS``, the names that the library knows.
        lacking: Keywords that the library could honour but for a package that is not installed.
    """

    dump: Dump
    defaults: Dump
    probed: Dump | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)
    mentions: Sequence[Mention] = ()
    home: str = "/"
    local_user: str = ""
    uid: int = 0
    local_host: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    algorithms: Mapping[str, frozenset[str]] = field(default_factory=dict)
    lacking: frozenset[str] = frozenset()

    def is_changed(self, keyword: str) -> bool:
        """Tell whether a keyword has another value than if nothing were set."""
        name = keyword.lower()
        return name in self.dump and self.dump[name] != self.defaults.get(name)


def is_decided(keyword: str, options: ConnectOptions, reading: HostReading) -> bool:
    """Tell whether options or files say one of ``ASKED_OF_OUR_DEFAULTS``."""
    if options.get(keyword) is not None or reading.dump[keyword.lower()][0] in ("yes", "true"):
        return True
    return reading.probed is not None and is_set(keyword, reading.probed)


def needs_tokens(dump: Dump) -> bool:
    """Tell whether a value has a token that only ssh can expand."""
    values = (*dump.get("identityfile", ()), *dump.get("certificatefile", ()))
    return any(token in TOKENS for value in values for token in _TOKEN.findall(value))


def needs_probe(options: ConnectOptions, found: Sequence[Mention]) -> bool:
    """Tell whether a file may set what ``ssh -G`` cannot tell from its defaults."""
    return any(
        options.get(name) is None and find_mentions(found, name) for name in ASKED_OF_OUR_DEFAULTS
    )


def is_read_twice(dump: Dump, found: Sequence[Mention]) -> bool:
    """Tell whether ssh reads the files once more, with what it has found out about the host's name."""
    is_canonical = dump.get("canonicalizehostname", ("no",))[0] not in ("no", "false")
    matches = (each.words for each in find_mentions(found, "Match"))
    return is_canonical or any("final" in word.lower() for words in matches for word in words)


def effective_options(options: ConnectOptions, reading: HostReading) -> ConnectOptions:
    """Say all that is set for a host by options alone.

    Args:
        options: As they were given.
        reading: What ssh makes of them and of the config files.

    Returns:
        The same host; every keyword that we or the library honour, values as the library's parser wants them
        (``%`` doubled where it expands tokens). Our own defaults are left out, to be added.

    Raises:
        OptionError: A value cannot be used.
    """
    dump = reading.dump
    return ConnectOptions(
        host=options.host,
        user=dump["user"][0],
        port=int(dump["port"][0]),
        config_file="none",
        keywords=tuple(_Effective(options, reading).keywords()),
    )


class _Effective:
    """Turns a reading into keywords."""

    def __init__(self, options: ConnectOptions, reading: HostReading) -> None:
        self._options = options
        self._reading = reading
        self._dump = reading.dump

    def keywords(self) -> Iterator[tuple[str, str]]:
        """Give the keywords and their values."""
        yield "Hostname", _doubled(self._dump["hostname"][0])
        yield from self._way()
        yield from self._plain()
        yield from self._own_defaults()
        yield from self._files()
        yield from self._agents()
        yield from self._algorithms()

    def _way(self) -> Iterator[tuple[str, str]]:
        command = self._dump.get("proxycommand")
        yield "ProxyJump", ",".join(map(str, jumps_of(self._dump))) or "none"
        if command:
            tokens = {token: self._token(token) for token in "hnpr"} | {"%": "%"}
            filled = _TOKEN.sub(lambda found: tokens.get(found[1], found[0]), command[0])
            yield "ProxyCommand", _doubled(filled)

    def _plain(self) -> Iterator[tuple[str, str]]:
        changed = (name for name in _UNLESS_DEFAULT if self._is_changed(name))
        for name in (*_PLAIN, *changed):
            value = self._dump.get(name.lower())
            if value is not None and name not in self._reading.lacking:
                yield name, _canonical(name, value[0])
        # What remains besides no asks for extensions that the library does not know.
        is_off = self._dump["pubkeyauthentication"][0] in ("no", "false")
        yield "PubkeyAuthentication", "no" if is_off else "yes"
        for name in _LISTS:
            if name.lower() in self._dump:
                yield name, shlex.join(self._dump[name.lower()])

    def _own_defaults(self) -> Iterator[tuple[str, str]]:
        for name in ASKED_OF_OUR_DEFAULTS:
            if is_decided(name, self._options, self._reading):
                yield name, _canonical(name, self._dump[name.lower()][0])

    def _files(self) -> Iterator[tuple[str, str]]:
        if self._is_changed("IdentityFile"):
            named = [each for each in self._dump["identityfile"] if each.lower() != "none"]
            for path in named or ["none"]:
                yield "IdentityFile", _doubled(self._expanded(path))
        for path in self._dump.get("certificatefile", ()):
            if path.lower() != "none":
                yield "CertificateFile", _doubled(self._expanded(path))
        yield "UserKnownHostsFile", self._known_hosts("UserKnownHostsFile", self._expanded)
        yield "GlobalKnownHostsFile", self._known_hosts("GlobalKnownHostsFile", self._at_home)

    def _agents(self) -> Iterator[tuple[str, str]]:
        agent = self._dump.get("identityagent")
        if agent is not None:
            variable = agent[0] if agent[0] != "SSH_AUTH_SOCK" else f"${agent[0]}"
            yield "IdentityAgent", _doubled(self._variable(variable) or "none")
        forwarded = self._dump.get("forwardagent", ("no",))[0]
        flag = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}.get(forwarded)
        yield "ForwardAgent", flag or _doubled(self._variable(forwarded)) or "no"

    def _algorithms(self) -> Iterator[tuple[str, str]]:
        for name in ALGORITHMS:
            if not self._is_changed(name):
                continue
            known = self._reading.algorithms.get(name, frozenset())
            asked = self._dump[name.lower()][0].split(",")
            usable = [each for each in asked if each in known]
            if not usable:
                what = f"none of the {name} {','.join(asked)} of {self._options.host} is known"
                advice = "name others, or use --ssh-engine openssh"
                raise OptionError(f"{what} to the SSH library", advice)
            yield name, ",".join(usable)

    def _is_changed(self, keyword: str) -> bool:
        return self._reading.is_changed(keyword)

    def _known_hosts(self, name: str, expanded: Callable[[str], str]) -> str:
        """Give the files, which ssh writes with blanks between them and without quotes."""
        text = self._dump.get(name.lower(), ("none",))[0]
        said = [unquote(value) for value in self._options.get_all(name)]
        said += [list(each.words) for each in find_mentions(self._reading.mentions, name)]
        for words in said:
            # The system's are shown as they are written, the person's own with their tokens expanded.
            if text in (" ".join(words), " ".join(map(self._shown, words))):
                return _file_list([expanded(word) for word in words])
        return _file_list([self._at_home(word) for word in text.split()])

    def _shown(self, word: str) -> str:
        try:
            return self._expanded(word)
        except OptionError:
            return word  # a line for another host

    def _expanded(self, path: str) -> str:
        """Expand what ssh expands in the name of a file."""
        text = _TOKEN.sub(lambda found: self._token(found[1]), self._at_home(path))
        return _REFERENCE.sub(self._referenced, text)

    def _at_home(self, path: str) -> str:
        return self._reading.home + path[1:] if path == "~" or path.startswith("~/") else path

    def _token(self, token: str) -> str:
        dump, reading = self._dump, self._reading
        host = dump["hostname"][0]
        values = {
            "%": "%",
            "L": reading.local_host.partition(".")[0],
            "d": reading.home,
            "h": host,
            "i": str(reading.uid),
            "k": dump.get("hostkeyalias", (self._options.host,))[0],
            "l": reading.local_host,
            "n": self._options.host,
            "p": dump["port"][0],
            "r": dump["user"][0],
            "u": reading.local_user,
            **reading.tokens,
        }
        if token not in values:
            raise OptionError(
                f"the SSH configuration of {self._options.host} has the unknown token %{token}",
                "see TOKENS in man ssh_config",
            )
        return values[token]

    def _referenced(self, found: re.Match[str]) -> str:
        value = self._reading.environ.get(found[1])
        if value is None:
            raise OptionError(
                f"the SSH configuration of {self._options.host} refers to {found[0]}, which is not set",
                "set it in the environment",
            )
        return value

    def _variable(self, value: str) -> str:
        """Give what a value of the form ``$NAME`` stands for; empty when that is not set."""
        found = _NAMED_VARIABLE.fullmatch(value)
        return value if found is None else self._reading.environ.get(found[1], "")


def jumps_of(dump: Dump) -> Sequence[Destination]:
    """Give the jump hosts on the way to a host, the one next to it last."""
    if dump.get("proxycommand"):
        return []
    return parse_jumps(_BRACKETED.sub(r"\1", dump.get("proxyjump", ("none",))[0]))


def next_hop(jumps: Sequence[Destination], options: ConnectOptions) -> ConnectOptions | None:
    """Give the options with which ssh reaches the last of some jump hosts; None where there are none.

    Args:
        jumps: Those hosts. What comes before the first is left to its own configuration.
        options: Those of the target, which are not those of the hosts on the way, but for the config file.
    """
    if not jumps:
        return None
    before = ",".join(map(str, jumps[:-1]))
    return ConnectOptions(
        host=jumps[-1].host,
        user=jumps[-1].user,
        port=jumps[-1].port,
        config_file=options.config_file,
        keywords=(("ProxyJump", before),) if before else (),
    )


def _canonical(name: str, value: str) -> str:
    keyword = BY_NAME[name.lower()]
    if value == "SILENT":
        return "QUIET"  # one level, of which ssh tells the older name
    if name == "ServerAliveCountMax":
        return str(max(1, int(value)))  # the library cannot count to zero
    try:
        return keyword.value.canonical(value.split() if name == "RekeyLimit" else [value])
    except ValueError as error:
        raise OptionError(f"{name} in the SSH configuration: {error}") from error


def _file_list(words: list[str]) -> str:
    # An empty list makes the library trust every host; an empty file makes it trust none, as 'none' should.
    return shlex.join(words) if words and words != ["none"] else "/dev/null"


def _doubled(text: str) -> str:
    return text.replace("%", "%%")
