"""The settings of config files that the library does not honour: they are reported, never ignored silently. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.options.keywords import (
    BY_NAME,
    FORWARDS,
    NEEDS_GSSAPI,
    NEEDS_OPENSSH,
    OF_FILES,
    Honoured,
    Keyword,
    Reason,
)
from xpm_remote.link.options.values import Takes
from xpm_remote.link.ssh_config.effective import ALGORITHMS, HostReading
from xpm_remote.link.ssh_config.text import Dump, Mention, find_mentions

_OFF = ("no", "false")
_LACKING = (
    Reason("the package python-pkcs11 is not installed here"),
    Reason("the package gssapi is not installed here"),
)
# Nothing is lost without them: we open a connection of our own, and auto looks for a ControlMaster that is alive.
_NOT_MISSED = frozenset({"ControlMaster", "ControlPath", "ControlPersist"})
# Settings for interactive sessions do not apply to a monitor, whichever engine connects.
_NOT_FOR_US = FORWARDS | {"ForwardX11", "Tunnel"}
# Distributions set other keywords for all users.
_HEEDED_IN_SYSTEM_FILES = frozenset(
    {"BindInterface", "KnownHostsCommand", "ProxyUseFdpass", "RevokedHostKeys"}
)


class UnsupportedSetting(NamedTuple):
    """A keyword that a config file sets for a host, and that the library does not honour.

    Attributes:
        keyword: In the spelling of ssh_config(5).
        value: The value as written there.
        place: ``file:line``.
        reason: Why it is not honoured.
        is_needed: Whether the host may be unreachable, or not be trusted, without it.
        is_openssh_able: Whether the program ``ssh`` honours it.
    """

    keyword: str
    value: str
    place: str
    reason: str
    is_needed: bool
    is_openssh_able: bool

    def __str__(self) -> str:
        advice = "; --ssh-engine openssh honours it" if self.is_openssh_able else ""
        return f"{self.keyword} {self.value} ({self.place}) is not honoured: {self.reason}{advice}"


def find_unsupported(
    options: ConnectOptions,
    dump: Dump,
    defaults: Dump,
    mentions: Sequence[Mention],
    lacking: frozenset[str] = frozenset(),
) -> list[UnsupportedSetting]:
    """Return the settings of config files that apply to a host and cannot be honoured.

    Args:
        options: The options, which have been checked already.
        dump: The values for the host.
        defaults: The values without options and files.
        mentions: The lines of the config files.
        lacking: Keywords that the library honours only with a package that is not installed.
    """
    changed = (name for name, values in dump.items() if values != defaults.get(name))
    keywords = (BY_NAME[name] for name in changed if name in BY_NAME)
    return [
        found
        for keyword in keywords
        if options.get(keyword.name) is None and keyword.name not in _NOT_MISSED
        for found in _unsupported(keyword, dump[keyword.name.lower()], mentions, lacking)
    ]


def _unsupported(
    keyword: Keyword, values: tuple[str, ...], mentions: Sequence[Mention], lacking: frozenset[str]
) -> Iterator[UnsupportedSetting]:
    is_lacking = keyword.name in lacking and values[0].lower() not in _OFF
    if not is_lacking and all(_is_honoured(keyword, value) for value in values):
        return
    found = _heeded(keyword, values[0], mentions)
    if found is None:
        return
    reason = _LACKING[keyword.name in NEEDS_GSSAPI] if is_lacking else keyword.reason
    yield UnsupportedSetting(
        keyword.name,
        " ".join(found.words),  # as written: lists of algorithms are long in the form of ssh -G
        found.place,
        reason.why,
        is_lacking or keyword.name in NEEDS_OPENSSH,
        not reason.is_ours and keyword.name not in _NOT_FOR_US,
    )


def unknown_algorithms(options: ConnectOptions, reading: HostReading) -> list[UnsupportedSetting]:
    """Return the lists of algorithms, of options or config files, none of which the library supports."""
    found = []
    for name in ALGORITHMS:
        asked = reading.dump.get(name.lower(), ("",))[0]
        known = reading.algorithms.get(name, frozenset())
        if not reading.is_changed(name) or not known.isdisjoint(asked.split(",")):
            continue
        lines = find_mentions(reading.mentions, name) if options.get(name) is None else []
        place = lines[0].place if lines else "an option"
        why = "the SSH library (asyncssh) knows none of them"
        found.append(UnsupportedSetting(name, asked, place, why, True, True))
    return found


def _is_honoured(keyword: Keyword, value: str) -> bool:
    if keyword.honoured in (Honoured.BY_LIBRARY, Honoured.BY_US):
        return True
    if keyword.honoured is Honoured.NEVER:
        return keyword.name in OF_FILES
    canonical = _canonical(keyword, value)
    return canonical is not None and keyword.accepts(canonical)


def _canonical(keyword: Keyword, value: str) -> str | None:
    words = [value] if keyword.value.takes is not Takes.MANY else value.split()
    try:
        return keyword.value.canonical(words)
    except ValueError:
        return None


def _heeded(keyword: Keyword, value: str, mentions: Sequence[Mention]) -> Mention | None:
    """Return the line that sets a keyword, or else the first that may; None if only system files set it."""
    found = [
        each
        for each in find_mentions(mentions, keyword.name)
        if each.is_own or keyword.name in _HEEDED_IN_SYSTEM_FILES
    ]
    meant = _canonical(keyword, value)
    exact = [each for each in found if _canonical(keyword, " ".join(each.words)) == meant]
    others = [each for each in found if not _is_honoured(keyword, " ".join(each.words))]
    return next(iter(exact or others), None)
