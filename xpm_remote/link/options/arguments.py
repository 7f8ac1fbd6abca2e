"""Options as arguments of the program ``ssh``, in a spelling that every release of it reads back alike. Pure."""

from __future__ import annotations

import re
from collections.abc import Container

from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.options.keywords import BY_NAME
from xpm_remote.link.options.values import Takes
from xpm_remote.link.options.words import unquote

_FORWARD_FLAGS = {"DynamicForward": "-D", "LocalForward": "-L", "RemoteForward": "-R"}
_SPECIAL = re.compile(r"[\s'\"\\#]|\A=|\A\Z")
_BLANK = re.compile(r"\s")


def given_arguments(options: ConnectOptions, names: Container[str] = BY_NAME) -> list[str]:
    """Give what the person says, but for the host.

    Args:
        options: That; ``config_file`` without a tilde.
        names: The keywords that count, in lower case; the others are left out.
    """
    words: list[str] = []
    for flag, value in (("-F", options.config_file), ("-l", options.user), ("-p", options.port)):
        if value is not None:
            words += [flag, str(value)]
    has_command = options.get("ProxyCommand") is not None
    for name, value in options.keywords:
        # To ssh the first of the two counts, 'none' included; a command says all by itself.
        if name.lower() in names and not (has_command and name == "ProxyJump"):
            words += _option(name, value)
    return words


def escaped(word: str) -> str:
    """Give a word as it stands between double quotes for ssh's own parser."""
    return word.replace("\\", "\\\\").replace('"', '\\"')


def quoted(word: str) -> str:
    """Quote a word for ssh's own parser, whose quotes are not a shell's."""
    return f'"{escaped(word)}"' if _SPECIAL.search(word) else word


def _option(name: str, value: str) -> list[str]:
    if name in _FORWARD_FLAGS and not _BLANK.search(value):
        # The flag's way to write it, which -o does not take.
        return [_FORWARD_FLAGS[name], value]
    takes = BY_NAME[name.lower()].value.takes
    if takes is Takes.LINE or name == "ProxyJump":
        return ["-o", f"{name}={value}"]  # as it stands, quotes included
    texts = unquote(value) if takes is Takes.MANY else [value]
    return ["-o", f"{name}={' '.join(map(quoted, texts))}"]
