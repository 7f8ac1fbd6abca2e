"""OpenSSH's command-line options and a host, as a frozen value from which a connection is made.

Every option is honoured, or is an error that names it: none is ignored. The values of each keyword are in
``keywords``; the precedence of options is OpenSSH's, checked against ``ssh -G`` by the tests. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from xpm_remote.errors import OptionError
from xpm_remote.link.options.destination import parse_destination
from xpm_remote.link.options.keywords import (
    ACCUMULATING,
    BY_NAME,
    FLAGS_WITH_ARGUMENT,
    PLAIN_FLAGS,
    READ_BY_LIBRARY,
    REFUSED_FLAGS,
    Honoured,
    Keyword,
    Reason,
    find_keyword,
    nearest_keyword,
)
from xpm_remote.link.options.values import LibraryLimitError, Takes
from xpm_remote.link.options.words import Word, WordReader, split_words, unquote
from xpm_remote.settings.schema import SshEngine

MAX_VERBOSITY = 3
"""OpenSSH's highest debug level."""

_LINE = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)(?:\s*=\s*|\s+|\Z)(.*)", re.DOTALL)
# With blanks or quotes, a command was written as one word.
_IS_WHOLE_COMMAND = re.compile(r"['\"]|\S+\s|none\Z", re.IGNORECASE)
_HOST_TOKEN = re.compile(r"[^=\s]*%[hp]")
_ASSIGNMENT = re.compile(r"([A-Za-z][A-Za-z0-9]*)=.*", re.DOTALL)


@dataclass(frozen=True)
class ConnectOptions:
    """The host and the options of a connection, from the command line and the settings.

    Attributes:
        host: As written: a name, an address, or an alias of a configuration file.
        user: The user; None leaves it to the configuration files.
        port: The port; None leaves it to the configuration files.
        config_file: The argument of ``-F``, ``none`` included; None: the user's file and the system's.
        keywords: OpenSSH's keywords in its own spelling and their canonical values, in the order of precedence. A
            keyword occurs once, unless its values accumulate.
        beyond: The options that asyncssh cannot honour; empty if it makes the connection.
    """

    host: str
    user: str | None = None
    port: int | None = None
    config_file: str | None = None
    keywords: tuple[tuple[str, str], ...] = ()
    beyond: tuple[str, ...] = ()

    def get(self, keyword: str) -> str | None:
        """Return a keyword's value, the first if it has several; None if the options do not set it."""
        return next(iter(self.get_all(keyword)), None)

    def get_all(self, keyword: str) -> tuple[str, ...]:
        """Return all values of a keyword."""
        return tuple(value for name, value in self.keywords if name.lower() == keyword.lower())

    def config_text(self) -> str:
        """Return the text of a configuration file for asyncssh, whose parser reads the same values back.

        The text is for this host alone: read for a jump host, it would send that one through itself.
        """
        lines = (_config_line(n, value) for n, value in self.keywords if n in READ_BY_LIBRARY)
        return "".join(f"{line}\n" for line in lines)


def parse_ssh_options(
    host: str, options: Sequence[str], engine: SshEngine = SshEngine.ASYNCSSH
) -> ConnectOptions:
    """Read a host and options in any spelling of OpenSSH's command line, or as configuration lines.

    Args:
        host: A destination for ``parse_destination``. As in ``ssh OPTIONS HOST``, an option takes precedence.
        options: Strings of one or several options; an argument may be a string of its own.
        engine: The engine of the connection; the program ``ssh`` honours more than the library.

    Raises:
        OptionError: An option is malformed, unknown, or cannot be honoured; it is named.
    """
    destination = parse_destination(host)
    found = _Found(beyond=None if engine is SshEngine.ASYNCSSH else [])
    _Parser(WordReader(options), found).parse()
    return ConnectOptions(
        host=destination.host,
        user=destination.user if found.user is None else found.user,
        port=destination.port if found.port is None else found.port,
        config_file=found.config_file,
        keywords=tuple(found.keywords),
        beyond=tuple(found.beyond or ()),
    )


@dataclass
class _Found:
    """The values of the options read so far, by OpenSSH's rules of precedence.

    Attributes:
        beyond: Collects the options that the library cannot honour; None: they are errors.
    """

    beyond: list[str] | None
    user: str | None = None
    port: int | None = None
    config_file: str | None = None
    keywords: list[tuple[str, str]] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        return next((value for known, value in self.keywords if known == name), None)

    def add(self, name: str, value: str) -> None:
        """Set a keyword as ``-o`` does: the first value wins, or all accumulate."""
        if name == "User":
            self.user = value if self.user is None else self.user
        elif name == "Port":
            self.port = int(value) if self.port is None else self.port
        elif name in ACCUMULATING:
            if (name, value) not in self.keywords:
                self.keywords.append((name, value))
        elif self.get(name) is not None:
            return
        elif name == "ProxyCommand":
            # The first of the two wins, also over the other one in a file, which asyncssh would prefer.
            if self.get("ProxyJump") in (None, "none"):
                self.add("ProxyJump", "none")
                self.keywords.append((name, value))
        else:
            self.keywords.append((name, value))

    def replace(self, name: str, value: str) -> None:
        """Set a keyword as most letters do: the last value wins."""
        self.keywords = [known for known in self.keywords if known[0] != name]
        self.keywords.append((name, value))


