"""The values of options and config files for one host, from ``ssh -G``, as options without a config file. Pure."""

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
"""The most jump hosts in a row, more than any site has: a longer chain is a circle in a config file."""

ALGORITHMS = ("Ciphers", "HostKeyAlgorithms", "KexAlgorithms", "MACs")
"""Keywords whose values are lists of names, of which the library may lack some."""

_TOKEN = re.compile(r"%(.?)")
_REFERENCE = re.compile(r"\$\{(.*?)\}")
_BRACKETED = re.compile(r"\[([^\[\]:]*)\]")
_NAMED_VARIABLE = re.compile(r"\$(\w+)", re.ASCII)

# One word each, in a spelling that our check of the keyword accepts.
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
# Passed on only if they differ from the default.
_UNLESS_DEFAULT = ("ConnectTimeout", "LogLevel", "PKCS11Provider", "RekeyLimit")
_LISTS = ("SendEnv", "SetEnv")


class Abilities(NamedTuple):
    """The abilities of the SSH library on this machine.

    Attributes:
        algorithms: For each of ``ALGORITHMS``, the names that it supports.
        lacking: Keywords that it honours only with a package that is not installed.
    """

    algorithms: Mapping[str, frozenset[str]]
    lacking: frozenset[str]


@dataclass(frozen=True)
class HostReading:
    """The facts about a host's configuration.

    Attributes:
        dump: The answer of ``ssh -G`` to options and files together.
        defaults: Its answer without either.
        probed: Its answer with ``probe_text``; None if no file mentions the keywords in question.
        tokens: The values of ``TOKENS``; empty unless ``needs_tokens``.
        mentions: The lines of the config files.
        home: The home directory as ssh sees it: the account's, not ``$HOME``.
        local_user: The local user's name.
        uid: The local user's id.
        local_host: This machine's name.
        environ: The environment.
        algorithms: For each of ``ALGORITHMS``, the names that the library supports.
        lacking: Keywords that the library honours only with a package that is not installed.
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
        """Return whether a keyword's value differs from the default."""
        name = keyword.lower()
        return name in self.dump and self.dump[name] != self.defaults.get(name)


def is_decided(keyword: str, options: ConnectOptions, reading: HostReading) -> bool:
    """Return whether options or files set a keyword of ``ASKED_OF_OUR_DEFAULTS``."""
    if options.get(keyword) is not None or reading.dump[keyword.lower()][0] in ("yes", "true"):
        return True
    return reading.probed is not None and is_set(keyword, reading.probed)


def needs_tokens(dump: Dump) -> bool:
    """Return whether a value has a token that only ssh can expand."""
    values = (*dump.get("identityfile", ()), *dump.get("certificatefile", ()))
    return any(token in TOKENS for value in values for token in _TOKEN.findall(value))


def needs_probe(options: ConnectOptions, found: Sequence[Mention]) -> bool:
    """Return whether a file may set a keyword that ``ssh -G`` prints in the same way by default."""
    return any(
        options.get(name) is None and find_mentions(found, name) for name in ASKED_OF_OUR_DEFAULTS
    )


def is_read_twice(dump: Dump, found: Sequence[Mention]) -> bool:
    """Return whether ssh reads the files twice, the second time with the final name of the host."""
    is_canonical = dump.get("canonicalizehostname", ("no",))[0] not in ("no", "false")
    matches = (each.words for each in find_mentions(found, "Match"))
    return is_canonical or any("final" in word.lower() for words in matches for word in words)


