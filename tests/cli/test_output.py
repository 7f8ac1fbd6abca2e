"""Which log lines are shown to the user."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import logging, sys
from xpm_remote.cli.output import set_up_logs
set_up_logs(debug="debug" in sys.argv, quiet="quiet" in sys.argv)
logging.getLogger("xpm_remote.link.asyncssh_engine.host_keys").warning("cannot record \\x1b[31mred")
logging.getLogger("xpm_remote.link.asyncssh_engine.host_keys").debug("a detail of the link")
logging.getLogger("xpm_remote.rpc.client").warning("two records left out")
logging.getLogger("asyncssh").warning("of the library")
"""


def printed(*words: str) -> list[str]:
    """Return the lines on stderr of a program that logs at each level."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, check=True)
    return done.stderr.decode().splitlines()


def test_warnings_about_the_persons_files_are_shown() -> None:
    """A warning of the link is one escaped line like other warnings; internal ones are not shown."""
    assert printed() == [r"warning: cannot record \x1b[31mred"]


def test_quiet() -> None:
    """With --quiet, no warning is shown."""
    assert printed("quiet") == []


@pytest.mark.parametrize("part", ["cannot record", "a detail", "left out", "of the library"])
def test_debug(part: str) -> None:
    """With --debug, everything is in the log, once."""
    assert sum(part in line for line in printed("debug")) == 1