class _Parser:
    """Converts words into the values of ``_Found``."""

    def __init__(self, words: WordReader, found: _Found) -> None:
        self._words = words
        self._found = found
        self._verbosity = 0

    def parse(self) -> None:
        while (word := self._words.next()) is not None:
            if word.text.startswith("-") and len(word.text) > 1:
                self._parse_flags(word)
            else:
                self._parse_bare(word)

    def _parse_flags(self, word: Word) -> None:
        """Read a word of letters, such as ``-4C`` or ``-Cp2222``."""
        for index, letter in enumerate(word.text[1:], start=2):
            flag = f"-{letter}"
            if letter in REFUSED_FLAGS:
                # With either engine: they are for something else than a connection, or write elsewhere.
                raise _refusal(flag, REFUSED_FLAGS[letter]._replace(is_ours=True))
            if letter == "v":
                self._verbosity = min(self._verbosity + 1, MAX_VERBOSITY)
                self._found.replace("LogLevel", f"DEBUG{self._verbosity}")
            elif letter in PLAIN_FLAGS:
                for name, value in PLAIN_FLAGS[letter]:
                    self._found.replace(name, self._checked(flag, BY_NAME[name.lower()], [value]))
            elif letter in FLAGS_WITH_ARGUMENT or letter in "Fo":
                rest = word.after(index)
                self._parse_argument(letter, rest if rest.text else self._words.argument(flag))
                return
            else:
                raise OptionError(f"{flag} in {word.text} is not an option of OpenSSH's client")

    def _parse_argument(self, letter: str, argument: Word) -> None:
        flag = f"-{letter}"
        if letter == "o":
            self._parse_line(argument, bare=False)
            return
        if letter == "F":
            if not argument.text:
                raise OptionError("the SSH option -F lacks its file", "use -F none to read none")
            self._found.config_file = argument.text
            return
        name, replaces = FLAGS_WITH_ARGUMENT[letter]
        if letter == "J" and self._found.get("ProxyJump") is not None:
            raise OptionError(
                "the SSH option -J comes after another way to reach the host",
                "give one -J, with commas between several jump hosts, and no ProxyCommand",
            )
        value = self._checked(flag, BY_NAME[name.lower()], [argument.text])
        if replaces:
            self._found.replace(name, value)
        else:
            self._found.add(name, value)

    def _parse_bare(self, word: Word) -> None:
        """Read a configuration line without ``-o``."""
        name = _LINE.match(word.text)
        if name is None or (find_keyword(name[1]) is None and "=" not in word.text):
            near = nearest_keyword(word.text)
            raise OptionError(
                f"{word.text!r} among the SSH options is not an option",
                f"perhaps {near} was meant" if near else "host and command are given elsewhere",
            )
        self._parse_line(word, bare=True)

    def _parse_line(self, word: Word, *, bare: bool) -> None:
        """Read ``Keyword=value`` or ``Keyword value``, with the words after it that belong to the value."""
        quoted = word.raw[:1] in ("'", '"')
        found = _LINE.fullmatch(word.text if quoted else word.raw)
        if found is None:
            raise OptionError(f"the SSH option -o {word.text!r} is not Keyword=value")
        keyword = find_keyword(found[1])
        if keyword is None:
            near = nearest_keyword(found[1])
            raise OptionError(
                f"{found[1]} is not a keyword of OpenSSH's client",
                f"perhaps {near} was meant" if near else "see man ssh_config",
            )
        value = self._read_value(keyword, found[2], quoted=quoted, bare=bare)
        words = _value_words(keyword, value)
        self._found.add(keyword.name, self._checked(keyword.name, keyword, words))

    def _read_value(self, keyword: Keyword, start: str, *, quoted: bool, bare: bool) -> str:
        """Return the text of a value.

        Args:
            keyword: The keyword.
            start: The value's part in the keyword's own word; empty if the value is in the next words.
            quoted: Whether that word was quoted as a whole, so that the value ends with it.
            bare: Whether there was no ``-o`` before it; after one, the value ends with a shell's word.
        """
        takes = keyword.value.takes
        if start and (quoted or takes is Takes.ONE or (takes is Takes.MANY and not bare)):
            return start
        if not start and self._next_is_flag():
            return ""
        if takes is Takes.LINE:
            return self._read_command(start, bare=bare)
        words = [start] if start else []
        while (following := self._words.peek()) is not None and not self._next_is_flag():
            assigned = _ASSIGNMENT.fullmatch(following.text)
            is_next = assigned is not None and find_keyword(assigned[1]) is not None
            if words and (takes is Takes.ONE or is_next):
                break
            raw = self._words.take().raw
            raw = raw if words else raw.removeprefix("=")
            words += [raw] if raw else []
        return " ".join(words)

    def _checked(self, option: str, keyword: Keyword, words: Sequence[str]) -> str:
        """Return the canonical value; raise OptionError if it is malformed or cannot be honoured."""
        beyond = self._found.beyond
        shown = option if option == keyword.name else f"{option} ({keyword.name})"
        if keyword.honoured is Honoured.NEVER and (beyond is None or keyword.reason.is_ours):
            raise _refusal(shown, keyword.reason)
        try:
            value = keyword.value.canonical(words)
        except ValueError as error:
            if beyond is None or not isinstance(error, LibraryLimitError):
                raise OptionError(f"the SSH option {shown}: {error}") from None
            beyond.append(shown)
            return shlex.join(words) if keyword.value.takes is Takes.MANY else words[0]
        if not keyword.accepts(value):
            if beyond is None or keyword.reason.is_ours:
                raise _refusal(f"{shown} {shlex.join(words)}", keyword.reason)
            beyond.append(shown)
        return value

    def _next_is_flag(self) -> bool:
        following = self._words.peek()
        return following is not None and following.text.startswith("-")

    def _read_command(self, start: str, *, bare: bool) -> str:
        """Return a command, which as a configuration line takes the rest of its string.

        After ``-o`` it is one word of a shell; but if a later word has ``%h`` or ``%p``, the command includes it, as
        when ssh gets the string as one argument.
        """
        goes_on = bare or any(_HOST_TOKEN.match(word.text) for word in self._words.rest())
        if start and (_IS_WHOLE_COMMAND.match(start) or not goes_on):
            return start
        return f"{start} {self._words.take_rest()}".strip().removeprefix("=")


