"""Modules of the standard library that a build of Python may lack; each is None there.

What needs one does without it, or fails in words when it is asked for. All other modules are required; those that the
agent imports when it starts are listed in ``xpm_remote.link.remote.agent``.
"""

from __future__ import annotations

from typing import Any


def _find(name: str) -> Any:  # noqa: ANN401 - a module, or None
    try:
        return __import__(name)
    except ImportError:
        return None


ctypes = _find("ctypes")
"""Without it: no inotify, and of the system calls that Python has not, none."""

fcntl = _find("fcntl")
"""Without it, locks are asked for through ctypes."""

resource = _find("resource")
"""Without it, one thread reads jobs."""

select = _find("select")
"""Without it, no inotify."""

zlib = _find("zlib")
"""Without it, nothing is compressed."""
