"""The kinds of values of OpenSSH's keywords: each converts words into one canonical text.

Each check raises ValueError with a message that names the value. The canonical form is the one that asyncssh's parser
of ssh_config reads (plain seconds, ``yes``/``no``), with lists quoted as for a shell. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from xpm_remote.link.options.destination import check_host, check_user, parse_port, read_jumps

MAX_SECONDS = 2**31 - 1
"""The longest time: OpenSSH stores it in a C int."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TIME = re.compile(r"(?:\d+[smhdw]?)+", re.ASCII | re.IGNORECASE)
_TIME_PART = re.compile(r"(\d+)([smhdw]?)", re.ASCII | re.IGNORECASE)
_TIME_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"(\d+)([KMG]?)", re.ASCII | re.IGNORECASE)
_SIZE_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_SMALLEST_REKEY = 16
_ENVIRONMENT_REFERENCE = re.compile(r"\$(\w+)", re.ASCII)
_TOKEN = re.compile(r"%(.)")
_TOKENS_OF_THE_DESTINATION = {"C", "h", "j", "k", "p", "r"}
_LOG_LEVELS = ("QUIET", "FATAL", "ERROR", "INFO", "VERBOSE", "DEBUG1", "DEBUG2", "DEBUG3")
# In OpenSSH 10.1 and later the last three, old names, mean the system's default too.
_UNMARKED = {"none", "cs0", "0", "0x0", "0x00", "lowdelay", "throughput", "reliability"}


class LibraryLimitError(ValueError):
    """OpenSSH could honour the value, but asyncssh cannot."""


class Takes(Enum):
    """The part of the line that is a keyword's value."""

    ONE = "one word"
    MANY = "one or more words"
    LINE = "the rest of the line, as it stands"


@dataclass(frozen=True)
class Value:
    """A kind of value: the part of the line that it takes, and its check."""

    takes: Takes
    check: Callable[[Sequence[str]], str]

    def canonical(self, words: Sequence[str]) -> str:
        """Return the value in its canonical form.

        Raises:
            ValueError: The words are not a value of this kind.
        """
        if not words or not all(words):
            raise ValueError("its value is empty")
        if any(_CONTROL.search(word) for word in words):
            raise ValueError("its value has control characters")
        if self.takes is not Takes.MANY and len(words) > 1:
            raise ValueError(
                f"its value is one word, not {shlex.join(words)}; quote it if it has blanks"
            )
        return self.check(words)


def _one(check: Callable[[str], str]) -> Value:
    return Value(Takes.ONE, lambda words: check(words[0]))


def choice(*values: str, **same: str) -> Value:
    """Return a kind of value that is one of ``values`` in any case, or another word for one."""
    known = {value: value for value in values} | same

    def check(text: str) -> str:
        if text.lower() not in known:
            raise ValueError(f"{text!r} is not one of {', '.join(values)}")
        return known[text.lower()]

    return _one(check)


def number(smallest: int) -> Value:
    """Return a kind of value that is a whole number of at least ``smallest``."""

    def check(text: str) -> str:
        if not (text.isascii() and text.isdigit()) or int(text) < smallest:
            raise ValueError(f"{text!r} is not a whole number of at least {smallest}")
        return str(int(text))

    return _one(check)


def _seconds(text: str) -> str:
    # To OpenSSH 'none' means not set; here it turns off our own limit, too.
    if text.lower() == "none":
        return "0"
    if _TIME.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a time such as 90, 90s, 1m30s or 2h")
    total = sum(int(n) * _TIME_UNITS[unit.lower()] for n, unit in _TIME_PART.findall(text))
    if total > MAX_SECONDS:
        raise ValueError(f"{text!r} is too long a time")
    return str(total)


def _size(text: str) -> str:
    found = _SIZE.fullmatch(text)
    if text.lower() == "default" or (found and int(found[1]) == 0):
        return "default"
    size = int(found[1]) * _SIZE_UNITS[found[2].upper()] if found else 0
    if size < _SMALLEST_REKEY:
        raise ValueError(f"{text!r} is not a number of bytes such as 512M or 1G, nor 'default'")
    return str(size)


def _rekey(words: Sequence[str]) -> str:
    size, *rest = _split_further(words)
    if not rest:
        return _size(size)
    if len(rest) > 1:
        raise ValueError(f"it is a size and a time, not {shlex.join(words)}")
    seconds = _seconds(rest[0])
    return f"{_size(size)} {'none' if seconds == '0' else seconds}"


def _log_level(text: str) -> str:
    level = "DEBUG1" if text.upper() == "DEBUG" else text.upper()
    if level not in _LOG_LEVELS:
        raise ValueError(f"{text!r} is not one of {', '.join(_LOG_LEVELS)}")
    return level