def effective_options(options: ConnectOptions, reading: HostReading) -> ConnectOptions:
    """Return the configuration of a host as options alone.

    Args:
        options: The options as given.
        reading: The configuration that ssh has read.

    Returns:
        The same host with every keyword that we or the library honour, values in the form of the library's parser
        (``%`` doubled where it expands tokens). Our own defaults are not included.

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
    """Converts a reading into keywords."""

    def __init__(self, options: ConnectOptions, reading: HostReading) -> None:
        self._options = options
        self._reading = reading
        self._dump = reading.dump

    def keywords(self) -> Iterator[tuple[str, str]]:
        """Yield the keywords and their values."""
        yield "Hostname", _doubled(self._dump["hostname"][0])
        yield from self._way()
        yield from self._plain()
        for name in ASKED_OF_OUR_DEFAULTS:
            if is_decided(name, self._options, self._reading):
                yield name, _canonical(name, self._dump[name.lower()][0])
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
        changed = (name for name in _UNLESS_DEFAULT if self._reading.is_changed(name))
        for name in (*_PLAIN, *changed):
            value = self._dump.get(name.lower())
            if value is not None and name not in self._reading.lacking:
                yield name, _canonical(name, value[0])
        # The values other than no and yes require extensions that the library lacks.
        is_off = self._dump["pubkeyauthentication"][0] in ("no", "false")
        yield "PubkeyAuthentication", "no" if is_off else "yes"
        for name in _LISTS:
            if name.lower() in self._dump:
                yield name, shlex.join(self._dump[name.lower()])

    def _files(self) -> Iterator[tuple[str, str]]:
        if self._reading.is_changed("IdentityFile"):
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
        """Yield what ssh would offer, as far as the library has it, whose own defaults are weaker."""
        old_name = self._dump.get("pubkeyacceptedkeytypes", ())
        accepted = self._dump.get("pubkeyacceptedalgorithms", old_name)
        yield from (("PubkeyAcceptedAlgorithms", each) for each in accepted)
        for name in ALGORITHMS:
            if name.lower() not in self._dump:
                continue
            known = self._reading.algorithms.get(name, frozenset())
            asked = self._dump[name.lower()][0].split(",")
            usable = [each for each in asked if each in known]
            if not usable:
                what = f"none of the {name} {','.join(asked)} of {self._options.host} is known"
                advice = "name others, or use --ssh-engine openssh"
                raise OptionError(f"{what} to the SSH library", advice)
            yield name, ",".join([*self._of_gssapi(name), *usable])

    def _of_gssapi(self, keyword: str) -> list[str]:
        """Return the key exchanges by GSSAPI, which ssh does not list, if they are asked for."""
        is_asked = self._dump.get("gssapikeyexchange", ("no",))[0] in ("yes", "true")
        if (
            keyword != "KexAlgorithms"
            or not is_asked
            or "GSSAPIKeyExchange" in self._reading.lacking
        ):
            return []
        known = self._reading.algorithms.get(keyword, frozenset())
        return sorted(each for each in known if each.startswith("gss-") and "sha1" not in each)

    def _known_hosts(self, name: str, expanded: Callable[[str], str]) -> str:
        """Return the files of a list, which ssh writes with blanks between them and without quotes."""
        text = self._dump.get(name.lower(), ("none",))[0]
        said = [unquote(value) for value in self._options.get_all(name)]
        said += [list(each.words) for each in find_mentions(self._reading.mentions, name)]
        for words in said:
            # ssh writes the system's as they are in the file, the user's with their tokens expanded.
            if text in (" ".join(words), " ".join(map(self._shown, words))):
                return _file_list([expanded(word) for word in words])
        return _file_list([self._at_home(word) for word in text.split()])

    def _shown(self, word: str) -> str:
        try:
            return self._expanded(word)
        except OptionError:
            return word  # a line for another host

    def _expanded(self, path: str) -> str:
        """Expand a file name as ssh does."""
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
        """Return the value of a variable for ``$NAME``, empty if it is not set; return any other text unchanged."""
        found = _NAMED_VARIABLE.fullmatch(value)
        return value if found is None else self._reading.environ.get(found[1], "")


def jumps_of(dump: Dump) -> Sequence[Destination]:
    """Return the jump hosts of a host in the order in which they are visited."""
    if dump.get("proxycommand"):
        return []
    return parse_jumps(_BRACKETED.sub(r"\1", dump.get("proxyjump", ("none",))[0]))


def next_hop(jumps: Sequence[Destination], options: ConnectOptions) -> ConnectOptions | None:
    """Return the options with which ssh reaches the last of some jump hosts; None if there are none.

    Args:
        jumps: The jump hosts. The first one's own configuration decides what comes before it.
        options: The target's options, of which jump hosts share only the config file.
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
        return "QUIET"  # the older name of the same level
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
