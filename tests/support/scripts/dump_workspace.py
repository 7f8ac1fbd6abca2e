#!/usr/bin/env python3
"""Print our reader's view of a workspace, as JSON: ``dump_workspace.py WORKSPACE``.

``xpm_remote.workspace`` and ``tests.support.reference_form`` must be on PYTHONPATH; nothing else of ours is needed.
Prints ``{"experiments": [...], "jobs": {EXPERIMENT: [...]}, "problems": [...]}``, each in the form of the reference
server, and ``"changed"``: names that are new or gone in the workspace after it, or of another mode.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.support.reference_form import job_form, run_form
from xpm_remote.workspace.reading.reader import WorkspaceReader


def snapshot(root: Path) -> set[tuple[str, int]]:
    """Return what shows whether a file was made, removed or made readable, except what running jobs write."""
    found = [path for path in root.rglob("*") if path.suffix != ".jsonl"]
    return {(str(path), path.lstat().st_mode) for path in found if "status.json" not in path.name}


def main() -> None:
    """Read the workspace that the command line names."""
    workspace = Path(sys.argv[1])
    before = snapshot(workspace)
    reader = WorkspaceReader(workspace)
    runs = reader.experiments()
    document = {
        "experiments": [run_form(run) for run in runs],
        "jobs": {run.experiment_id: [job_form(job) for job in reader.jobs(run)] for run in runs},
        "problems": list(reader.problems),
        "changed": sorted(before ^ snapshot(workspace)),
    }
    json.dump(document, sys.stdout)


if __name__ == "__main__":
    main()
