"""The config files that apply to a host, and their lines."""

from __future__ import annotations

import contextlib
import os
import pwd
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.ssh_config.text import Mention, mentions

MAX_INCLUDES = 16
"""The depth of Include, as in ssh."""

_USER_CONFIG = Path(".ssh/config")
_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")

# Used if neither options nor config files decide: the first value wins.
_DEFAULTS = """\
ServerAliveInterval 15
ServerAliveCountMax 3
"""

_EXPANDED = frozenset({"CertificateFile", "ForwardAgent", "IdentityAgent", "IdentityFile"})
"""Keywords whose tokens the library expands, once more after each file that it reads."""


def home() -> Path:
    """Return the home directory as ssh sees it: the account's, whatever ``$HOME`` is."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path("~").expanduser()


@contextlib.contextmanager
def config_files(options: ConnectOptions) -> Iterator[list[str]]:
    """Yield the files that the library reads, in order of precedence: options, config files, our defaults."""
    with tempfile.TemporaryDirectory(prefix="xpm-remote-") as directory:
        given, defaults = Path(directory) / "options", Path(directory) / "defaults"
        files = [str(given), *configured(options.config_file), str(defaults)]
        kept = tuple(
            (name, value.replace("%%", "%" * 2 ** len(files)) if name in _EXPANDED else value)
            for name, value in options.keywords
            # The library would split a ProxyCommand, and fail at quotes that a shell accepts; we run it ourselves.
            if name != "ProxyCommand"
        )
        given.write_text(replace(options, keywords=kept).config_text())
        defaults.write_text(_DEFAULTS)
        yield files


def configured(config_file: str | None) -> list[str]:
    """Return the config file that ``-F`` names; without it the user's and the system's, if they can be read."""
    if config_file is not None:
        return [] if config_file.lower() == "none" else [absolute(config_file)]
    paths = (home() / _USER_CONFIG, _SYSTEM_CONFIG)
    return [str(path) for path in paths if os.access(path, os.R_OK)]


def located(options: ConnectOptions) -> ConnectOptions:
    """Return options with the absolute path of their config file."""
    file = options.config_file
    if file is None or file.lower() == "none":
        return options
    return replace(options, config_file=absolute(file))


def absolute(path: str) -> str:
    """Return the absolute path of a file; ``~`` is the home directory."""
    return str(Path.cwd() / home() / path[2:]) if path.startswith("~/") else str(Path.cwd() / path)


def with_home(path: str) -> str:
    """Return the absolute path of a key or of a file of keys; only a ``~`` at its beginning is a home."""
    return absolute(os.path.expanduser(path))  # noqa: PTH111 - leaves an unknown user, and "./~"


def read_mentions(files: list[str]) -> list[Mention]:
    """Return the keywords of config files and of all that they may include, for whatever host."""
    return [each for file in files for each in _mentions(Path(file), depth=0)]


def _mentions(path: Path, depth: int) -> Iterator[Mention]:
    is_own = not path.is_relative_to(_SYSTEM_CONFIG.parent)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return  # ssh reports a missing file that it needs
    for each in mentions(text, str(path), is_own=is_own):
        yield each
        if each.keyword == "Include" and depth < MAX_INCLUDES:
            for included in _included(each.words, is_own=is_own):
                yield from _mentions(included, depth + 1)


def _included(patterns: tuple[str, ...], *, is_own: bool) -> Iterator[Path]:
    base = home() / _USER_CONFIG.parent if is_own else _SYSTEM_CONFIG.parent
    for pattern in patterns:
        path = Path(os.path.expandvars(pattern.replace("%d", str(home()))))
        if pattern.startswith("~/"):
            path = home() / pattern[2:]
        path = base / path
        yield from sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
