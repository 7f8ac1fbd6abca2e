"""The program ``ssh`` as the reference for the meaning of a configuration."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from xpm_remote.link.ssh_config.text import Dump, parse_dump

SSH_LIMIT = 30.0
"""Seconds for ``ssh -G``, which takes some hundredths of one."""


class Refused(Exception):
    """Ssh refuses the configuration."""


def ssh_dump(*arguments: str) -> Dump:
    """Return what ``ssh -G`` makes of the arguments."""
    done = subprocess.run(
        ["ssh", "-G", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=SSH_LIMIT,
        check=False,
    )
    if done.returncode:
        raise Refused(done.stderr)
    return parse_dump(done.stdout)


@cache
def defaults() -> Dump:
    """Return the output of ``ssh -G`` without any option or file."""
    return ssh_dump("-F", "none", "localhost")


def expanded(value: str, arguments: Sequence[str]) -> str:
    """Return a value whose tilde, tokens and variables ssh has expanded, where it does that only on connecting."""
    return ssh_dump("-o", f'ControlPath="{value}"', *arguments)["controlpath"][0]


def without_ssh(folder: Path) -> dict[str, str]:
    """Return an environment without the program ``ssh``."""
    (folder / "no-programs").mkdir(exist_ok=True)
    return {"PATH": str(folder / "no-programs")}


def with_default_config(folder: Path, config: Path) -> dict[str, str]:
    """Return an environment whose ``ssh`` reads a config file as if it were the user's own."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    real = shutil.which("ssh")
    assert real, "ssh is needed: install the OpenSSH client"
    script = programs / "ssh"
    script.write_text(f'#!/bin/sh\nexec {real} -F {shlex.quote(str(config))} "$@"\n')
    script.chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}"}
