"""Let the real experimaestro archive or recover jobs: runs inside its venv, cases in, paths out, as JSON lines.

Usage: ``peer_folders.py HOME < CASES``; a case is ``{"action": "archive" | "recover", "workspace", "folder", "mode":
"backup" | "move", "jobs": ["task/hash", ...]}``. The answer is, for each job, the path that experimaestro gave, or
null. One process answers all cases: it takes a second to start.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["HOME"] = sys.argv[1]

folders = importlib.import_module("experimaestro.scheduler.folders")
settings = importlib.import_module("experimaestro.settings")


def answer(case: dict[str, Any]) -> dict[str, str | None]:
    """Process one case."""
    mode = settings.FolderMode(case["mode"])
    folder = settings.FolderSettings(path=Path(case["folder"]), mode=mode)
    jobs = Path(case["workspace"]) / "jobs"
    found = {}
    for job in case["jobs"]:
        relative = Path(job)
        if case["action"] == "archive":
            given = folders._archive_job(
                folders._Job(jobs / relative, relative, relative.parent.name.rpartition(".")[2]),
                folder,
            )
        else:
            given = folders.recover_from_folders(relative, jobs, [folder])
        found[job] = given and str(given)
    return found


def main() -> None:
    """Answer every line of standard input with one of standard output."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