def _value_words(keyword: Keyword, text: str) -> list[str]:
    """Split the text of a value into its words, unless it is the rest of a line, verbatim."""
    if keyword.value.takes is not Takes.LINE:
        return unquote(text)
    words = split_words(text) if text[:1] in ("'", '"') else []
    return [words[0].text] if len(words) == 1 else [text.strip()]


def _refusal(option: str, reason: Reason) -> OptionError:
    advice = reason.advice if reason.is_ours else f"{reason.advice}, or use --ssh-engine openssh"
    return OptionError(f"the SSH option {option} cannot be honoured: {reason.why}", advice)


def _config_line(name: str, value: str) -> str:
    keyword = BY_NAME[name.lower()]
    if keyword.value.takes is Takes.LINE:
        return f"{name} {value}"  # asyncssh takes the rest of the line verbatim
    words = unquote(value) if keyword.value.takes is Takes.MANY else [value]
    texts = [shlex.quote(word) for word in words]
    # asyncssh strips one = from each word that starts with one, up to the first that does not.
    for index, text in enumerate(texts):
        if not words[index].startswith("="):
            break
        texts[index] = f"={text}"
    return f"{name} {' '.join(texts)}"


_FORWARD_FLAGS = {"DynamicForward": "-D", "LocalForward": "-L", "RemoteForward": "-R"}
_SPECIAL = re.compile(r"[\s'\"\\#]|\A=|\A\Z")
_BLANK = re.compile(r"\s")


def given_arguments(options: ConnectOptions, names: Container[str] = BY_NAME) -> list[str]:
    """Return options as arguments of ``ssh``, without the host.

    Args:
        options: The options; ``config_file`` without a tilde.
        names: The keywords to include, in lower case.
    """
    words: list[str] = []
    for flag, value in (("-F", options.config_file), ("-l", options.user), ("-p", options.port)):
        if value is not None:
            words += [flag, str(value)]
    has_command = options.get("ProxyCommand") is not None
    for name, value in options.keywords:
        # To ssh the first of the two counts, 'none' included; with a command the other is not needed.
        if name.lower() in names and not (has_command and name == "ProxyJump"):
            words += _option(name, value)
    return words


def escaped(word: str) -> str:
    """Escape a word for double quotes in ssh's own parser."""
    return word.replace("\\", "\\\\").replace('"', '\\"')


def ssh_quoted(word: str) -> str:
    """Quote a word for ssh's own parser, whose quotes are not a shell's."""
    return f'"{escaped(word)}"' if _SPECIAL.search(word) else word


def _option(name: str, value: str) -> list[str]:
    if name in _FORWARD_FLAGS and not _BLANK.search(value):
        # In the flag's spelling, which -o does not accept.
        return [_FORWARD_FLAGS[name], value]
    takes = BY_NAME[name.lower()].value.takes
    if takes is Takes.LINE or name == "ProxyJump":
        return ["-o", f"{name}={value}"]  # verbatim, quotes included
    texts = unquote(value) if takes is Takes.MANY else [value]
    return ["-o", f"{name}={' '.join(map(ssh_quoted, texts))}"]
