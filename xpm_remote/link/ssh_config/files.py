"""The config files that count for a host, and what stands in them."""

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
"""Files that include one another, as deep as ssh itself goes."""

_USER_CONFIG = Path(".ssh/config")
_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")

# Used where neither the options nor the config files say anything: the first value wins.
_DEFAULTS = """\
ServerAliveInterval 15
ServerAliveCountMax 3
"""


def home() -> Path:
    """Give the person's home directory as ssh sees it: that of the account, whatever ``$HOME`` says."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path("~").expanduser()


@contextlib.contextmanager
def config_files(options: ConnectOptions) -> Iterator[list[str]]:
    """Give the files that the library is to read, in the order in which they count: our options, others, defaults."""
    with tempfile.TemporaryDirectory(prefix="xpm-remote-") as directory:
        given = Path(directory) / "options"
        # The library would split a ProxyCommand, and fail at quotes that a shell takes; it is ours to run.
        kept = tuple(each for each in options.keywords if each[0] != "ProxyCommand")
        given.write_text(replace(options, keywords=kept).config_text())
        defaults = Path(directory) / "defaults"
        defaults.write_text(_DEFAULTS)
        yield [str(given), *configured(options.config_file), str(defaults)]


def configured(config_file: str | None) -> list[str]:
    """Give the config files that ``-F`` names; without it the person's and the system's, as far as they can be read."""
    if config_file is not None:
        return [] if config_file.lower() == "none" else [absolute(config_file)]
    paths = (home() / _USER_CONFIG, _SYSTEM_CONFIG)
    return [str(path) for path in paths if os.access(path, os.R_OK)]


def located(options: ConnectOptions) -> ConnectOptions:
    """Give options whose config file is named from the root on."""
    file = options.config_file
    if file is None or file.lower() == "none":
        return options
    return replace(options, config_file=absolute(file))


def absolute(path: str) -> str:
    """Give the path of a file from the root on; ``~`` is the home."""
    return str(Path.cwd() / home() / path[2:]) if path.startswith("~/") else str(Path.cwd() / path)


def read_mentions(files: list[str]) -> list[Mention]:
    """Give the keywords of config files and of all that they may include, whatever host they are for."""
    return [each for file in files for each in _mentions(Path(file), depth=0)]


def _mentions(path: Path, depth: int) -> Iterator[Mention]:
    is_own = not path.is_relative_to(_SYSTEM_CONFIG.parent)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return  # ssh itself says what it cannot do without
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