def _files(words: Sequence[str]) -> str:
    none = [word for word in words if word.lower() == "none"]
    if none and len(words) > 1:
        raise ValueError("'none' stands alone")
    # An empty list makes asyncssh trust every host; an empty file makes it trust none, as 'none' should.
    return "/dev/null" if none else shlex.join(map(_file, words))


def _file(text: str) -> str:
    # asyncssh expands a tilde in these names, but no tokens and no variables.
    path = "~" + text[2:] if text.startswith("%d/") else text
    if "%" in path or "${" in path:
        raise LibraryLimitError(
            f"tokens and variables in {text!r} are not expanded here; write the path out"
        )
    return path


def _name(text: str) -> str:
    # To asyncssh, but not to OpenSSH, the word means not set.
    if text.lower() == "none":
        raise ValueError("'none' is not a value that it has")
    return text


def _names(text: str) -> str:
    if re.search(r"\s", text):
        raise ValueError(f"the names in {text!r} are separated by commas, without blanks")
    return _name(text)


def _path(text: str) -> str:
    # asyncssh expands options before it has read the files, which may set these.
    late = _TOKENS_OF_THE_DESTINATION.intersection(_TOKEN.findall(text))
    if late:
        raise LibraryLimitError(f"%{min(late)} in {text!r} cannot be expanded here; write it out")
    return text


def _key_file(text: str) -> str:
    if text.lower() == "none":
        raise LibraryLimitError(
            "'none' would make asyncssh use the default files; use PubkeyAuthentication=no"
        )
    return _path(text)


def _split_further(words: Sequence[str]) -> list[str]:
    """Split at blanks also within words: no single value has any, so quotes were for a shell."""
    return " ".join(words).split()


def _environment_names(words: Sequence[str]) -> str:
    names = _split_further(words)
    for word in names:
        if "=" in word or word.startswith("-"):
            raise ValueError(
                f"{word!r} is not the name of an environment variable, or a pattern of names"
            )
    return shlex.join(names)


def _environment(words: Sequence[str]) -> str:
    for word in words:
        if not word.partition("=")[0] or "=" not in word:
            raise ValueError(f"{word!r} is not NAME=VALUE")
    return shlex.join(words)


def _cname_rules(words: Sequence[str]) -> str:
    rules = _split_further(words)
    for word in rules:
        if word.count(":") != 1 and word.lower() != "none":
            raise ValueError(f"{word!r} is not SOURCE:TARGET")
    return shlex.join(rules)


def _agent(text: str) -> str:
    if text == "SSH_AUTH_SOCK":
        return "${SSH_AUTH_SOCK}"
    named = _ENVIRONMENT_REFERENCE.fullmatch(text)
    return f"${{{named[1]}}}" if named else _path(text)


def _forwarded_agent(text: str) -> str:
    plain = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}.get(text.lower())
    if plain:
        return plain
    # asyncssh expands tokens and variables in this path, but no tilde.
    path = _agent(text)
    return f"%d{path[1:]}" if path.startswith("~/") else path


def _command(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as error:
        message = f"the quotes in {text!r} do not fit together ({error})"
        raise ValueError(message) from None
    return text


def _public_key_algorithms(text: str) -> str:
    # What a leading + adds for old servers asyncssh offers them anyway.
    added = {"ssh-rsa", "ssh-rsa-cert-v01@openssh.com", "rsa-sha2-256", "rsa-sha2-512"}
    return "+ssh-rsa" if text[:1] == "+" and set(text[1:].split(",")) <= added else text


FLAG = choice("yes", "no", true="yes", false="no")
TEXT = _one(lambda text: text)
NAME = _one(_name)
NAMES = _one(_names)
HOST = _one(check_host)
WORDS = Value(Takes.MANY, lambda words: shlex.join(_split_further(words)))
STATE = _one(
    lambda text: {"true": "yes", "false": "no", "off": "no"}.get(text.lower(), text.lower())
)
SECONDS = _one(_seconds)
PORT = _one(lambda text: str(parse_port(text)))
USER = _one(check_user)
JUMP = _one(lambda text: ",".join(map(str, read_jumps(text))) or "none")
COMMAND = Value(Takes.LINE, lambda words: _command(words[0]))
LINE = Value(Takes.LINE, lambda words: words[0])
REKEY = Value(Takes.MANY, _rekey)
LOG_LEVEL = _one(_log_level)
FILES = Value(Takes.MANY, _files)
KEY_FILE = _one(_key_file)
ENVIRONMENT_NAMES = Value(Takes.MANY, _environment_names)
ENVIRONMENT = Value(Takes.MANY, _environment)
CNAME_RULES = Value(Takes.MANY, _cname_rules)
AGENT = _one(_agent)
FORWARDED_AGENT = _one(_forwarded_agent)
PUBLIC_KEY_ALGORITHMS = _one(_public_key_algorithms)
QUALITY_OF_SERVICE = Value(
    Takes.MANY,
    lambda words: "none" if {w.lower() for w in words} <= _UNMARKED else shlex.join(words),
)
