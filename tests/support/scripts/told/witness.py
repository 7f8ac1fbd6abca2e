#!/usr/bin/env python3
"""Print the raw facts of jobs and experiments that do what they are told: processes, locks, markers.

Usage: ``witness.py WORKSPACE CONTROL``. Standard library only; shares no code with what it is compared with. Nothing
is judged here, no lock is taken, and no file written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

WORKSPACE, CONTROL = map(Path, sys.argv[1:])
HELD = {
    int(line.split()[5].rpartition(":")[2])
    for line in Path("/proc/locks").read_text().splitlines()
    if line.split()[1] == "FLOCK"
}
"""The inodes of the files that are locked."""


def text(path: Path) -> str | None:
    """Return the text of a file; None where it is not."""
    try:
        return path.read_text()
    except OSError:
        return None


def content(path: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one where it is not there, or not written yet."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def is_alive(pid: int) -> bool:
    """Return whether a process runs: a zombie does not."""
    stat = text(Path(f"/proc/{pid}/stat"))
    return stat is not None and stat.rpartition(")")[2].split()[0] not in "ZX"


def announced(name: str) -> list[int]:
    """Return the processes of the attempts, in their order."""
    pids: list[int] = []
    while (pid := text(CONTROL / f"{name}.{len(pids) + 1}.pid")) is not None:
        pids.append(int(pid))
    return pids


def is_held(path: Path) -> bool:
    """Return whether a file is locked."""
    try:
        return path.stat().st_ino in HELD
    except OSError:
        return False


def job(name: str, relative: str) -> dict[str, Any]:
    """Return the facts of a job."""
    folder = WORKSPACE / "jobs" / relative
    base = folder / relative.partition("/")[0].rpartition(".")[2]
    pids = announced(name)
    launched = content(base.with_suffix(".pid")).get("pid")
    return {
        "id": relative,
        "exists": folder.is_dir(),
        "attempts": len(pids),
        "pid": pids[-1] if pids else None,
        "is_alive": bool(pids) and is_alive(pids[-1]),
        "is_launched": launched is not None and is_alive(int(launched)),
        "is_locked": is_held(base.with_suffix(".lock")),
        "done": base.with_suffix(".done").exists(),
        "failed": content(base.with_suffix(".failed")).get("reason"),
        "stopped": content(folder / ".experimaestro/status.json").get("scheduler_failure_reason"),
    }


def experiment(name: str) -> dict[str, Any]:
    """Return the facts of an experiment."""
    pids = announced(name)
    jobs = content(CONTROL / f"{name}.jobs")
    return {
        "phases": len(pids),
        "pid": pids[-1] if pids else None,
        "is_alive": bool(pids) and is_alive(pids[-1]),
        "is_locked": is_held(WORKSPACE / "experiments" / name / "lock"),
        "jobs": {key: job(key, relative) for key, relative in jobs.items()},
    }


print(json.dumps({path.stem: experiment(path.stem) for path in CONTROL.glob("*.jobs")}))
