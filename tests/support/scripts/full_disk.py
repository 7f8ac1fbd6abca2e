"""Move three jobs to a disk that is too small for the second, then make it larger; print the outcomes.

    unshare --map-root-user --mount python full_disk.py ROOT

Must run in a mount namespace of its own, where it may mount.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.workspace.jobs_on_disk import leftovers, make_folder, make_job, make_workspace, tree
from xpm_remote.workspace.folders.archiving import archive
from xpm_remote.workspace.layout import FolderMode, JobId

JOBS = [JobId("demo.train", letter * 64) for letter in "abc"]
SPACE = 1 << 20
"""Bytes of the disk: enough for two of the jobs as they are made, not for what is added to the second."""


def main() -> None:
    """Run the scenario."""
    root = Path(sys.argv[1])
    workspace, folder = make_workspace(root / "ws"), make_folder(root / "disk", FolderMode.MOVE)
    mount = ["mount", "-t", "tmpfs", "-o"]
    subprocess.run([*mount, f"size={SPACE}", "none", folder.path], check=True)
    wanted = []
    for job in JOBS:
        path = make_job(workspace, job)
        if job == JOBS[1]:
            (path / "large.bin").write_bytes(os.urandom(2 * SPACE))
        wanted.append(tree(path))
    first = [each for job in JOBS for each in next(archive(workspace, [folder], [job])).folders]
    left = leftovers(workspace.root, folder.path)
    subprocess.run([*mount, f"remount,size={8 * SPACE}", "none", folder.path], check=True)
    again = [each for outcome in archive(workspace, [folder], JOBS) for each in outcome.folders]
    said = {
        "first": [each.status.value for each in first],
        "message": first[1].message,
        "left": left,
        "again": [each.status.value for each in again],
        "whole": [tree(folder.job(job)) == trees for job, trees in zip(JOBS, wanted, strict=True)],
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
