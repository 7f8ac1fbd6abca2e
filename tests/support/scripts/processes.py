"""Print as JSON ``[pid, parent's pid, command line]`` of the processes of a home.

Usage: ``python3 processes.py [--kill] HOME``. Without ``--kill`` those that SSH started: sshd puts
``SSH_CONNECTION`` and ``HOME`` into the environment, and children inherit them. With ``--kill`` also those
that work anywhere below the home: experimaestro starts its jobs with next to no environment. They are killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

HOME = Path(sys.argv[-1])
KILL = "--kill" in sys.argv


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
    if not (at_home or below if KILL else at_home and by_ssh):
        return None
    return int(process.name), int(parent), b" ".join(arguments).decode(errors="replace")


numbers = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
found = (read(entry) for entry in numbers if entry.name != str(os.getpid()))
rows = [row for row in found if row]
for pid, _, _ in rows if KILL else ():
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
print(json.dumps(rows))
