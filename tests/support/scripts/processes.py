"""Print as JSON ``[pid, parent's pid, command line]`` of the processes of a home.

Usage: ``python3 processes.py [--all] HOME``. Without ``--all`` those that SSH started: sshd puts
``SSH_CONNECTION`` and ``HOME`` into the environment, and children inherit them. With ``--all`` also those
that work anywhere below the home: experimaestro starts its jobs with next to no environment.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HOME = Path(sys.argv[-1])
ALL = "--all" in sys.argv


def read(process: Path) -> tuple[int, int, str] | None:
    """Return the row of a process; None when it is gone, a zombie, another user's, or not wanted."""
    try:
        environment = (process / "environ").read_bytes().split(b"\0")
        arguments = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        folder = (process / "cwd").readlink()
        # After the name, which is in parentheses and may hold anything: state, parent.
        parent = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
    except OSError:
        return None
    at_home = f"HOME={HOME}".encode() in environment
    by_ssh = any(entry.startswith(b"SSH_CONNECTION=") for entry in environment)
    below = HOME in (folder, *folder.parents)
    if not (at_home or below if ALL else at_home and by_ssh):
        return None
    return int(process.name), int(parent), b" ".join(arguments).decode(errors="replace")


numbers = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
rows = (read(entry) for entry in numbers if entry.name != str(os.getpid()))
print(json.dumps([row for row in rows if row]))
