"""Single values: a node to a value of the settings, or a problem. Pure."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from enum import Enum

import yaml

from xpm_remote.escaping import cleaned, quoted
from xpm_remote.settings.document import short_tag
from xpm_remote.settings.keys import Kind
from xpm_remote.settings.reading import Reading, is_null
from xpm_remote.settings.schema import Backend, Off, SshEngine
from xpm_remote.workspace.layout import FolderMode

_TEXT_TAGS = frozenset(["str", "merge", "value"])  # the last two: a lone << or =
_LARGEST_PORT = 65535

_CONTROL = re.compile("[\0-\x1f\x7f]")
_OCTAL_MODE = re.compile("(?:0o?)?[0-7]{3}")
# ``user:password@host``, as in URLs. A gateway's ``account@target:login@gateway`` has its first @ before the colon.
_PASSWORD = re.compile(r"(?P<scheme>(?:ssh://)?)(?P<user>[^@:/]+):[^@]*@(?:.*@)?(?P<host>[^@]*)")
_FLAGS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip


def read_scalar(reading: Reading, at: str, node: yaml.Node, kind: Kind) -> object | None:
    """Convert one value of a kind that is neither list nor mapping; record a problem and return None if it is wrong."""
    if not isinstance(node, yaml.ScalarNode):
        reading.wrong_type(at, node, kind.value)
        return None
    if kind in _READERS:
        return _READERS[kind](reading, at, node)
    text = reading.expand(at, node)
    try:
        return _PARSERS[kind](text)
    except (KeyError, ValueError):
        reading.wrong_type(at, node, kind.value, text)
        return None


def read_text(reading: Reading, at: str, node: yaml.Node) -> str | None:
    """Convert one line of text; record a problem and return None if it is wrong."""
    text = _quotable(reading, at, node)
    if text is not None and _CONTROL.search(text):
        reading.error(at, "found a control character or a line break in the text", "one line", node)
        return None
    return text


def read_spelling(reading: Reading, at: str, node: yaml.Node) -> str | None:
    """Return any single value as the file writes it; record a problem and return None if it is wrong."""
    if not isinstance(node, yaml.ScalarNode) or is_null(node):
        reading.wrong_type(at, node, 'text, a number, true or false; "" for an empty text')
        return None
    return _without_nul(reading, at, node)


def _quotable(reading: Reading, at: str, node: yaml.Node) -> str | None:
    if isinstance(node, yaml.ScalarNode) and short_tag(node) in _TEXT_TAGS:
        return _without_nul(reading, at, node)
    is_value = isinstance(node, yaml.ScalarNode) and not is_null(node)
    reading.wrong_type(at, node, f"text; quote it: {quoted(node.value)}" if is_value else "text")
    return None


def _without_nul(reading: Reading, at: str, node: yaml.ScalarNode) -> str | None:
    text = reading.expand(at, node)
    if "\0" in text:
        reading.error(at, "found a NUL character", "any other character", node)
        return None
    return text


def _whole_number(text: str, largest: int) -> int:
    # Base 0: Python writes numbers as YAML does, but for octal ones, which are refused as ambiguous.
    number = int(text, 0)
    if 0 <= number <= largest:
        return number
    raise ValueError


def _seconds(text: str) -> float:
    seconds = float(text)
    if 0 < seconds < math.inf:
        return seconds
    raise ValueError


def _interval(text: str) -> float | Off:
    # YAML reads an unquoted off as false.
    return Off.OFF if text.lower() in ("off", "false", "no") else _seconds(text)


def _read_lock_mode(reading: Reading, at: str, node: yaml.ScalarNode) -> str | None:
    text = read_text(reading, at, node)
    if text is None:
        return None
    mode = text.strip().lower()
    if mode in ("inherit", "umask") or _OCTAL_MODE.fullmatch(mode):
        return mode
    reading.wrong_type(at, node, Kind.LOCK_MODE.value, text)
    return None


def _read_path(reading: Reading, at: str, node: yaml.ScalarNode) -> str | None:
    if is_null(node):
        what = "~ alone is YAML's null, not the home directory"
        reading.error(at, what, 'a path, or "~" in quotes', node)
        return None
    return read_text(reading, at, node)


def _read_host(reading: Reading, at: str, node: yaml.ScalarNode) -> str | None:
    text = read_text(reading, at, node)
    words = (text or "").split()
    if len(words) > 1 and words[0] == "ssh":
        what = f"found the command {quoted(' '.join(words))} where the host alone belongs"
        hosts = [word for word in words[1:] if "@" in word]
        host = hosts[0] if len(hosts) == 1 else words[-1]
        others = "; options belong under options" if len(words) > 2 else ""
        reading.error(at, what, f"host: {cleaned(host)}{others}", node)
        return None
    password = _PASSWORD.fullmatch((text or "").strip())
    if password:
        # The text itself is not shown: messages end in logs.
        what = f"found a password in the host, after {quoted(password['user'] + ':')}; SSH takes none from there"
        host = cleaned(f"{password['scheme']}{password['user']}@{password['host']}")
        allowed = f"host: {host}, and the password typed when it is asked for, or better a key"
        reading.error(at, what, allowed, node)
        return None
    return text


def _one_of(words: type[Enum]) -> Callable[[Reading, str, yaml.ScalarNode], object | None]:
    """Return the reader of a value that is one of these words."""
    known = tuple(str(word.value) for word in words)

    def read(reading: Reading, at: str, node: yaml.ScalarNode) -> Enum | None:
        text = read_text(reading, at, node)
        if text is None:
            return None
        if text in known:
            return words(text)
        reading.wrong_type(at, node, ", ".join(known) + reading.guess(text, known), text)
        return None

    return read


_READERS: dict[Kind, Callable[[Reading, str, yaml.ScalarNode], object | None]] = {
    Kind.TEXT: read_text,
    Kind.PATH: _read_path,
    Kind.HOST: _read_host,
    Kind.SCRIPT: _quotable,
    Kind.LOCK_MODE: _read_lock_mode,
    Kind.FOLDER_MODE: _one_of(FolderMode),
    Kind.ENGINE: _one_of(SshEngine),
    Kind.BACKEND: _one_of(Backend),
}

# Each raises KeyError or ValueError on what its kind does not allow.
_PARSERS: dict[Kind, Callable[[str], object]] = {
    Kind.FLAG: lambda text: _FLAGS[text.lower()],
    Kind.COUNT: lambda text: _whole_number(text, sys.maxsize),
    Kind.PORT: lambda text: _whole_number(text, _LARGEST_PORT),
    Kind.SECONDS: _seconds,
    Kind.INTERVAL: _interval,
}
