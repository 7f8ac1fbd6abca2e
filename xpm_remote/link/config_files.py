"""The config files that the library reads for a host, in the order in which they count."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from xpm_remote.link.ssh_options import ConnectOptions

_USER_CONFIG = Path("~/.ssh/config")
_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")

# Used where neither the options nor the config files say anything: the first value wins.
_DEFAULTS = """\
ServerAliveInterval 15
ServerAliveCountMax 3
"""


@contextlib.contextmanager
def config_files(options: ConnectOptions) -> Iterator[list[str]]:
    """Give the config files in the order in which they count: our options, the person's, the system's, defaults."""
    with tempfile.TemporaryDirectory(prefix="xpm-remote-") as directory:
        given = Path(directory) / "options"
        given.write_text(options.config_text())
        defaults = Path(directory) / "defaults"
        defaults.write_text(_DEFAULTS)
        yield [str(given), *_configured(options.config_file), str(defaults)]


def _configured(config_file: str | None) -> list[str]:
    if config_file is not None:
        return [] if config_file.lower() == "none" else [str(Path(config_file).expanduser())]
    return [
        str(path)
        for path in (_USER_CONFIG.expanduser(), _SYSTEM_CONFIG)
        if os.access(path, os.R_OK)
    ]
